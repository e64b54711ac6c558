package migrate

import (
	"context"

	"golang.org/x/sync/errgroup"
)

// batch runs tasks that are found while a listing goes on.
type batch struct {
	g   *errgroup.Group
	ctx context.Context
}

func (p *pass) batch(ctx context.Context) batch {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(p.Workers)
	return batch{g, ctx}
}

// do waits for a free worker.
func (b batch) do(f func(context.Context) error) {
	b.g.Go(func() error {
		if err := b.ctx.Err(); err != nil {
			return err
		}
		return f(b.ctx)
	})
}

func (b batch) fail(err error) { b.g.Go(func() error { return err }) }
func (b batch) wait() error    { return b.g.Wait() }
