package verify

import (
	"context"
	"time"
)

// Quick returns options that do not sleep between tries.
func Quick(o Options) Options {
	o.sleep = func(ctx context.Context, _ time.Duration) error { return ctx.Err() }
	return o
}

// Sleeping returns options that tell of each pause, and do not sleep.
func Sleeping(o Options, told func(time.Duration)) Options {
	o.sleep = func(ctx context.Context, d time.Duration) error {
		told(d)
		return ctx.Err()
	}
	return o
}
