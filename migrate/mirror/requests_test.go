package mirror

import (
	"context"
	"os"
	"strconv"
	"testing"

	"gocloud.dev/blob/memblob"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest"
	"github.com/regferry/regferry/backends/bucket"
	"github.com/regferry/regferry/migrate"
	"github.com/regferry/regferry/verify/layout/layouttest"
)

// keep leaves a store of a test open for the next session.
type keep struct{ backends.Store }

func (keep) Close() error { return nil }

// Powers are those of the store.
func (k keep) Powers() backends.Powers { return backends.PowersOf(k.Store) }

// TestIdleRound: with nothing to do a round lists each side once, part by part,
// and asks for no object where the listings prove what tags hold.
// REGFERRY_IDLE is how many repositories; with 4,000 there are 400,000 objects.
func TestIdleRound(t *testing.T) {
	repositories := 12
	if n, err := strconv.Atoi(os.Getenv("REGFERRY_IDLE")); err == nil {
		repositories = n
	}
	src, dst := bucket.New(memblob.OpenBucket(nil), "mem://a"), bucket.New(memblob.OpenBucket(nil), "mem://b")
	defer src.Close()
	defer dst.Close()
	shape := layouttest.Shape{Seed: 8, Repositories: repositories, Tags: 20, Layers: 2, MinLayer: 10, MaxLayer: 100}
	made, err := layouttest.PutStore(t.Context(), src, shape)
	if err != nil {
		t.Fatal(err)
	}
	var a, b backendtest.Counter
	p := newPair(t)
	p.o.Open = func(context.Context) (backends.ReadStore, backends.Store, error) {
		return a.WrapRead(keep{src}), b.Wrap(keep{dst}), nil
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
