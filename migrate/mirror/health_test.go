package mirror

import (
	"context"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
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
