package migrate

import (
	"errors"
	"strings"
	"testing"

	"github.com/regferry/regferry/backends"
)

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
