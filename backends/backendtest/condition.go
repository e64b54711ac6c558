package backendtest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"

	"github.com/regferry/regferry/backends"
)

var conditionCases = []testcase{
	{"C1 of no version it is written only where nothing is", replaceNothing},
	{"C2 it is replaced only with its version", replaceOwn},
	{"C3 of eight with one version one has written", replaceRace},
	{"C4 with a stale version nothing is written", replaceStale},
	{"C5 Get of what is absent is fs.ErrNotExist", getAbsent},
	{"C large objects are refused", replaceLarge},
	{"C a cancelled call writes nothing", replaceCancelled},
	{"C a service that ignores conditions is found out", replaceIgnored},
}

// lease is beside the registry's keys.
const lease = ".regferry/lease"

// conditional skips the case where the power is missing, or the service is one
// that cannot do it, which replaceIgnored is for.
func (r *run) conditional() backends.ConditionalPutter {
	r.Helper()
	c := backends.PowersOf(r.s).ConditionalPutter
	if c == nil || r.h.Unconditional {
		r.Skip("the store does not replace on condition")
	}
	return c
}

// replace must succeed.
func (r *run) replace(c backends.ConditionalPutter, key, content, version string) string {
	r.Helper()
	var next string
	err := r.within("PutIf", func() (err error) {
		next, err = c.PutIf(r.ctx, key, []byte(content), version)
		return err
	})
	if err != nil {
		r.Fatalf("PutIf of %q with the version %q: %v", key, version, err)
	}
	if next == "" || next == version {
		r.Errorf("PutIf with the version %q returns %q", version, next)
	}
	r.isNow(key, content, next)
	return next
}

// isNow asks another client for an object.
func (r *run) isNow(key, content, version string) {
	r.Helper()
	got, v, err := backends.PowersOf(r.other()).ConditionalPutter.Get(r.ctx, key)
	if err != nil || string(got) != content || v != version {
		r.Errorf("Get of %q: %.50q of the version %q, %v; want %.50q of %q", key, got, v, err, content, version)
	}
	if o, err := r.other().Stat(r.ctx, key); err != nil || o.Size != int64(len(content)) {
		r.Errorf("Stat of %q: %d bytes, %v; want %d", key, o.Size, err, len(content))
	}
}

// refuses checks that PutIf is refused as Changed.
func (r *run) refuses(c backends.ConditionalPutter, key, version string) {
	r.Helper()
	err := r.within("PutIf", func() error {
		_, err := c.PutIf(r.ctx, key, []byte("must not be written"), version)
		return err
	})
	if !errors.Is(err, backends.Changed) {
		r.Errorf("PutIf of %q with the version %q: %v, want %v", key, version, err, backends.Changed)
	}
}

func replaceNothing(r *run) {
	c := r.conditional()
	v := r.replace(c, lease, "one", "")
	r.refuses(c, lease, "")
	r.isNow(lease, "one", v)
	r.must("d/k", pattern{1, 100}) // by Put
	r.refuses(c, "d/k", "")
	r.holds(r.other(), "d/k", pattern{1, 100})
	if r.h.Deletes {
		r.delete(lease)
		r.replace(c, lease, "two", "")
		r.delete(lease)
		r.clean()
	}
}

func replaceOwn(r *run) {
	c := r.conditional()
	v := ""
	for i := range 4 {
		v = r.replace(c, lease, fmt.Sprintf("by me, %d", i), v)
	}
	theirs := r.replace(c, ".regferry/other", "of another object", "")
	r.refuses(c, lease, theirs)
	r.refuses(c, ".regferry/absent", theirs)
	r.isNow(lease, "by me, 3", v)
	if _, _, err := c.Get(r.ctx, ".regferry/absent"); !errors.Is(err, fs.ErrNotExist) {
		r.Errorf("what was refused was written: %v", err)
	}
	r.replace(c, lease, "", v)
}

