package verify

import (
	"context"
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
	d = d/2 + rand.N(d)
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

// retry calls f until it succeeds, fails for good, or was tried maxTries
// times. Corrupt content is read once more: a bit may flip on the way.
func (r *run) retry(ctx context.Context, f func() error) error {
	for try := 0; ; try++ {
		err := f()
		class := backends.ClassOf(err)
		again := class.Retryable() || class == backends.Corrupt && try == 0
		if err == nil || !again || try >= maxTries-1 || r.ended(ctx, err) {
			return err
		}
		r.Progress.retries.Add(1)
		if wait := r.pause(ctx, try, err); wait != nil {
			return wait
		}
	}
}
