package mirror

import (
	"context"
	"iter"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"gocloud.dev/blob/memblob"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest"
	"github.com/regferry/regferry/backends/bucket"
	"github.com/regferry/regferry/migrate"
	"github.com/regferry/regferry/verify/layout/layouttest"
)

// listed is a bucket in memory with a listing that looks a prefix up, as
// services do: memblob sorts every key for every page. It stays open for the
// next session, and it has no powers, so that nothing is taken out of it.
type listed struct {
	backends.Store
	mu      sync.Mutex
	objects []backends.Object // in order unless added is set
	places  map[string]int
	added   bool
}

func (l *listed) Close() error { return nil }

func (l *listed) Put(ctx context.Context, key string, c backends.Content) (backends.Object, error) {
	if _, err := l.Store.Put(ctx, key, c); err != nil {
		return backends.Object{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	o, err := l.Stat(ctx, key) // as a listing tells it: with its MD5
	if i, ok := l.places[key]; ok && err == nil {
		l.objects[i] = o
	} else if err == nil {
		l.places[key] = len(l.objects)
		l.objects, l.added = append(l.objects, o), true
	}
	return o, err
}

func (l *listed) List(ctx context.Context, prefix, after string) iter.Seq2[backends.Object, error] {
	l.mu.Lock()
	defer l.mu.Unlock()
	byKey := func(o backends.Object, key string) int { return strings.Compare(o.Key, key) }
	if l.added {
		slices.SortFunc(l.objects, func(a, b backends.Object) int { return strings.Compare(a.Key, b.Key) })
		for i, o := range l.objects {
			l.places[o.Key] = i
		}
		l.added = false
	}
	from, _ := slices.BinarySearchFunc(l.objects, max(prefix, after+"\x00"), byKey)
	to := from
	for to < len(l.objects) && strings.HasPrefix(l.objects[to].Key, prefix) {
		to++
	}
	page := slices.Clone(l.objects[from:to])
	return func(yield func(backends.Object, error) bool) {
		for _, o := range page {
			if !yield(o, ctx.Err()) || ctx.Err() != nil {
				return
			}
		}
	}
}

// TestIdleRound: with nothing to do a round lists each side once, part by part,
// and asks for no object where the listings prove what tags hold.
// REGFERRY_IDLE is how many repositories; with 2,000 there are 400,000 objects.
func TestIdleRound(t *testing.T) {
	repositories := 12
	if n, err := strconv.Atoi(os.Getenv("REGFERRY_IDLE")); err == nil {
		repositories = n
	}
	src := &listed{Store: bucket.New(memblob.OpenBucket(nil), "mem://a"), places: map[string]int{}}
	dst := &listed{Store: bucket.New(memblob.OpenBucket(nil), "mem://b"), places: map[string]int{}}
	defer src.Store.Close()
	defer dst.Store.Close()
	shape := layouttest.Shape{Seed: 8, Repositories: repositories, Tags: 20, Layers: 2, MinLayer: 10, MaxLayer: 100}
	made, err := layouttest.PutStore(t.Context(), src, shape)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := layouttest.PutStore(t.Context(), dst, shape); err != nil {
		t.Fatal(err)
	}
	var a, b backendtest.Counter
	p := newPair(t)
	p.o.Open = func(context.Context) (backends.ReadStore, backends.Store, error) {
		return a.WrapRead(src), b.Wrap(dst), nil
	}
	p.o.NoSample = true
	p.session(func(ctx context.Context, m *Mirror) {
		for range 2 {
			if err := m.round(ctx, true); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []struct {
			full  bool
			parts int64
		}{{true, int64(len(migrate.Parts())) + 40}, {false, 62}} {
			a, b := zeroed(&a), zeroed(&b)
			if err := m.round(ctx, c.full); err != nil {
				t.Fatal(err)
			}
			for side, n := range map[string]*backendtest.Counter{"source": a, "destination": b} {
				t.Logf("full %v, %s: %d listings of %d objects; %d Stats, %d Opens, %d Puts", c.full, side, n.Lists.Load(), n.Listed.Load(), n.Stats.Load(), n.Opens.Load(), n.Puts.Load())
				if n.Lists.Load() > c.parts || n.Stats.Load() > 0 || n.Opens.Load()+n.Puts.Load() > 8 || n.Listed.Load() > int64(made.Objects)+600 {
					t.Errorf("too many, for %d objects", made.Objects)
				}
			}
		}
	})
}

// zeroed forgets what was counted.
func zeroed(c *backendtest.Counter) *backendtest.Counter {
	c.Lists.Store(0)
	c.Stats.Store(0)
	c.Opens.Store(0)
	c.Puts.Store(0)
	c.Listed.Store(0)
	return c
}
