package s3

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

// buffers holds the content of all Puts of a store. What is handed out at once
// is bounded; a buffer larger than the bound is handed out alone.
type buffers struct {
	budget *semaphore.Weighted
	bound  int64
	sizes  []int64     // ascending
	pools  []sync.Pool // of *[]byte, one a size
}

func newBuffers(part, bound int64) *buffers {
	// Links have 71 bytes, manifests and configurations some KiB.
	b := &buffers{budget: semaphore.NewWeighted(bound), bound: bound, sizes: []int64{4 << 10, 64 << 10, 1 << 20, part}}
	b.pools = make([]sync.Pool, len(b.sizes))
	return b
}

// A buffer has the bytes asked for in b.
type buffer struct {
	b     []byte
	whole *[]byte
	size  int64 // counted
	pool  *sync.Pool
}

// get waits for room.
func (b *buffers) get(ctx context.Context, n int64) (*buffer, error) {
	buf := &buffer{size: n}
	for i, size := range b.sizes {
		if n <= size {
			buf.size, buf.pool = size, &b.pools[i]
			break
		}
	}
	if err := b.budget.Acquire(ctx, min(buf.size, b.bound)); err != nil {
		return nil, err
	}
	if buf.pool != nil {
		buf.whole, _ = buf.pool.Get().(*[]byte)
	}
	if buf.whole == nil {
		whole := make([]byte, buf.size)
		buf.whole = &whole
	}
	buf.b = (*buf.whole)[:n]
	return buf, nil
}

func (b *buffers) put(buf *buffer) {
	if buf.pool != nil {
		buf.pool.Put(buf.whole)
	}
	b.budget.Release(min(buf.size, b.bound))
}
