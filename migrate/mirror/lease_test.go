package mirror

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// copied is the mirror's state as a snapshot has it.
func (p *pair) copied() string {
	p.t.Helper()
	dir := filepath.Join(tempDir(p.t), "copy")
	if err := os.CopyFS(dir, os.DirFS(p.dir)); err != nil {
		p.t.Fatal(err)
	}
	return dir
}

// A copy of the state takes no lease from a mirror that lives, and takes that of
// one that was killed.
func TestLeaseOfCopy(t *testing.T) {
	p := newPair(t)
	p.must()
	p.o.Lease = 2 * time.Second
	other := p.o
	other.State = p.copied()
	m, err := New(p.o)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	err = m.session(t.Context(), func(ctx context.Context) error {
		second, err := New(other)
		if err != nil {
			return err
		}
		defer second.Close()
		if err := second.Run(ctx); !errors.Is(err, ErrHeld) {
			t.Errorf("beside a holder that lives: %v", err)
		}
		return m.lease.look(ctx)
	})
	if err != nil {
		t.Error(err)
	}
	// Killed, it releases nothing.
	begin := time.Now()
	src, dst, err := p.o.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	defer dst.Close()
	killed := m.newLease(dst)
	if err := killed.acquire(t.Context(), false, false, func(string) {}); err != nil {
		t.Fatal(err)
	}
	p.o.State = other.State
	p.must()
	if took := time.Since(begin); took < sooner(p.o.Lease) {
		t.Errorf("taken after %v", took)
	}
}

// The same process has it back at once.
func TestLeaseOfSession(t *testing.T) {
	p := newPair(t)
	p.must()
	m, err := New(p.o)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	src, dst, err := p.o.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	defer dst.Close()
	for range 2 {
		if err := m.newLease(dst).acquire(t.Context(), false, false, func(holder string) { t.Errorf("it waits for %s", holder) }); err != nil {
			t.Fatal(err)
		}
	}
}

// No deletion begins that may be under way when the lease is over.
func TestDeleteWithinLease(t *testing.T) {
	p := newPair(t)
	p.session(func(ctx context.Context, m *Mirror) {
		for _, silent := range []time.Duration{0, 24 * time.Second, 26 * time.Second, 29 * time.Second} {
			m.lease.mu.Lock()
			m.lease.renewed = m.now().Add(-silent)
			m.lease.mu.Unlock()
			if err := m.lease.check(ctx); err != nil {
				t.Errorf("after %v: %v", silent, err)
			}
			if err := m.lease.checkDelete(ctx); errors.Is(err, errLeaseLost) != (silent > 25*time.Second) {
				t.Errorf("after %v: %v", silent, err)
			}
		}
	})
	p.o.Lease, p.o.Delete = 59*time.Second, true
	if err := p.o.Check(); err == nil {
		t.Error("a short lease and deletions")
	}
}
