package verify

import (
	"strings"
	"testing"
)

func TestGlobs(t *testing.T) {
	for _, c := range []struct {
		globs []string
		names string // that match, of those below
	}{
		{nil, "a a/b a/b/c ab team_x/y"},
		{[]string{"a"}, "a"},
		{[]string{"a*"}, "a ab"},
		{[]string{"a/*"}, "a/b"},
		{[]string{"a/**"}, "a a/b a/b/c"},
		{[]string{"**"}, "a a/b a/b/c ab team_x/y"},
		{[]string{"**/c", "ab"}, "a/b/c ab"},
		{[]string{"?b"}, "ab"},
		{[]string{"{a,ab}"}, "a ab"},
		{[]string{"[a-b]b"}, "ab"},
		{[]string{"A"}, ""},
	} {
		var got []string
		for _, name := range []string{"a", "a/b", "a/b/c", "ab", "team_x/y"} {
			if Globs(c.globs).Match(name) {
				got = append(got, name)
			}
		}
		if strings.Join(got, " ") != c.names {
			t.Errorf("%q matches %q, want %q", c.globs, got, c.names)
		}
	}
	for _, bad := range []string{"", "[", "a[", "{a", `\`} {
		err := Globs{"fine", bad}.Check()
		if err == nil || !strings.Contains(err.Error(), "--repository") || !strings.Contains(err.Error(), "team/**") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
