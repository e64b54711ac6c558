package migrate

import (
	"context"
	"iter"

	"github.com/regferry/regferry/backends"
)

// pair is one key on both sides; nil where a side does not have it.
type pair struct {
	key      string
	src, dst *backends.Object
}

// merge joins two listings in byte order. It costs the memory of a few
// batches of objects. After an error, which names its side, it ends.
func merge(src, dst iter.Seq2[backends.Object, error]) iter.Seq2[pair, error] {
	return func(yield func(pair, error) bool) {
		a, b := listAhead(src), listAhead(dst)
		defer a.stop()
		defer b.stop()
		x, errX, okX := a.next()
		y, errY, okY := b.next()
		for okX || okY {
			if errX != nil {
				yield(pair{}, backends.At(backends.Source, errX))
				return
			}
			if errY != nil {
				yield(pair{}, backends.At(backends.Destination, errY))
				return
			}
			p := pair{key: x.Key}
			if !okX || okY && y.Key < x.Key {
				p.key = y.Key
			}
			if okX && x.Key == p.key {
				o := x
				p.src = &o
				x, errX, okX = a.next()
			}
			if okY && y.Key == p.key {
				o := y
				p.dst = &o
				y, errY, okY = b.next()
			}
			if !yield(p, nil) {
				return
			}
		}
	}
}

// list lists one side below prefix, goes on where a passing fault broke it
// off, and holds the store to its order: two listings can only be merged when
// both are sorted.
func (p *pass) list(ctx context.Context, s backends.ReadStore, prefix, after string) iter.Seq2[backends.Object, error] {
	return func(yield func(backends.Object, error) bool) {
		for try := 0; ; try++ {
			broken := p.listOnce(ctx, s, prefix, &after, &try, yield)
			if broken == nil {
				return
			}
			if !backends.ClassOf(broken).Retryable() || try >= maxTries-1 || p.pause(ctx, try) != nil {
				yield(backends.Object{}, broken)
				return
			}
		}
	}
}

// listOnce yields from after on and moves it along; it returns the error that
// broke the listing off. Progress makes the tries count from the start again.
func (p *pass) listOnce(ctx context.Context, s backends.ReadStore, prefix string, after *string, try *int, yield func(backends.Object, error) bool) error {
	for o, err := range backends.Ordered(s.List(ctx, prefix, *after)) {
		if err != nil {
			return err
		}
		*after, *try = o.Key, 0
		if !yield(o, nil) {
			return nil
		}
	}
	return nil
}
