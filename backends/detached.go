package backends

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// DetachedMost is how long Detached lasts, and so a Delete of a service.
const DetachedMost = 20 * time.Second

// Detached is for what has to be ended once it was begun, also after a
// cancellation, which is also when a network is most likely to be gone.
func Detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return DetachedFor(ctx, DetachedMost)
}

// DetachedFor lasts as long as is said. Where that is over, its error is a refusal
// of the class [Transient], or that of ctx, if that has ended: a driver returns
// it as it is, and then it is the service that does not answer. It is no
// context.DeadlineExceeded, by which somebody above gives up (see [Ended]).
func DetachedFor(ctx context.Context, most time.Duration) (context.Context, context.CancelFunc) {
	d := &detached{Context: context.WithoutCancel(ctx), until: time.Now().Add(most), done: make(chan struct{})}
	timer := time.AfterFunc(most, func() {
		err := ctx.Err()
		if err == nil {
			err = Refuse(Transient, fmt.Sprintf("no answer within %v", most))
		}
		d.end(err)
	})
	return d, func() {
		timer.Stop()
		d.end(context.Canceled)
	}
}

// detached is a context of its own since one of package context ends with a
// DeadlineExceeded, whatever its cause, and that is what an SDK then returns.
type detached struct {
	context.Context // the values
	until           time.Time
	done            chan struct{}

	mu  sync.Mutex
	err error
}

func (d *detached) Deadline() (time.Time, bool) { return d.until, true }
func (d *detached) Done() <-chan struct{}       { return d.done }

func (d *detached) Err() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

func (d *detached) end(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		d.err = err
		close(d.done)
	}
}
