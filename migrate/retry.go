package migrate

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/regferry/regferry/backends"
)

// The engine retries an object; the SDK below it retries a request, and
// nothing retries a run. maxTries with these pauses is some six seconds, which
// outlasts a server's restart but not a broken disk.
const (
	maxTries   = 6
	firstPause = 200 * time.Millisecond
)

// pause waits before the next try, twice as long each time, spread by half so
// that workers who failed together do not come back together.
func (e *engine) pause(ctx context.Context, try int) error {
	d := firstPause << min(try, 8)
	return e.wait(ctx, d/2+rand.N(d))
}

func (e *engine) wait(ctx context.Context, d time.Duration) error {
	if e.sleep != nil {
		return e.sleep(ctx, d)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// How often corrupt content is read again before it is called damage. A bit may
// flip on the way. And registry 2.8 makes a link or a manifest empty before it
// writes it, so a small object at a live source may be seen half written: it
// gets a second chance and some 150 to 450 milliseconds for each.
const (
	againLarge = 1
	againSmall = 2
	smallSize  = 1 << 20 // bytes
)

func again(size int64) int {
	if size > smallSize {
		return againLarge
	}
	return againSmall
}

// retry calls f until it succeeds, fails for good, or has been tried
// maxTries times; corrupt is how often it is called again after that class, and
// sides are those that f asks. A *[Fault] ends it at once.
func (e *engine) retry(ctx context.Context, corrupt int, f func(try int) error, sides ...backends.Side) error {
	for try := 0; ; try++ {
		err := f(try)
		if err == nil {
			e.breaker.succeeded(sides...)
			return nil
		}
		if cancelled(ctx, err) {
			return err
		}
		if fault := e.breaker.tried(err); fault != nil {
			return fault
		}
		class := backends.ClassOf(err)
		again := class.Retryable() || class == backends.Corrupt && try < corrupt
		if !again || try >= maxTries-1 {
			return err
		}
		e.progress.retried()
		e.Watch.retry(err)
		if wait := e.pause(ctx, try); wait != nil {
			return wait
		}
	}
}

// cancelled says that err came of the run's own end and is no failure.
func cancelled(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, context.Canceled)
}
