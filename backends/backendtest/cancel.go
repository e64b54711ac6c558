package backendtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

var cancelCases = []testcase{
	{"P6 cancelled before it begins", cancelBefore},
	{"P6 cancelled at any byte", cancelHalfway},
	{"P6 cancelled while the source blocks", cancelBlocked},
}

func cancelBefore(r *run) {
	old := pattern{1, 2000}
	r.must("d/old", old)
	ctx, cancel := context.WithCancel(r.ctx)
	cancel()
	for _, key := range []string{"d/old", "d/new"} {
		for _, size := range []int64{0, 1000} {
			if err := r.put(ctx, key, r.source(2, size)); !errors.Is(err, context.Canceled) {
				r.Errorf("Put of %d bytes: %v", size, err)
			}
		}
	}
	r.holds(r.other(), "d/old", old)
	r.only(r.other(), "d/old")
	r.clean()
}

func cancelHalfway(r *run) {
	old := pattern{1, 2000}
	r.must("d/old", old)
	have := []string{"d/old"}
	for _, size := range []int64{1000, r.large()} {
		for i, at := range []int64{0, 1, size / 2, r.h.PartSize, r.h.PartSize + 1, size} {
			if at > size {
				continue
			}
			for _, key := range []string{"d/old", fmt.Sprintf("d/new-%d-%d", size, i)} {
				err := r.cancelled(key, size, at)
				if err == nil && at == size { // all bytes were there: it may have won
					r.holds(r.other(), key, pattern{2, size})
					r.must(key, old)
					have = append(have, key)
					slices.Sort(have)
					have = slices.Compact(have)
					continue
				}
				if !errors.Is(err, context.Canceled) {
					r.Errorf("cancelled at %d of %d: %v", at, size, err)
				}
				r.holds(r.other(), "d/old", old)
				r.only(r.other(), have...)
			}
		}
	}
	r.clean()
}

// cancelled puts size bytes and cancels at one of them. The source goes on:
// Put itself has to see it.
func (r *run) cancelled(key string, size, at int64) error {
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	src := r.source(2, size)
	src.chunk = max(1, size/7)
	src.before = func(pos int64) {
		if pos >= at {
			cancel()
		}
	}
	return r.put(ctx, key, src)
}

// cancelBlocked: the source waits for the context that Content.Open was given
// and for nothing else, like a body of another store.
func cancelBlocked(r *run) {
	old := pattern{1, 2000}
	r.must("d/old", old)
	size := r.large()
	for _, at := range []int64{0, 1, size / 2, size} {
		for _, key := range []string{"d/old", "d/new"} {
			ctx, cancel := context.WithCancel(r.ctx)
			src := r.source(2, size)
			src.blockAt = at
			src.before = func(pos int64) {
				if pos >= at {
					time.AfterFunc(5*time.Millisecond, cancel)
				}
			}
			err := r.put(ctx, key, src)
			cancel()
			if !errors.Is(err, context.Canceled) {
				r.Errorf("blocked at %d of %d: %v", at, size, err)
			}
		}
	}
	r.holds(r.other(), "d/old", old)
	r.only(r.other(), "d/old")
	r.clean()
}
