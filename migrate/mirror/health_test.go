package mirror

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/migrate"
	"github.com/regferry/regferry/verify/layout"
)

// unreadable is a source of which some keys cannot be read.
type unreadable struct {
	backends.ReadStore
	keys map[string]bool
}

func (u *unreadable) Open(ctx context.Context, key string, offset int64) (backends.Body, error) {
	if u.keys[key] {
		return backends.Body{}, &backends.Error{Op: "read", Key: key, Class: backends.Denied}
	}
	return u.ReadStore.Open(ctx, key, offset)
}

// spoil makes a layer unreadable that the tag of some needs, and returns it.
func (p *pair) spoil() (key string) {
	p.t.Helper()
	repo, _, named := p.some()
	m, err := layout.ParseManifest([]byte(p.read(p.src, layout.BlobKey(digest.Digest(named)))))
	if err != nil || len(m.References) == 0 {
		p.t.Fatalf("%s: %v, %+v", repo, err, m)
	}
	key = layout.BlobKey(m.References[0].Digest)
	open := p.o.Open
	p.o.Open = func(ctx context.Context) (backends.ReadStore, backends.Store, error) {
		src, dst, err := open(ctx)
		if err != nil {
			return nil, nil, err
		}
		return &unreadable{src, map[string]bool{key: true}}, dst, nil
	}
	return key
}

// What cannot be transferred is no reason to start again: rounds that leave it
// undone go to their end, and only the lag grows.
func TestUndoneIsAlive(t *testing.T) {
	p := newPair(t)
	p.spoil()
	p.session(func(ctx context.Context, m *Mirror) {
		if m.Ready() == nil {
			t.Error("ready before a round")
		}
		for range 3 {
			if err := p.full(ctx, m); err != nil {
				t.Fatal(err)
			}
			m.show.wait(time.Now())
			if s := m.Status(); s.Rounds[0].Undone == 0 || s.Rounds[0].Complete || s.Overdue || m.Healthy() != nil {
				t.Fatalf("%+v, %v", s, m.Healthy())
			}
		}
		if err := m.Ready(); err != nil {
			t.Error(err)
		}
		if s := m.Status(); s.Lag <= 0 || !s.LastRound.IsZero() {
			t.Errorf("a lag of %v, since %v", s.Lag, s.LastRound)
		}
		p.ahead += time.Hour
		if !m.Status().Overdue {
			t.Error("no round for an hour, and nothing is overdue")
		}
	})
}

// A round that hangs is seen, however many hints are followed meanwhile.
func TestHungBesideHints(t *testing.T) {
	p := newPair(t)
	p.must()
	p.o.Lease = time.Minute
	repo, _, _ := p.some()
	p.session(func(ctx context.Context, m *Mirror) {
		m.show.round(kindTags)
		m.show.progress(new(migrate.Progress))
		for range 3 {
			m.Status()
			p.ahead += 10 * time.Minute
			m.Hint(repo)
			if _, err := m.hint(ctx); err != nil {
				t.Fatal(err)
			}
		}
		if m.Alive() == nil || m.Healthy() == nil {
			t.Error("it is taken for alive")
		}
	})
}

// A side that cannot be opened for long is for somebody to look at, and no
// reason to start again.
func TestStartingIsAlive(t *testing.T) {
	p := newPair(t)
	m, err := New(p.o)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	p.ahead += time.Hour
	if s := m.Status(); s.State != Starting || !s.Overdue || m.Healthy() == nil || m.Alive() != nil {
		t.Errorf("%+v, %v, %v", s, m.Healthy(), m.Alive())
	}
}

// gate is a source whose copies of one key wait.
type gate struct {
	backends.ReadStore
	key   string
	opens <-chan struct{}
}

func (g *gate) Open(ctx context.Context, key string, offset int64) (backends.Body, error) {
	if key == g.key {
		select {
		case <-g.opens:
		case <-ctx.Done():
			return backends.Body{}, context.Cause(ctx)
		}
	}
	return g.ReadStore.Open(ctx, key, offset)
}

// A round that waits for a hint's large image is alive for as long as that goes
// on.
func TestRoundWaitsForHint(t *testing.T) {
	p := newPair(t)
	p.o.Lease = time.Minute
	repo, _, named := p.some()
	manifest, err := layout.ParseManifest([]byte(p.read(p.src, layout.BlobKey(digest.Digest(named)))))
	if err != nil {
		t.Fatal(err)
	}
	open, opens := p.o.Open, make(chan struct{})
	p.o.Open = func(ctx context.Context) (backends.ReadStore, backends.Store, error) {
		src, dst, err := open(ctx)
		if err != nil {
			return nil, nil, err
		}
		return &gate{src, layout.BlobKey(manifest.References[0].Digest), opens}, dst, nil
	}
	m, err := New(p.o)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var ahead atomic.Int64
	m.now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	m.show.o.now = m.now
	later := func(d time.Duration) { ahead.Add(int64(d)) }
	_ = m.session(t.Context(), func(ctx context.Context) error { // its lease is over when the clock has gone on
		ended := make(chan struct{}, 2)
		m.Hint(repo)
		go func() { _, _ = m.hint(ctx); ended <- struct{}{} }()
		until(t, func() bool {
			m.show.mu.Lock()
			defer m.show.mu.Unlock()
			return m.show.hint.now != nil && m.show.hint.now.Snapshot().Objects > 0
		})
		go func() { _ = m.round(ctx, false); ended <- struct{}{} }()
		until(t, func() bool {
			m.show.mu.Lock()
			defer m.show.mu.Unlock()
			return m.show.now != nil && m.show.now.Snapshot().Waiting > 0 && m.show.now.Snapshot().Repositories > 0
		})
		m.Status()
		for range 3 { // by and by some of the layer comes
			later(10 * time.Minute)
			m.show.mu.Lock()
			m.show.hint.moved = m.now()
			m.show.mu.Unlock()
			if err := m.Alive(); err != nil {
				t.Error(err)
			}
		}
		later(2 * quietMost)
		if m.Alive() == nil {
			t.Error("the hint hangs, and the round that waits for it is alive")
		}
		close(opens)
		<-ended
		<-ended
		return nil
	})
}

// Deletions wait until hints were followed.
func TestDeletionsWaitForHint(t *testing.T) {
	p := newPair(t)
	m, err := New(p.o)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	m.show.round(kindFull)
	m.show.progress(new(migrate.Progress))
	m.show.waitForHints()
	p.ahead += time.Hour
	m.show.hinting(new(migrate.Progress))
	if err := m.Alive(); err != nil {
		t.Error(err)
	}
	p.ahead += time.Hour
	if m.Alive() == nil {
		t.Error("nothing goes on for an hour")
	}
}

// Hints do not push out what the last full rounds have found.
func TestFullRoundStays(t *testing.T) {
	var s show
	s.add(Round{Kind: kindFull, Complete: true, Absences: 1})
	s.add(Round{Kind: kindFull, Complete: true, Absences: 2})
	s.add(Round{Kind: kindFull, Undone: 1, Damage: 3})
	s.add(Round{Kind: kindFull, Error: "gone"})
	for range 2 * MaxRounds {
		s.add(Round{Kind: kindHint, Complete: true, Tags: 1})
	}
	r := s.p.Rounds
	if n := len(r); n != MaxRounds || r[n-1].Absences != 2 || r[n-2].Damage != 3 || r[n-3].Kind != kindHint || r[0].Number != 2*MaxRounds+4 {
		t.Errorf("%d, %+v", n, r[max(n-3, 0):])
	}
}
