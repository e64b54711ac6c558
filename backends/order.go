package backends

import (
	"fmt"
	"iter"
)

// Ordered passes a listing on and holds it to rule L1: a key that is not
// greater than the one before it ends the listing with an *[Error] that names
// both. It is [Unsupported], since a store that lists so does it again, and a
// merge of two listings would take objects for absent.
func Ordered(listing iter.Seq2[Object, error]) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		last, first := "", true
		for o, err := range listing {
			if err != nil {
				yield(Object{}, err)
				return
			}
			if !first && o.Key <= last {
				yield(Object{}, outOfOrder(last, o.Key))
				return
			}
			if !yield(o, nil) {
				return
			}
			last, first = o.Key, false
		}
	}
}

func outOfOrder(last, key string) error {
	what := "is listed after"
	if last == key {
		what = "is listed twice, after"
	}
	return &Error{Op: "list", Key: key, Class: Unsupported,
		Err: fmt.Errorf("out of byte order: it %s %s", what, Printable(last))}
}
