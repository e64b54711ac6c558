package parts

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

// Buffers holds the content of all Puts of a store. What is handed out at once
// is bounded; a buffer larger than the bound is handed out alone.
type Buffers struct {
	budget *semaphore.Weighted
	bound  int64
	sizes  []int64     // ascending
	pools  []sync.Pool // of *[]byte, one a size
}

// NewBuffers hands out buffers up to the size of a part, and bound bytes of
// them at once.
func NewBuffers(part, bound int64) *Buffers {
	// Links have 71 bytes, manifests and configurations some KiB.
	b := &Buffers{budget: semaphore.NewWeighted(bound), bound: bound, sizes: []int64{4 << 10, 64 << 10, 1 << 20, part}}
	b.pools = make([]sync.Pool, len(b.sizes))
	return b
}

// Buffer has the bytes asked for in B.
type Buffer struct {
	B     []byte
	whole *[]byte
	size  int64 // counted
	pool  *sync.Pool
}

// Get waits for room for n bytes.
func (b *Buffers) Get(ctx context.Context, n int64) (*Buffer, error) {
	buf := &Buffer{size: n}
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
	buf.B = (*buf.whole)[:n]
	return buf, nil
}

// Put takes a buffer back.
func (b *Buffers) Put(buf *Buffer) {
	if buf.pool != nil {
		buf.pool.Put(buf.whole)
	}
	b.budget.Release(min(buf.size, b.bound))
}
