package layout

import (
	"errors"
	"strings"
	"testing"
)

var badLinks = []struct{ in, says string }{
	{"", "empty"},
	{"\n", "no colon"},
	{"sha256:" + hexA + "\n", "65 characters"},
	{"sha256:" + hexA + "\x00", `\x00"`},
	{strings.Repeat("\x00", 71), "no colon"},
	{"sha256:" + hexA[1:], "63 characters"},
	{"sha256:" + strings.ToUpper(hexA), "not lower-case hex"},
	{"SHA256:" + hexA, "bad algorithm"},
	{" sha256:" + hexA, "bad algorithm"},
	{"sha256:", "0 characters"},
	{":" + hexA, "bad algorithm"},
	{hexA, "no colon"},
	{"sha256:" + hexA + "sha256:" + hexA, "135 characters"}, // Azure, distribution issue 4887
	{"x:abcd", "only 4 characters"},
	{"../x:" + hexA, "bad algorithm"},
	{"a..b:" + hexA, "bad algorithm"},
	{"a+:" + hexA, "bad algorithm"},
	{"sha256+ab:" + hexA, "bad algorithm"},
	{hexA + ":" + hexA, "bad algorithm"},
	{"x:" + strings.Repeat("a", 2000), "too long"},
	{strings.Repeat("\xff", 1<<20), "1048496 bytes more"},
}

func TestParseLink(t *testing.T) {
	for _, s := range []string{"sha256:" + hexA, "sha512:" + hexB, "sha384:" + hexA + hexA[:32], "a.b+c_d-e:" + hexA} {
		if d, err := ParseLink([]byte(s)); err != nil || string(d) != s {
			t.Errorf("%s: %q, %v", s, d, err)
		}
	}
	for _, c := range badLinks {
		d, err := ParseLink([]byte(c.in))
		if d != "" || !errors.Is(err, ErrLink) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%.90q: %q, %v", c.in, d, err)
		}
		if err != nil && (len(err.Error()) > 500 || strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r > '~' })) {
			t.Errorf("%.90q: the error is not printable: %q", c.in, err)
		}
	}
}

func FuzzLink(f *testing.F) {
	f.Add([]byte("sha256:" + hexA))
	f.Add([]byte("sha512:" + hexB))
	f.Add([]byte("a.b+c_d-e:" + hexA))
	for _, c := range badLinks {
		f.Add([]byte(c.in))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ParseLink(b)
		if err != nil {
			if d != "" || !errors.Is(err, ErrLink) {
				t.Fatalf("%q: %q, %v", b, d, err)
			}
			return
		}
		if string(d) != string(b) {
			t.Fatalf("%q became %q", b, d)
		}
		for _, key := range []string{BlobKey(d), LayerKey("r", d), RevisionKey("r", d), TagIndexKey("r", "t", d)} {
			if k := Parse(key); (k.Path != "" || k.String() != key) && len(key) <= maxKey {
				t.Fatalf("%q: key %q is %+v", b, key, k)
			}
		}
	})
}
