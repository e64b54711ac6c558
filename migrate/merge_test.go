package migrate

import (
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/regferry/regferry/backends"
)

func listing(keys string, fails error) iter.Seq2[backends.Object, error] {
	return func(yield func(backends.Object, error) bool) {
		for _, k := range strings.Fields(keys) {
			if !yield(backends.Object{Key: k}, nil) {
				return
			}
		}
		if fails != nil {
			yield(backends.Object{}, fails)
		}
	}
}

func TestMerge(t *testing.T) {
	broken := &backends.Error{Op: "list", Class: backends.Transient}
	for _, c := range []struct {
		src, dst   string
		srcE, dstE error
		want       string
		side       backends.Side
	}{
		{"", "", nil, nil, "", ""},
		{"a b c", "", nil, nil, "<a <b <c", ""},
		{"", "a b", nil, nil, ">a >b", ""},
		{"a c d", "b c e", nil, nil, "<a >b =c <d >e", ""},
		{"a", "a", nil, nil, "=a", ""},
		{"a a/x", "a-b", nil, nil, "<a >a-b <a/x", ""},
		{"a", "a b", broken, nil, "=a", backends.Source},
		{"a b", "a", nil, broken, "=a", backends.Destination},
		{"", "", broken, broken, "", backends.Source},
		{"", "a b c", broken, nil, "", backends.Source}, // what comes after an error is not known, so nothing is extra
		{"a b c", "", nil, broken, "", backends.Destination},
	} {
		t.Run(fmt.Sprint(c.src, "|", c.dst), func(t *testing.T) {
			var got []string
			var failed error
			for p, err := range merge(listing(c.src, c.srcE), listing(c.dst, c.dstE)) {
				if failed != nil {
					t.Fatal("it goes on after an error")
				}
				if failed = err; err != nil {
					continue
				}
				sign := "="
				if p.dst == nil {
					sign = "<"
				} else if p.src == nil {
					sign = ">"
				}
				got = append(got, sign+p.key)
			}
			if strings.Join(got, " ") != c.want || backends.SideOf(failed) != c.side || (failed != nil) != (c.side != "") {
				t.Errorf("%q, %v", got, failed)
			}
		})
	}
	for range merge(listing("a b", nil), listing("a c", nil)) {
		break // nothing may leak; the package's main test looks
	}
}

// Whatever breaks a listing off, none of its objects comes twice or is missed.
func TestListGoesOn(t *testing.T) {
	e, err := newEngine(nil, nil, quick())
	if err != nil {
		t.Fatal(err)
	}
	p := &pass{engine: e}
	keys := strings.Fields("a a-b a/x b c d")
	for every := 1; every < 4; every++ {
		s := &flaky{keys: keys, every: every}
		var got []string
		for o, err := range p.list(t.Context(), s, "", "") {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, o.Key)
		}
		if strings.Join(got, " ") != strings.Join(keys, " ") {
			t.Errorf("every %d: %q", every, got)
		}
	}
	s := &flaky{keys: keys, every: 0}
	for _, err := range p.list(t.Context(), s, "", "") {
		if !errors.Is(err, backends.Throttled) || s.calls != maxTries {
			t.Errorf("after %d calls: %v", s.calls, err)
		}
	}
}
