package migrate

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/layout/layouttest"
)

// busy counts the requests that are under way at the same time.
type busy struct {
	backends.Store
	mu        sync.Mutex
	now, most int
}

func (b *busy) enter() func() {
	b.mu.Lock()
	b.now++
	b.most = max(b.most, b.now)
	b.mu.Unlock()
	time.Sleep(time.Millisecond)
	return func() {
		b.mu.Lock()
		b.now--
		b.mu.Unlock()
	}
}

func (b *busy) Put(ctx context.Context, key string, c backends.Content) (backends.Object, error) {
	defer b.enter()()
	return b.Store.Put(ctx, key, c)
}

func (b *busy) Stat(ctx context.Context, key string) (backends.Object, error) {
	defer b.enter()()
	return b.Store.Stat(ctx, key)
}

// Never more requests are in flight than there are workers, and all of these
// have something to do.
func TestWorkers(t *testing.T) {
	dir, _ := small(t)
	for _, choice := range [][]string{nil, {"**"}} {
		for _, workers := range []int{1, 3, 16} {
			b := &busy{Store: memory(t)}
			o := quick()
			o.Workers, o.Repositories = workers, choice
			got, _ := transfer(t, reader(t, dir), b, o)
			clean(t, got)
			if b.most > workers || b.most < workers/2 {
				t.Errorf("%d workers, %d requests at a time", workers, b.most)
			}
		}
	}
}

// The least memory that can be given is enough, if slow.
func TestMemoryOfOneByte(t *testing.T) {
	dir, _ := small(t)
	dst := memory(t)
	o := quick()
	o.Memory = 1
	got, _ := transfer(t, reader(t, dir), dst, o)
	clean(t, got)
	same(t, treeOf(t, dst), treeOf(t, reader(t, dir)))
}

// A bandwidth is kept to, within a burst, and reading slowly breaks nothing.
func TestBandwidth(t *testing.T) {
	dir, _ := registry(t, layouttest.Shape{Seed: 1, Repositories: 1, Tags: 2, Layers: 2, MinLayer: 200_000, MaxLayer: 200_001})
	dst := memory(t)
	o := quick()
	o.Bandwidth = 1 << 20
	start := time.Now()
	got, _ := transfer(t, reader(t, dir), dst, o)
	clean(t, got)
	same(t, treeOf(t, dst), treeOf(t, reader(t, dir)))
	least := time.Duration(float64(got.CopiedBytes-o.Bandwidth/8) / float64(o.Bandwidth) * float64(time.Second))
	if took := time.Since(start); took < least*9/10 {
		t.Errorf("%d bytes at %d a second took %v, not %v", got.CopiedBytes, o.Bandwidth, took, least)
	}
}

func TestBandwidthCancelled(t *testing.T) {
	dir, _ := registry(t, layouttest.Shape{Seed: 1, Repositories: 1, Tags: 2, Layers: 2, MinLayer: 2 << 20, MaxLayer: 2<<20 + 1})
	o := quick()
	o.Bandwidth = 1000
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	s, err := Run(ctx, reader(t, dir), memory(t), o)
	if err == nil || errors.As(err, new(*Fault)) || time.Since(start) > 5*time.Second || s.Last().Undone() != 0 {
		t.Errorf("after %v: %+v, %v", time.Since(start), s, err)
	}
}

// A pass with nothing to do costs listings, and a reading of each tag on each
// side whose listing does not tell; nothing else.
func TestCostOfNothingToDo(t *testing.T) {
	dir, made := small(t)
	tags := int64(len(made.TagNames()))
	for kind, open := range fresh {
		t.Run(kind, func(t *testing.T) {
			dst := open(t)
			o := quick()
			o.Checkpoint = filepath.Join(tempDir(t), "c")
			transfer(t, reader(t, dir), dst, o)
			var from, to backendtest.Counter
			transfer(t, from.WrapRead(reader(t, dir)), to.Wrap(dst), o)
			there := tags
			if kind == "memory" { // its listings have the MD5
				there = 0
			}
			if from.Opens.Load() != tags || to.Opens.Load() != there || from.Stats.Load()+to.Stats.Load()+to.Puts.Load() != 0 {
				t.Errorf("source: %d opens, %d stats; destination: %d opens, %d stats, %d puts", from.Opens.Load(), from.Stats.Load(), to.Opens.Load(), to.Stats.Load(), to.Puts.Load())
			}
			lists := int64(len(layout.Shards()) + 2*len(layout.Partitions()) + 5)
			if from.Lists.Load() > lists || from.Listed.Load() > int64(2*made.Objects)+lists { // each runs a little ahead
				t.Errorf("%d listings of %d objects", from.Lists.Load(), from.Listed.Load())
			}
		})
	}
}
