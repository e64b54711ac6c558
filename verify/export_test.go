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
