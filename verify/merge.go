package verify

import (
	"context"
	"iter"

	"github.com/regferry/regferry/backends"
)

// Pair is one key on both sides; nil where a side does not have it.
type Pair struct {
	Key      string
	Src, Dst *backends.Object
}

// Merge joins two listings in byte order. It costs the memory of a few
// batches of objects. After an error, which names its side, it ends.
func Merge(src, dst iter.Seq2[backends.Object, error]) iter.Seq2[Pair, error] {
	return func(yield func(Pair, error) bool) {
		a, b := listAhead(src), listAhead(dst)
		defer a.stop()
		defer b.stop()
		x, errX, okX := a.next()
		y, errY, okY := b.next()
		for okX || okY {
			if errX != nil {
				yield(Pair{}, backends.At(backends.Source, errX))
				return
			}
			if errY != nil {
				yield(Pair{}, backends.At(backends.Destination, errY))
				return
			}
			p := Pair{Key: x.Key}
			if !okX || okY && y.Key < x.Key {
				p.Key = y.Key
			}
			if okX && x.Key == p.Key {
				o := x
				p.Src = &o
				x, errX, okX = a.next()
			}
			if okY && y.Key == p.Key {
				o := y
				p.Dst = &o
				y, errY, okY = b.next()
			}
			if !yield(p, nil) {
				return
			}
		}
	}
}

// List lists a store below prefix, goes on where a passing fault broke it off,
// and holds the store to its order: two listings can only be merged when both
// are sorted. pause waits before try number 1, 2, ..., after broken; its error
// ends the tries and is what the listing ends with.
func List(ctx context.Context, s backends.ReadStore, prefix, after string, pause func(ctx context.Context, try int, broken error) error) iter.Seq2[backends.Object, error] {
	return func(yield func(backends.Object, error) bool) {
		for try := 0; ; try++ {
			broken := listOnce(ctx, s, prefix, &after, &try, yield)
			if broken == nil {
				return
			}
			again := backends.ClassOf(broken).Retryable() && try < maxTries-1
			if again {
				if err := pause(ctx, try, broken); err != nil {
					again, broken = false, err
				}
			}
			if !again {
				yield(backends.Object{}, broken)
				return
			}
		}
	}
}

// listOnce yields from after on and moves it along; it returns the error that
// broke the listing off. Progress makes the tries count from the start again.
func listOnce(ctx context.Context, s backends.ReadStore, prefix string, after *string, try *int, yield func(backends.Object, error) bool) error {
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
