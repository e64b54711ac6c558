package migrate

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/regferry/regferry/backends/backendtest"
	"github.com/regferry/regferry/verify"
	"github.com/regferry/regferry/verify/layout"
)

// A run of named repositories lists these alone and brings what they need.
func TestNamed(t *testing.T) {
	dir, made := small(t)
	name := made.Repositories[0].Name
	for kind, open := range fresh {
		t.Run(kind, func(t *testing.T) {
			dst := open(t)
			var c backendtest.Counter
			o := quick()
			o.Named = []string{name}
			got, _ := transfer(t, c.WrapRead(reader(t, dir)), dst, o)
			clean(t, got)
			if got.Repositories != 1 || got.Copied == 0 || got.TagsWritten == 0 || c.Lists.Load() > 8 {
				t.Errorf("%+v, %d listings", got, c.Lists.Load())
			}
			whole := treeOf(t, reader(t, dir))
			for key := range treeOf(t, dst) {
				if k := layout.Parse(key); k.Repository != "" && k.Repository != name {
					t.Errorf("%s is another repository's", key)
				}
				if _, ok := whole[key]; !ok && !strings.HasPrefix(key, ".regferry/") {
					t.Errorf("%s is not the source's", key)
				}
			}
		})
	}
}

// Runs that share work on one repository in turn, and what they leave is right.
func TestSharedRuns(t *testing.T) {
	dir, made := small(t)
	for kind, open := range fresh {
		t.Run(kind, func(t *testing.T) {
			src, dst := reader(t, dir), open(t)
			shared := NewShared(4, 1<<20, 0)
			var mu sync.Mutex
			at := map[string]int{}
			var g errgroup.Group
			for i := range 4 {
				g.Go(func() error {
					o := quick()
					o.Shared = shared
					o.Watch.Tag = func(_ context.Context, repository, _ string, _, _ digest.Digest) error {
						mu.Lock()
						defer mu.Unlock()
						at[repository]++
						return nil
					}
					if i > 0 {
						for _, r := range made.Repositories[:3] {
							o.Named = append(o.Named, r.Name)
						}
					}
					s, err := Run(t.Context(), src, dst, o)
					if err == nil && s.Last().Undone() > 0 {
						err = errors.New("something is left undone")
					}
					return err
				})
			}
			if err := g.Wait(); err != nil {
				t.Fatal(err)
			}
			same(t, treeOf(t, dst).below(layout.Root), treeOf(t, src).below(layout.Root).without(skipped))
			for _, r := range made.Repositories {
				if at[r.Name] > len(r.Tags) {
					t.Errorf("%s: %d tags were written %d times", r.Name, len(r.Tags), at[r.Name])
				}
			}
		})
	}
}

func skipped(k layout.Key) bool { return k.Kind.Skipped() }

// A Watch is told of each part once, and its errors end the run.
func TestWatch(t *testing.T) {
	dir, _ := small(t)
	dst := memory(t)
	var mu sync.Mutex
	var listed []string
	o := quick()
	o.Watch.Listed = func(prefix string) error {
		mu.Lock()
		defer mu.Unlock()
		listed = append(listed, prefix)
		return nil
	}
	transfer(t, reader(t, dir), dst, o)
	slices.Sort(listed)
	if want := slices.Sorted(slices.Values(Parts())); !slices.Equal(listed, want) {
		t.Errorf("%d parts were listed, want %d", len(listed), len(want))
	}
	stop := errors.New("no")
	for name, w := range map[string]Watch{
		"pair":   {Pair: func(string, verify.Pair) error { return stop }},
		"listed": {Listed: func(string) error { return stop }},
		"same":   {Same: func(string, string, [16]byte) error { return stop }},
	} {
		o := quick()
		o.Watch = w
		if _, err := Run(t.Context(), reader(t, dir), dst, o); !errors.Is(err, stop) || !errors.As(err, new(*Fault)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	o = quick()
	o.Watch.Tag = func(context.Context, string, string, digest.Digest, digest.Digest) error { return stop }
	other := memory(t)
	if _, err := Run(t.Context(), reader(t, dir), other, o); !errors.Is(err, stop) {
		t.Errorf("tag: %v", err)
	}
	for key := range treeOf(t, other) {
		if layout.Parse(key).Kind == layout.TagLink {
			t.Errorf("%s was written", key)
		}
	}
}

func TestSetWorkers(t *testing.T) {
	s := NewShared(4, 1<<20, 0)
	l := &limits{s, nil, new(Progress)}
	var release []func()
	for range 4 {
		r, err := l.request(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		release = append(release, r)
	}
	free := func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		r, err := l.request(ctx)
		if err == nil {
			r()
		}
		return err == nil
	}
	if free() {
		t.Error("a fifth of four")
	}
	if err := s.SetWorkers(t.Context(), 5); err != nil || !free() {
		t.Errorf("five: %v", err)
	}
	done := make(chan error, 1)
	go func() { done <- s.SetWorkers(t.Context(), 2) }()
	for _, r := range release[:2] {
		r()
	}
	if err := <-done; err != nil || free() {
		t.Errorf("two, and two are at it: %v", err)
	}
	release[2]()
	if !free() {
		t.Error("one of two is free")
	}
	release[3]()
	if err := s.SetWorkers(t.Context(), 0); err == nil {
		t.Error("no workers")
	}
}
