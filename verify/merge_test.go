package verify

import (
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
			for p, err := range Merge(listing(c.src, c.srcE), listing(c.dst, c.dstE)) {
				if failed != nil {
					t.Fatal("it goes on after an error")
				}
				if failed = err; err != nil {
					continue
				}
				sign := "="
				if p.Dst == nil {
					sign = "<"
				} else if p.Src == nil {
					sign = ">"
				}
				got = append(got, sign+p.Key)
			}
			if strings.Join(got, " ") != c.want || backends.SideOf(failed) != c.side || (failed != nil) != (c.side != "") {
				t.Errorf("%q, %v", got, failed)
			}
		})
	}
	for range Merge(listing("a b", nil), listing("a c", nil)) {
		break // nothing may leak; the package's main test looks
	}
}
