package mirror

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/verify/layout"
)

func TestOnce(t *testing.T) {
	p := newPair(t)
	m := p.must()
	p.equal()
	s := m.Status()
	if len(s.Rounds) != 1 || !s.Rounds[0].Complete || s.Rounds[0].Blobs == 0 || s.Rounds[0].Tags == 0 || s.State != Stopped {
		t.Errorf("%+v", s)
	}
	m = p.must()
	if r := m.Status().Rounds[0]; r.Blobs+r.Links+r.Tags != 0 || !r.Complete {
		t.Errorf("nothing to do, and %+v", r)
	}
	if err := m.Ready(); err == nil {
		t.Error("ready, although it has stopped")
	}
}

// A tag that moves at the source moves at the destination.
func TestMovedTag(t *testing.T) {
	p := newPair(t)
	p.must()
	repo, tag, _ := p.some()
	other := p.otherRevision(repo, tag)
	p.write(p.src, layout.TagKey(repo, tag), other)
	p.must()
	if got := p.read(p.dst, layout.TagKey(repo, tag)); got != other {
		t.Errorf("%s, want %s", got, other)
	}
}

// otherRevision is one of the repository that the tag does not name.
func (p *pair) otherRevision(repo, tag string) string {
	p.t.Helper()
	now := p.read(p.src, layout.TagKey(repo, tag))
	for key := range p.keys(p.src) {
		if k := layout.Parse(key); k.Kind == layout.RevisionLink && k.Repository == repo && string(k.Digest) != now {
			return string(k.Digest)
		}
	}
	p.t.Fatal("there is no other revision")
	return ""
}

// What somebody else wrote at the destination stops the mirror before it is
// overwritten, also where the tag's name is the source's.
func TestOtherWriter(t *testing.T) {
	for _, c := range []struct {
		name  string
		write func(p *pair, repo, tag string)
	}{
		{"a tag moved", func(p *pair, repo, tag string) {
			p.write(p.dst, layout.TagKey(repo, tag), p.otherRevision(repo, tag))
		}},
		{"a new tag", func(p *pair, repo, tag string) {
			p.write(p.dst, layout.TagKey(repo, "pushed-here"), p.otherRevision(repo, tag))
		}},
		{"a push in progress", func(p *pair, repo, _ string) {
			p.write(p.dst, layout.UploadsPrefix(repo)+"0195d2b4-aaaa-7000-8000-000000000000/startedat", "2026-01-01T00:00:00Z")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPair(t)
			p.must()
			repo, tag, _ := p.some()
			c.write(p, repo, tag)
			before := p.keys(p.dst)
			m, err := p.once()
			if !errors.Is(err, ErrOtherWriter) || !errors.Is(err, ErrGuard) {
				t.Fatalf("%v", err)
			}
			for key, content := range p.keys(p.dst) {
				if before[key] != content {
					t.Errorf("%s was written", key)
				}
			}
			if s := m.Status(); s.State != Stopped || s.Reason == "" {
				t.Errorf("%+v", s)
			}
			if _, err := p.once(func(o *Options) { o.Takeover = true }); err != nil {
				t.Errorf("with --takeover: %v", err)
			}
			if _, err := p.once(); err != nil {
				t.Errorf("after it: %v", err)
			}
		})
	}
}

// A mirror without memory takes a tag of the destination for the source's if the
// source has its manifest, and else for another's.
func TestNewState(t *testing.T) {
	p := newPair(t)
	p.must()
	repo, tag, _ := p.some()
	p.write(p.src, layout.TagKey(repo, tag), p.otherRevision(repo, tag))
	p.o.State = filepath.Join(tempDir(t), "another")
	p.must(func(o *Options) { o.Takeover = false })
	p.equal()

	stranger := digest.FromString("not of the source")
	p.write(p.dst, layout.TagKey(repo, tag), string(stranger))
	p.o.State = filepath.Join(tempDir(t), "a third")
	if _, err := p.once(); !errors.Is(err, ErrOtherWriter) {
		t.Errorf("%v", err)
	}
}

func TestFinishedIsRefused(t *testing.T) {
	p := newPair(t)
	p.must()
	src, dst, err := p.o.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(Mark(t.Context(), dst, src.Location(), "a test"), src.Close(), dst.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.once(); !errors.Is(err, ErrFinished) {
		t.Errorf("%v", err)
	}
	p.must(func(o *Options) { o.Takeover = true })
}

// A state that is in use, another pair's or damaged is refused.
func TestStateIsRefused(t *testing.T) {
	p := newPair(t)
	m, err := New(p.o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(p.o); !errors.As(err, new(*StateError)) {
		t.Errorf("in use: %v", err)
	}
	m.Close()
	p.must()
	seen, _ := filepath.Glob(filepath.Join(p.dir, "seen-*"))
	if len(seen) == 0 {
		t.Fatal("nothing was seen")
	}
	for _, name := range []string{"state.json", filepath.Base(seen[0]), "foreign"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(p.dir, name)
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			defer os.WriteFile(path, whole, 0o600)
			if len(whole) == 0 {
				t.Skip("empty")
			}
			bad := append([]byte{}, whole...)
			bad[0] ^= 1
			os.WriteFile(path, bad, 0o600)
			if _, err := p.once(); !errors.As(err, new(*StateError)) {
				t.Errorf("%v", err)
			}
		})
	}
	other := p.o
	p.dst = tempDir(t)
	p.o = other
	if _, err := p.once(); !errors.As(err, new(*StateError)) {
		t.Errorf("another pair's: %v", err)
	}
}

// Hints are followed at once, and rounds go on beside them.
func TestHint(t *testing.T) {
	p := newPair(t)
	p.o.Once = false
	p.o.Interval = time.Hour
	stop := make(chan struct{})
	p.o.Stop = stop
	m, err := New(p.o)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ended := make(chan error, 1)
	go func() { ended <- m.Run(t.Context()) }()
	until(t, func() bool { return m.Status().State == Waiting })
	repo, tag, _ := p.some()
	other := p.otherRevision(repo, tag)
	p.write(p.src, layout.TagKey(repo, tag), other)
	if !m.Hint(repo) {
		t.Error("no room")
	}
	until(t, func() bool { return p.read(p.dst, layout.TagKey(repo, tag)) == other })
	close(stop)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if r := m.Status().Rounds; len(r) != 2 || r[0].Kind != kindHint || r[0].Number != 2 || !r[0].Complete || r[1].Kind != kindFull {
		t.Errorf("%+v", r)
	}
}

func until(t *testing.T, done func() bool) {
	t.Helper()
	for range 3000 {
		if done() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("it did not come to pass in 30 s")
}

// A source that is gone is backed off from, and gone on with when it is back.
func TestBackOff(t *testing.T) {
	p := newPair(t)
	away := p.src + ".away"
	if err := os.Rename(p.src, away); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(away) })
	p.o.Once = false
	p.o.Interval = 100 * time.Millisecond
	stop := make(chan struct{})
	p.o.Stop = stop
	m, err := New(p.o)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ended := make(chan error, 1)
	go func() { ended <- m.Run(t.Context()) }()
	until(t, func() bool { s := m.Status(); return s.State == BackOff && s.Reason != "" })
	if err := os.Rename(away, p.src); err != nil {
		t.Fatal(err)
	}
	until(t, func() bool { return !m.Status().LastRound.IsZero() })
	close(stop)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	p.equal()
}

// The end of the context ends everything.
func TestInterrupted(t *testing.T) {
	p := newPair(t)
	p.o.Once = false
	m, err := New(p.o)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	until(t, func() bool { return m.Status().State == Waiting })
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
