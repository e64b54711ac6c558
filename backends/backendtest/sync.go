package backendtest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/regferry/regferry/backends"
)

var syncCases = []testcase{
	{"Sync makes visible all that was put before", syncAll},
	{"Sync keeps the later of two Puts", syncLater},
	{"Sync beside writers loses nothing", syncRace},
	{"Sync that was cancelled does not claim success", syncCancelled},
}

// syncer skips the case where the store is durable at each Put, as P2 tests.
func (r *run) syncer() backends.Syncer {
	y := backends.PowersOf(r.s).Syncer
	if y == nil {
		r.Skip("the store is no Syncer")
	}
	return y
}

func (r *run) syncNow() {
	r.Helper()
	if y := backends.PowersOf(r.s).Syncer; y != nil {
		if err := r.within("Sync", func() error { return y.Sync(r.ctx) }); err != nil {
			r.Errorf("Sync: %v", err)
		}
	}
}

// unsynced puts without the Sync that all other cases make.
func (r *run) unsynced(key string, p pattern) {
	r.Helper()
	src := r.source(p.seed, p.size)
	if _, err := r.s.Put(r.ctx, key, src.content()); err != nil {
		r.Fatalf("Put of %q: %v", key, err)
	}
}

func syncAll(r *run) {
	r.syncer()
	r.syncNow() // nothing to do
	r.must("d0/k0", pattern{77, 7000})
	var keys []string
	for i := range 50 {
		key := fmt.Sprintf("d%d/k%d", i%7, i)
		keys = append(keys, key)
		r.unsynced(key, pattern{uint64(i), int64(i * 11)})
	}
	r.syncNow()
	for i, key := range keys {
		r.holds(r.other(), key, pattern{uint64(i), int64(i * 11)})
	}
	r.only(r.other(), keys...)
	r.syncNow()
	r.only(r.other(), keys...)
	r.clean()
}

func syncLater(r *run) {
	r.syncer()
	for i := range 5 {
		r.unsynced("d/k", pattern{uint64(i), int64(100 + i)})
	}
	failing := r.source(9, 500)
	failing.end = errors.New("the source broke")
	if _, err := r.s.Put(r.ctx, "d/k", failing.content()); err == nil {
		r.Errorf("Put of a failing source succeeds")
	}
	r.syncNow()
	r.holds(r.other(), "d/k", pattern{4, 104})
	r.only(r.other(), "d/k")
	r.clean()
}

func syncRace(r *run) {
	y := r.syncer()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				if err := y.Sync(r.ctx); err != nil {
					r.Errorf("Sync: %v", err)
					return
				}
			}
		}
	}()
	var wg sync.WaitGroup
	var keys []string
	for w := range 4 {
		for i := range 25 {
			keys = append(keys, fmt.Sprintf("d%d/w%d-%d", i%3, w, i))
		}
		mine := keys[w*25:]
		srcs := make([]*source, len(mine))
		for i := range srcs {
			srcs[i] = r.source(uint64(w), int64(i+1))
		}
		wg.Go(func() {
			for i, src := range srcs {
				if _, err := r.s.Put(r.ctx, mine[i], src.content()); err != nil {
					r.Errorf("Put: %v", err)
				}
			}
		})
	}
	_ = r.within("writers beside Sync", func() error { wg.Wait(); return nil })
	close(stop)
	<-stopped
	r.syncNow()
	for i, key := range keys {
		r.holds(r.other(), key, pattern{uint64(i / 25), int64(i%25 + 1)})
	}
	r.only(r.other(), keys...)
	r.clean()
}

func syncCancelled(r *run) {
	y := r.syncer()
	r.unsynced("d/k", pattern{1, 100})
	ctx, cancel := context.WithCancel(r.ctx)
	cancel()
	err := r.within("Sync", func() error { return y.Sync(ctx) })
	if err == nil {
		r.holds(r.other(), "d/k", pattern{1, 100})
		return
	}
	if !errors.Is(err, context.Canceled) {
		r.Errorf("Sync: %v", err)
	}
}
