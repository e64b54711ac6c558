package verify

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/regferry/regferry/backends"
)

// The SDK below retries a request; an object is tried maxTries times, some six
// seconds in all, which outlasts a server's restart but not a broken disk.
const (
	maxTries   = 6
	firstPause = 200 * time.Millisecond
)

// pause waits before the next try, twice as long each time, spread by half.
func (r *run) pause(ctx context.Context, try int, _ error) error {
	d := firstPause << min(try, 8)
	return r.wait(ctx, d/2+rand.N(d))
}

func (r *run) wait(ctx context.Context, d time.Duration) error {
	if r.sleep != nil {
		return r.sleep(ctx, d)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// retry calls f until it succeeds or fails for good; see again.
func (r *run) retry(ctx context.Context, f func() error) error {
	return again(ctx, func(ctx context.Context, try int, broken error) error {
		r.Progress.retries.Add(1)
		return r.pause(ctx, try, broken)
	}, f)
}

// again calls f until it succeeds, fails for good, or was tried maxTries
// times. Corrupt content is read once more: a bit may flip on the way. pause is
// as for [List].
func again(ctx context.Context, pause func(ctx context.Context, try int, broken error) error, f func() error) error {
	for try := 0; ; try++ {
		err := f()
		class := backends.ClassOf(err)
		more := class.Retryable() || class == backends.Corrupt && try == 0
		if err == nil || !more || try >= maxTries-1 || ctx.Err() != nil || errors.Is(err, context.Canceled) {
			return err
		}
		if wait := pause(ctx, try, err); wait != nil {
			return wait
		}
	}
}
