package migrate

import (
	"context"
	"iter"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify"
)

// list lists one side below prefix and goes on where a passing fault broke it
// off, unless the side has not answered for too long.
func (p *pass) list(ctx context.Context, s backends.ReadStore, prefix, after string) iter.Seq2[backends.Object, error] {
	side := backends.Source
	if s == p.dst {
		side = backends.Destination
	}
	return func(yield func(backends.Object, error) bool) {
		for o, err := range verify.List(ctx, s, prefix, after, p.pauseOn(side)) {
			if err == nil {
				p.breaker.answered(side)
			}
			if !yield(o, err) || err != nil {
				return
			}
		}
		p.breaker.answered(side)
	}
}

// pauseOn waits before something is tried again that a side did not answer,
// unless that has lasted for too long.
func (p *pass) pauseOn(side backends.Side) func(context.Context, int, error) error {
	return func(ctx context.Context, try int, broken error) error {
		if cancelled(ctx, broken) {
			return broken
		}
		if fault := p.breaker.tried(backends.At(side, broken)); fault != nil {
			return fault
		}
		p.Watch.retry(backends.At(side, broken))
		return p.pause(ctx, try)
	}
}
