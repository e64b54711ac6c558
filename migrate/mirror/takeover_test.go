package mirror

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/regferry/regferry/verify/layout"
)

// within is one process of a mirror, of which do makes the rounds.
func (p *pair) within(takeover bool, do func(ctx context.Context, m *Mirror) error) error {
	p.t.Helper()
	o := p.o
	o.Takeover = takeover
	m, err := New(o)
	if err != nil {
		p.t.Fatal(err)
	}
	defer m.Close()
	return m.session(p.t.Context(), func(ctx context.Context) error { return do(ctx, m) })
}

// some rounds of each kind, and a hint.
func (p *pair) several(ctx context.Context, m *Mirror) error {
	repo, _, _ := p.some()
	for _, full := range []bool{true, false, true} {
		if full {
			p.ahead += time.Hour
		}
		m.lease.mu.Lock()
		m.lease.renewed, m.lease.looked = m.now(), m.now()
		m.lease.mu.Unlock()
		if err := m.round(ctx, full); err != nil {
			return err
		}
		m.Hint(repo)
		if _, err := m.hint(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (p *pair) finished() {
	p.t.Helper()
	src, dst, err := p.o.Open(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	if err := errors.Join(Mark(p.t.Context(), dst, src.Location(), "a test"), src.Close(), dst.Close()); err != nil {
		p.t.Fatal(err)
	}
}

// Who takes over past a finish goes on for good, with the flag left where it is
// and without it, until another finish.
func TestTakeoverPastFinish(t *testing.T) {
	p := newPair(t)
	p.must()
	p.finished()
	if err := p.within(false, p.several); !errors.Is(err, ErrFinished) {
		t.Fatal(err)
	}
	for _, flag := range []bool{true, true, false, false, true} {
		if err := p.within(flag, p.several); err != nil {
			t.Fatalf("with --takeover %v: %v", flag, err)
		}
	}
	err := p.within(true, func(ctx context.Context, m *Mirror) error {
		if err := p.several(ctx, m); err != nil {
			t.Error(err)
		}
		p.finished()
		m.Hint("any")
		if _, err := m.hint(ctx); !errors.Is(err, ErrFinished) {
			t.Errorf("a hint past another finish: %v", err)
		}
		return p.several(ctx, m)
	})
	if !errors.Is(err, ErrFinished) {
		t.Errorf("past another finish: %v", err)
	}
	if _, err := p.once(func(o *Options) { o.Takeover = true }); !errors.Is(err, ErrFinished) {
		t.Errorf("the flag was left where it is, and %v", err)
	}
	if err := p.within(false, p.several); !errors.Is(err, ErrFinished) {
		t.Errorf("without the flag: %v", err)
	}
	if err := p.within(true, p.several); err != nil {
		t.Errorf("taken over anew: %v", err)
	}
}

// An object that cannot be transferred does not leave the guards off.
func TestTakeoverEnds(t *testing.T) {
	p := newPair(t)
	repo, tag, _ := p.some()
	p.spoil()
	p.must()
	foreign := layout.TagKey(repo, "pushed-here")
	push := func() { p.write(p.dst, foreign, p.otherRevision(repo, tag)) }
	push()
	err := p.within(true, func(ctx context.Context, m *Mirror) error {
		if err := p.several(ctx, m); err != nil || m.Status().Rounds[0].Undone == 0 {
			t.Errorf("%v, %+v", err, m.Status().Rounds)
		}
		foreign = layout.TagKey(repo, "pushed-later")
		push()
		return p.several(ctx, m)
	})
	if !errors.Is(err, ErrOtherWriter) {
		t.Errorf("in the process that took over: %v", err)
	}
	if err := p.within(true, p.several); !errors.Is(err, ErrOtherWriter) {
		t.Errorf("started again: %v", err)
	}
}

// Nor does it take what is pushed to the destination for what was there before
// the mirror.
func TestNewEnds(t *testing.T) {
	for _, again := range []bool{false, true} {
		p := newPair(t)
		p.spoil()
		repo, tag, _ := p.some()
		push := func() { p.write(p.dst, layout.TagKey(repo, "pushed-here"), p.otherRevision(repo, tag)) }
		err := p.within(false, func(ctx context.Context, m *Mirror) error {
			if err := p.full(ctx, m); err != nil || again {
				return err
			}
			push()
			return p.full(ctx, m)
		})
		if again {
			if err != nil {
				t.Fatal(err)
			}
			push()
			err = p.within(false, p.full)
		}
		if !errors.Is(err, ErrOtherWriter) {
			t.Errorf("started again %v: %v", again, err)
		}
	}
}

// What was taken over but left undone is written when it can be.
func TestTakeoverOfUndone(t *testing.T) {
	p := newPair(t)
	whole := p.o.Open
	p.spoil()
	repo, tag, named := p.some()
	p.must()
	key := layout.TagKey(repo, tag)
	p.write(p.dst, key, p.otherRevision(repo, tag))
	if err := p.within(true, p.full); err != nil {
		t.Fatal(err)
	}
	p.o.Open = whole
	if err := p.within(false, p.full); err != nil {
		t.Error(err)
	}
	if got := p.read(p.dst, key); got != named {
		t.Errorf("%s, want %s", got, named)
	}
}

// A flag that is left where it is takes the lease from a mirror that lives once
// only.
func TestTakeoverOfLease(t *testing.T) {
	p := newPair(t)
	p.must()
	p.o.Lease = 4 * time.Second
	second := p.o
	second.State = filepath.Join(tempDir(t), "second")
	for _, want := range []error{nil, ErrHeld} {
		other, err := New(second)
		if err != nil {
			t.Fatal(err)
		}
		holds, enough, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
		go func() {
			ended <- other.session(t.Context(), func(ctx context.Context) error {
				close(holds)
				select {
				case <-ctx.Done():
				case <-enough:
				}
				return nil
			})
		}()
		<-holds
		if _, err := p.once(func(o *Options) { o.Takeover = true }); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
		close(enough)
		if err := <-ended; err != nil && !errors.Is(err, errLeaseLost) {
			t.Error(err)
		}
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	}
}
