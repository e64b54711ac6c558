package mirror

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/migrate"
)

// A state that cannot be written for a while is backed off from.
func TestStateFails(t *testing.T) {
	p := newPair(t)
	p.must()
	p.o.Once = false
	p.o.Interval = 100 * time.Millisecond
	stop := make(chan struct{})
	p.o.Stop = stop
	absent := filepath.Join(p.dir, "absent")
	if err := errors.Join(os.Remove(absent), os.MkdirAll(filepath.Join(absent, "in the way"), 0o700)); err != nil {
		t.Fatal(err)
	}
	m, err := New(p.o)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ended := make(chan error, 1)
	go func() { ended <- m.Run(t.Context()) }()
	until(t, func() bool { s := m.Status(); return s.State == BackOff || s.State == Stopped })
	if err := os.RemoveAll(absent); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool { s := m.Status().State; return s == Waiting || s == Stopped })
	close(stop)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// Tags that could not be noted do not keep the next session from noting them.
func TestTagsMend(t *testing.T) {
	p := newPair(t)
	p.must()
	repo, tag, _ := p.some()
	other := digest.Digest(p.otherRevision(repo, tag))
	m, err := New(p.o)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	m.tags.file.Close()
	for _, fails := range []bool{true, false} {
		err := m.session(t.Context(), func(ctx context.Context) error { return m.mayWriteTag(ctx, repo, tag, "", other) })
		if (err != nil) != fails {
			t.Errorf("%v, it should fail: %v", err, fails)
		}
		if err != nil && final(err) {
			t.Errorf("%v ends the mirror", err)
		}
	}
}

// The journal of deletions has a bound.
func TestJournalTurns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deletions.jsonl")
	for _, size := range []int64{maxJournal, 10} {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		d, err := openDeletions(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(d.did(absence{Key: "k"}), d.close()); err != nil {
			t.Fatal(err)
		}
		if data, err := os.ReadFile(path); err != nil || size < maxJournal && (len(data) < 12 || data[10] != '\n') {
			t.Errorf("what was cut off is gone on with: %q, %v", data, err)
		}
		old, err := os.Stat(path + ".1")
		if err != nil || old.Size() != maxJournal {
			t.Errorf("%v, %v", old, err)
		}
	}
}

func TestFinal(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{stateError(&fs.PathError{Op: "write", Path: "tags", Err: syscall.ENOSPC}), false},
		{stateError(&os.LinkError{Op: "rename", Err: syscall.EIO}), false},
		{&migrate.Fault{Err: &migrate.CheckpointError{Err: errors.New("file resize error")}}, false},
		{&migrate.Fault{Err: stateError(&fs.PathError{Op: "sync", Path: "tags", Err: syscall.EIO})}, false},
		{stateError(&fs.PathError{Op: "open", Path: "approved.json", Err: syscall.EACCES}), true},
		{(&state{}).damaged("foreign", errors.New("its checksum is not right")), true},
		{ErrFinished, true},
	} {
		if final(c.err) != c.want {
			t.Errorf("%v: %v, want %v", c.err, !c.want, c.want)
		}
	}
}
