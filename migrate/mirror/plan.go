package mirror

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify/layout"
)

// due are the absences that may be deleted: from two complete rounds on, and
// after the time of grace.
func (m *Mirror) due(gone []absence) (keys []absence) {
	for _, a := range gone {
		if a.Rounds >= 2 && m.state.head.Clock-a.Since >= m.DeleteAfter {
			keys = append(keys, a)
		}
	}
	return keys
}

// SavedPlan is a plan as it waits for approval in the state's directory.
type SavedPlan struct {
	Plan
	Keys []string `json:"keys"`
}

const (
	planFile     = "plan.json"
	approvedFile = "approved.json"
)

func newPlan(keys []absence, reason, command string) SavedPlan {
	p := SavedPlan{Plan: Plan{Made: time.Now().UTC().Truncate(time.Second), Objects: int64(len(keys)), Reason: reason, Command: command}}
	h := sha256.New()
	for _, a := range keys {
		p.Keys = append(p.Keys, a.Key)
		h.Write([]byte(a.Key + "\n"))
		switch layout.Parse(a.Key).Kind {
		case layout.TagLink:
			p.Tags++
		case layout.Blob:
			p.Blobs++
			p.Bytes += max(a.Size, 0)
		}
	}
	p.ID = hex.EncodeToString(h.Sum(nil)[:6])
	return p
}

func readPlan(path string) (p SavedPlan, found bool, err error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return p, false, nil
	}
	if err != nil {
		return p, false, stateError(err)
	}
	if err := json.Unmarshal(data, &p); err != nil {
		return p, false, stateError(fmt.Errorf("%s is damaged: %w; remove it", path, err))
	}
	return p, true, nil
}

// refuse keeps a plan for a human, unless it waits already. Without a command
// nobody can let it through.
func (m *Mirror) refuse(keys []absence, reason, command string) error {
	p := newPlan(keys, reason, command)
	old, found, err := readPlan(m.state.path(planFile))
	if err != nil {
		return err
	}
	if found && old.ID == p.ID {
		p.Made = old.Made
	} else {
		way := "nothing"
		if command != "" {
			way = command + " --plan " + p.ID
		}
		m.Log.Warn("deletions refused", "pair", m.Name, "plan", p.ID, "objects", p.Objects, "reason", reason, "to_let_it_through", way)
	}
	data, err := json.MarshalIndent(p, "", "\t")
	if err != nil {
		return err
	}
	m.show.refused(&p.Plan)
	return m.state.write(planFile, data)
}

// noPlan forgets a plan that was refused and does not stand any more.
func (m *Mirror) noPlan() error {
	m.show.refused(nil)
	if err := os.Remove(m.state.path(planFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return stateError(err)
	}
	return nil
}

// WaitingPlan returns the plan of deletions that waits in the directory of a
// mirror's state, which may be running.
func WaitingPlan(dir string) (p SavedPlan, found bool, err error) {
	return readPlan(filepath.Join(dir, planFile))
}

// Approve lets the plan of that ID through: the next full round deletes what is
// still due of it. A plan that has changed meanwhile is not let through.
func Approve(dir, id string) error {
	p, found, err := WaitingPlan(dir)
	switch {
	case err != nil:
		return err
	case !found:
		return fmt.Errorf("%w: no plan waits in %s; it may have been let through, or the source has the objects again", ErrGuard, dir)
	case p.ID != id:
		return fmt.Errorf("%w: the plan that waits is %s, not %s: it may have changed meanwhile; look at it again", ErrGuard, p.ID, backends.Printable(id))
	}
	if p.Command == "" {
		return fmt.Errorf("%w: plan %s cannot be let through: %s", ErrGuard, p.ID, p.Reason)
	}
	data, err := json.Marshal(p) // what was looked at, whatever the mirror writes meanwhile
	if err != nil {
		return err
	}
	if err := replaceFile(filepath.Join(dir, approvedFile), data); err != nil {
		return stateError(err)
	}
	return stateError(os.Remove(filepath.Join(dir, planFile)))
}

// approvedOnce ends an approval: what is still due of the plan was refused by
// something else than its size.
func (m *Mirror) approvedOnce() error {
	if err := os.Remove(m.state.path(approvedFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return stateError(err)
	}
	return nil
}

// allowed splits what is due into what a human has approved and the rest.
func (m *Mirror) allowed(due []absence) (approved, rest []absence, err error) {
	p, found, err := readPlan(m.state.path(approvedFile))
	if err != nil || !found {
		return nil, due, err
	}
	for _, a := range due {
		if _, ok := slices.BinarySearch(p.Keys, a.Key); ok {
			approved = append(approved, a)
		} else {
			rest = append(rest, a)
		}
	}
	if len(approved) == 0 { // nothing is left of it
		return nil, rest, stateError(os.Remove(m.state.path(approvedFile)))
	}
	return approved, rest, nil
}

// Text shows a plan to a human; at most most keys.
func (p SavedPlan) Text(most int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "plan %s of %s: %d objects, among them %d tags and %d blobs with %d bytes\nrefused: %s\n",
		p.ID, p.Made.Format(time.DateTime+" MST"), p.Objects, p.Tags, p.Blobs, p.Bytes, p.Reason)
	for i, key := range p.Keys {
		if i == most {
			fmt.Fprintf(&b, "  and %d more\n", len(p.Keys)-most)
			break
		}
		k := layout.Parse(key)
		fmt.Fprintf(&b, "- %s: %s\n", k.Kind, backends.Printable(key))
	}
	return b.String()
}
