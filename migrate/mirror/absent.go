package mirror

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"
)

// absence is one object of the destination that the source once had and has not
// any more.
type absence struct {
	Key    string        `json:"key"`
	Size   int64         `json:"size"`
	Rounds int           `json:"rounds"` // complete full rounds in a row that did not find it
	Since  time.Duration `json:"since"`  // on the mirror's clock, when the first of them ended
}

// maxAbsent is how many absences are followed at once, some 250 bytes each; what
// is beyond has to wait.
const maxAbsent = 200_000

// readAbsences returns those of the last complete full round, by key.
func (s *state) readAbsences() (map[string]absence, error) {
	data, err := os.ReadFile(s.path("absent"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, stateError(err)
	}
	all := make(map[string]absence)
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var a absence
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			return nil, s.damaged("absent", err)
		}
		all[a.Key] = a
	}
	if err := lines.Err(); err != nil {
		return nil, s.damaged("absent", err)
	}
	return all, nil
}

func (s *state) writeAbsences(all []absence) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	for _, a := range all {
		if err := e.Encode(a); err != nil {
			return err
		}
	}
	return s.write("absent", b.Bytes())
}

// aged carries the absences of the last complete full round over to this one:
// what was found again is forgotten, what is new begins.
func aged(before map[string]absence, gone []absence, clock time.Duration) []absence {
	for i, a := range gone {
		old, known := before[a.Key]
		if !known {
			old.Since = clock
		}
		gone[i].Rounds, gone[i].Since = old.Rounds+1, old.Since
	}
	slices.SortFunc(gone, func(a, b absence) int { return strings.Compare(a.Key, b.Key) })
	return gone
}
