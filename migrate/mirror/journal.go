package mirror

import (
	"encoding/json"
	"errors"
	"os"
	"time"
)

// deletions is the append-only journal of what was deleted: a line before, so
// that what a kill leaves in doubt can be seen, and one after. Nobody but an
// operator removes it.
type deletions struct{ file *os.File }

type deletionLine struct {
	Time time.Time `json:"time"`
	What string    `json:"what"` // deleting, deleted
	Key  string    `json:"key"`
	Size int64     `json:"size"`
}

func openDeletions(path string) (*deletions, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	return &deletions{f}, stateError(err)
}

func (d *deletions) line(what string, a absence) error {
	b, err := json.Marshal(deletionLine{time.Now().UTC(), what, a.Key, a.Size})
	if err != nil {
		return err
	}
	_, err = d.file.Write(append(b, '\n'))
	return stateError(err)
}

// intend is durable before the objects are gone.
func (d *deletions) intend(all []absence) error {
	for _, a := range all {
		if err := d.line("deleting", a); err != nil {
			return err
		}
	}
	return stateError(d.file.Sync())
}

func (d *deletions) did(a absence) error { return d.line("deleted", a) }

func (d *deletions) close() error { return stateError(errors.Join(d.file.Sync(), d.file.Close())) }
