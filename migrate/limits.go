package migrate

import (
	"context"
	"fmt"

	"golang.org/x/sync/semaphore"
)

// limits is the one budget of a run: requests in flight, bytes in buffers, and
// bytes a second. Small objects and the parts of big ones share it.
type limits struct {
	*Shared
	stop     <-chan struct{} // closed: nothing is started any more
	progress *Progress
}

// errStopped is what begins nothing new says. It is a cancellation, although
// the context lives on for what is under way.
var errStopped = fmt.Errorf("the run is stopping: %w", context.Canceled)

func (l *limits) stopped() bool {
	select {
	case <-l.stop:
		return true
	default:
		return false
	}
}

// bufferPerCopy is what one copy holds at most, whatever the size of its
// object: the buffers of a store that streams.
const bufferPerCopy = 1 << 20

// copying waits for one request and the memory of an object of size bytes.
func (l *limits) copying(ctx context.Context, size int64) (release func(), err error) {
	n := min(max(size, 0), bufferPerCopy, l.memory)
	if err := l.acquire(ctx, l.bytes, n); err != nil {
		return nil, err
	}
	done, err := l.request(ctx)
	if err != nil {
		l.bytes.Release(n)
		return nil, err
	}
	return func() { done(); l.bytes.Release(n) }, nil
}

func (l *limits) acquire(ctx context.Context, of *semaphore.Weighted, n int64) error {
	if of.TryAcquire(n) {
		return nil
	}
	defer l.progress.waiting()()
	return of.Acquire(ctx, n)
}

// request waits for one request that holds no buffer worth counting.
func (l *limits) request(ctx context.Context) (release func(), err error) {
	if err := l.acquire(ctx, l.requests, 1); err != nil {
		return nil, err
	}
	if l.stopped() {
		l.requests.Release(1)
		return nil, errStopped
	}
	return func() { l.requests.Release(1) }, nil
}
