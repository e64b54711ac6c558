package mirror

import (
	"encoding/json"
	"errors"
	"os"
	"time"
)

// deletions is the append-only journal of what was deleted: a line before, so
// that what a kill leaves in doubt can be seen, and one after. From maxJournal on
// the next plan begins another, and the one before is kept.
type deletions struct{ file *os.File }

type deletionLine struct {
	Time time.Time `json:"time"`
	What string    `json:"what"` // deleting, deleted
	Key  string    `json:"key"`
	Size int64     `json:"size"`
}

// maxJournal is in bytes; the last plan comes on top of it.
const maxJournal = 64 << 20

func openDeletions(path string) (*deletions, error) {
	if info, err := os.Stat(path); err == nil && info.Size() >= maxJournal {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, stateError(err)
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, stateError(err)
	}
	if err := endLine(f); err != nil {
		return nil, stateError(errors.Join(err, f.Close()))
	}
	return &deletions{f}, nil
}

// endLine ends a line that a full volume has cut off.
func endLine(f *os.File) error {
	info, err := f.Stat()
	if err != nil || info.Size() == 0 {
		return err
	}
	last := make([]byte, 1)
	if _, err = f.ReadAt(last, info.Size()-1); err == nil && last[0] != '\n' {
		_, err = f.Write([]byte("\n"))
	}
	return err
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
