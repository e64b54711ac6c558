package backends_test

import (
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/regferry/regferry/backends"
)

// listing yields the keys and then err, if any. It fails the test when it is
// asked for more after it was told to stop.
func listing(t *testing.T, keys []string, err error) iter.Seq2[backends.Object, error] {
	return func(yield func(backends.Object, error) bool) {
		for _, k := range keys {
			if !yield(backends.Object{Key: k, Size: int64(len(k))}, nil) {
				return
			}
		}
		if err != nil && yield(backends.Object{}, err) {
			t.Error("asked for more after an error")
		}
	}
}

func TestOrdered(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		name  string
		keys  []string
		fails error
		want  []string
		both  []string // keys that the error names
	}{
		{name: "empty"},
		{name: "in order", keys: []string{"", "a", "a-b/x", "a/x", "a0"}, want: []string{"", "a", "a-b/x", "a/x", "a0"}},
		{name: "a directory before its sibling", keys: []string{"a/x", "a-b"}, want: []string{"a/x"}, both: []string{"a/x", "a-b"}},
		{name: "twice", keys: []string{"a", "b", "b", "c"}, want: []string{"a", "b"}, both: []string{"b"}},
		{name: "the empty key twice", keys: []string{"", ""}, want: []string{""}, both: []string{"twice"}},
		{name: "bytes, not letters", keys: []string{"Z", "a", "\xff", "é"}, want: []string{"Z", "a", "\xff"}, both: []string{`"\u00e9"`, `"\xff"`}},
		{name: "an error passes", keys: []string{"a"}, fails: broken, want: []string{"a"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			var failed error
			for o, err := range backends.Ordered(listing(t, c.keys, c.fails)) {
				if failed != nil {
					t.Fatalf("%q follows the error %v", o.Key, failed)
				}
				if failed = err; err == nil {
					got = append(got, o.Key)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("keys %q, want %q", got, c.want)
			}
			if c.fails != nil {
				if failed != c.fails {
					t.Errorf("error %v, want %v as it was", failed, c.fails)
				}
				return
			}
			var e *backends.Error
			if (c.both != nil) != errors.As(failed, &e) {
				t.Fatalf("error %v", failed)
			}
			if c.both == nil {
				return
			}
			if e.Op != "list" || !errors.Is(failed, backends.Unsupported) {
				t.Errorf("operation %q, class %v", e.Op, e.Class)
			}
			for _, k := range c.both {
				if !strings.Contains(failed.Error(), k) {
					t.Errorf("%q does not name %s", failed, k)
				}
			}
		})
	}
}

func TestOrderedCanBeBrokenOff(t *testing.T) {
	for range backends.Ordered(listing(t, []string{"b", "a"}, nil)) {
		return // a range function that is asked for more after a break panics
	}
	t.Error("no object came")
}
