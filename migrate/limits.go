package migrate

import (
	"context"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"
)

// limits is the one budget of a run: requests in flight, bytes in buffers, and
// bytes a second. Small objects and the parts of big ones share it.
type limits struct {
	requests *semaphore.Weighted
	bytes    *semaphore.Weighted
	memory   int64
	rate     *rate.Limiter   // nil: no limit
	stop     <-chan struct{} // closed: nothing is started any more
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

func newLimits(workers int, memory, bandwidth int64, stop <-chan struct{}) *limits {
	l := &limits{
		requests: semaphore.NewWeighted(int64(workers)),
		bytes:    semaphore.NewWeighted(memory),
		memory:   memory,
		stop:     stop,
	}
	if bandwidth > 0 {
		l.rate = rate.NewLimiter(rate.Limit(bandwidth), int(min(max(bandwidth/8, 64<<10), 8<<20)))
	}
	return l
}

// copying waits for one request and the memory of an object of size bytes.
func (l *limits) copying(ctx context.Context, size int64) (release func(), err error) {
	n := min(max(size, 0), bufferPerCopy, l.memory)
	if err := l.bytes.Acquire(ctx, n); err != nil {
		return nil, err
	}
	done, err := l.request(ctx)
	if err != nil {
		l.bytes.Release(n)
		return nil, err
	}
	return func() { done(); l.bytes.Release(n) }, nil
}

// request waits for one request that holds no buffer worth counting.
func (l *limits) request(ctx context.Context) (release func(), err error) {
	if err := l.requests.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	if l.stopped() {
		l.requests.Release(1)
		return nil, errStopped
	}
	return func() { l.requests.Release(1) }, nil
}

// paced is a source body that keeps to the bandwidth.
type paced struct {
	io.ReadCloser
	ctx  context.Context
	rate *rate.Limiter
}

func (p paced) Read(b []byte) (int, error) {
	if len(b) > p.rate.Burst() {
		b = b[:p.rate.Burst()]
	}
	n, err := p.ReadCloser.Read(b)
	if n > 0 {
		// Not WaitN: it fails at once, and with an error of its own, when the
		// context will end before the bytes are due.
		t := time.NewTimer(p.rate.ReserveN(time.Now(), n).Delay())
		defer t.Stop()
		select {
		case <-p.ctx.Done():
			return n, p.ctx.Err()
		case <-t.C:
		}
	}
	return n, err
}