func replaceRace(r *run) {
	r.conditional()
	v := ""
	for round := range 4 {
		var mu sync.Mutex
		var winners []string
		start := make(chan struct{})
		var wg sync.WaitGroup
		for i := range 8 {
			s := r.s
			if i%2 == 1 {
				s = r.other()
			}
			c := backends.PowersOf(s).ConditionalPutter
			wg.Go(func() {
				<-start
				content := fmt.Sprintf("round %d, by %d", round, i)
				_, err := c.PutIf(r.ctx, lease, []byte(content), v)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					winners = append(winners, content)
				} else if !errors.Is(err, backends.Changed) {
					r.Errorf("PutIf: %v, want %v", err, backends.Changed)
				}
			})
		}
		close(start)
		_ = r.within("eight calls of PutIf", func() error { wg.Wait(); return nil })
		if len(winners) != 1 {
			r.Fatalf("round %d: %q have written", round, winners)
		}
		got, next, err := backends.PowersOf(r.other()).ConditionalPutter.Get(r.ctx, lease)
		if err != nil || string(got) != winners[0] {
			r.Fatalf("round %d: %q has written, and there is %q, %v", round, winners[0], got, err)
		}
		v = next
	}
	if r.h.Deletes {
		r.delete(lease)
		r.clean()
	}
}

func replaceStale(r *run) {
	c := r.conditional()
	first := r.replace(c, lease, "one", "")
	second := r.replace(c, lease, "two", first)
	r.refuses(c, lease, first)
	r.isNow(lease, "two", second)
	third := r.replace(c, lease, "three", second)
	r.refuses(c, lease, first)
	r.refuses(c, lease, second)
	r.isNow(lease, "three", third)
	if r.h.Deletes {
		r.delete(lease)
		r.refuses(c, lease, third)
		if _, err := r.other().Stat(r.ctx, lease); !errors.Is(err, fs.ErrNotExist) {
			r.Errorf("after PutIf with the version of what was deleted: %v", err)
		}
		r.clean()
	}
}

func getAbsent(r *run) {
	c := r.conditional()
	r.must("d/k", pattern{1, 100})
	for _, key := range []string{lease, "d", "d/k2", "nothing/here"} {
		if _, _, err := c.Get(r.ctx, key); !errors.Is(err, fs.ErrNotExist) {
			r.Errorf("Get of %q: %v", key, err)
		}
	}
	if got, v, err := c.Get(r.ctx, "d/k"); err != nil || v == "" || string(got) != string(pattern{1, 100}.bytes()) {
		r.Errorf("Get of what was Put: %d bytes, the version %q, %v", len(got), v, err)
	}
}

func replaceLarge(r *run) {
	c := r.conditional()
	v := r.replace(c, lease, strings.Repeat("x", backends.SmallMost), "")
	_, err := c.PutIf(r.ctx, lease, make([]byte, backends.SmallMost+1), v)
	if !errors.Is(err, backends.Unsupported) {
		r.Errorf("PutIf of %d bytes: %v, want %v", backends.SmallMost+1, err, backends.Unsupported)
	}
	r.isNow(lease, strings.Repeat("x", backends.SmallMost), v)
	r.must("d/k", pattern{1, backends.SmallMost + 1})
	if _, _, err := c.Get(r.ctx, "d/k"); !errors.Is(err, backends.Unsupported) {
		r.Errorf("Get of %d bytes: %v, want %v", backends.SmallMost+1, err, backends.Unsupported)
	}
}

func replaceCancelled(r *run) {
	c := r.conditional()
	v := r.replace(c, lease, "one", "")
	ctx, cancel := context.WithCancel(r.ctx)
	cancel()
	if _, err := c.PutIf(ctx, lease, []byte("two"), v); !errors.Is(err, context.Canceled) {
		r.Errorf("PutIf: %v", err)
	}
	if _, _, err := c.Get(ctx, lease); !errors.Is(err, context.Canceled) {
		r.Errorf("Get: %v", err)
	}
	r.isNow(lease, "one", v)
}

func replaceIgnored(r *run) {
	c := backends.PowersOf(r.s).ConditionalPutter
	if c == nil || !r.h.Unconditional {
		r.Skip("the service does what it is asked")
	}
	for range 2 {
		_, err := c.PutIf(r.ctx, lease, []byte("must not be written"), "")
		if !errors.Is(err, backends.Unsupported) {
			r.Errorf("PutIf: %v, want %v", err, backends.Unsupported)
		}
	}
	if _, err := r.other().Stat(r.ctx, lease); !errors.Is(err, fs.ErrNotExist) {
		r.Errorf("what was refused was written: %v", err)
	}
	r.only(r.other())
}
