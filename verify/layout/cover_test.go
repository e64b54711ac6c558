package layout

import (
	"errors"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// walk returns the keys, which are sorted, in no prefix, as Gaps finds them,
// and how many listings and covered keys it took.
func walk(t *testing.T, c Cover, keys []string) (seen []string, listings, wasted int) {
	t.Helper()
	listed := 0
	list := func(after string) iter.Seq2[string, error] {
		if listings++; listings > 10*len(keys)+10 {
			t.Fatalf("cover %q, keys %q: no end in sight", c, keys)
		}
		return func(yield func(string, error) bool) {
			i, found := slices.BinarySearch(keys, after)
			if found {
				i++
			}
			for _, key := range keys[i:] {
				if listed++; !yield(key, nil) {
					return
				}
			}
		}
	}
	for key, err := range Gaps(c, list, func(key string) string { return key }) {
		if err != nil {
			t.Fatal(err)
		}
		seen = append(seen, key)
	}
	return seen, listings, listed - len(seen)
}

// A listing that fails is said, and one that is broken off is not gone on with.
func TestGapsEnds(t *testing.T) {
	broken, lists := errors.New("broken"), 0
	list := func(string) iter.Seq2[string, error] {
		lists++
		return func(yield func(string, error) bool) { _ = yield("a", nil) && yield("", broken) }
	}
	var failed error
	for _, err := range Gaps(Cover{"x"}, list, strings.Clone) {
		failed = err
	}
	for range Gaps(Cover{"x"}, list, strings.Clone) {
		break
	}
	if !errors.Is(failed, broken) || lists != 2 {
		t.Errorf("%v after %d listings", failed, lists)
	}
}

func uncovered(c Cover, keys []string) []string {
	var out []string
	for _, key := range keys {
		if !slices.ContainsFunc(c, func(p string) bool { return strings.HasPrefix(key, p) }) {
			out = append(out, key)
		}
	}
	return out
}

// Few letters, among them the neighbours of every border, make collisions
// likely.
func TestCoverAgainstBruteForce(t *testing.T) {
	const letters = "\x00/0129}~\x7f\xf4\xfe\xff"
	rng := rand.New(rand.NewPCG(1, 2))
	word := func(most int) string {
		var b strings.Builder
		for range rng.IntN(most + 1) {
			if rng.IntN(12) == 0 {
				b.WriteString("\U0010FFFF")
				continue
			}
			b.WriteByte(letters[rng.IntN(len(letters))])
		}
		return b.String()
	}
	for range 20000 {
		var c Cover
		for range rng.IntN(6) {
			c = append(c, word(2))
		}
		slices.Sort(c)
		kept := c[:0]
		for _, p := range c {
			if len(kept) == 0 || !strings.HasPrefix(p, kept[len(kept)-1]) {
				kept = append(kept, p)
			}
		}
		c = kept
		keys := slices.Clone([]string(c))
		for _, p := range c {
			keys = append(keys, next(p), p+word(4))
		}
		for range rng.IntN(20) {
			keys = append(keys, word(5))
		}
		keys = slices.DeleteFunc(keys, func(k string) bool { return k == "" })
		slices.Sort(keys)
		keys = slices.Compact(keys)

		seen, _, _ := walk(t, c, keys)
		if want := uncovered(c, keys); !slices.Equal(seen, want) {
			t.Fatalf("cover %q\nkeys %q\n got %q\nwant %q", c, keys, seen, want)
		}
	}
}

func TestTight(t *testing.T) {
	c := Tight()
	if !slices.IsSorted(c) {
		t.Fatal("not sorted")
	}
	for i := range c[1:] {
		if strings.HasPrefix(c[i+1], c[i]) {
			t.Fatalf("%s begins with %s", c[i+1], c[i])
		}
	}
	if len(Shards()) != 256 || Shards()[0] != "docker/registry/v2/blobs/sha256/00" || Shards()[255] != "docker/registry/v2/blobs/sha256/ff" {
		t.Errorf("shards: %q", Shards())
	}
	for _, k := range keyCases {
		got := Parse(k.in)
		_, covered := c.Skip(k.in)
		if want := got.Repository != "" || got.Kind == Blob && got.Digest.Algorithm() == "sha256"; want && !covered {
			t.Errorf("%s is in no shard or partition", k.in)
		}
	}
}

// A registry of 60,000 keys costs a listing a run of touching prefixes, not
// one a prefix, and a stray key of any bytes is seen once.
func TestTightWalk(t *testing.T) {
	strays := []string{
		Root, Root + "blobs/sha256/0:", Root + "blobs/sha256/0g", Root + "blobs/sha256/", Root + "blobs/sha256/fg",
		BlobKey(shaB), rRoot, rRoot + "-", rRoot + "_x", rRoot + "{", Root + "zzz", Root + "\xff", rRoot + ":", rRoot + "[",
	}
	keys := slices.Clone(strays)
	for _, p := range Tight() {
		for i := range 190 {
			keys = append(keys, p+string(rune('0'+i%70))+string(rune('0'+i/70))+"/link")
		}
	}
	keys = append(keys, rRoot+"a\xff\xff", rRoot+"a~~~", rRoot+"z~", rRoot+"z\U0010FFFFx", rRoot+"z\xff\xff\xff")
	slices.Sort(keys)
	slices.Sort(strays)
	seen, listings, wasted := walk(t, Tight(), keys)
	if !slices.Equal(seen, strays) {
		t.Errorf("got %q\nwant %q", seen, strays)
	}
	if listings > 45 || wasted > 45 {
		t.Errorf("%d listings, %d covered keys seen", listings, wasted)
	}
	t.Logf("%d keys: %d listings, %d covered keys seen", len(keys), listings, wasted)
}

func TestSkipFitsEveryStore(t *testing.T) {
	after, covered := Tight().Skip(BlobKey(shaA))
	if want := Root + "blobs/sha256/af~"; after != want || !covered {
		t.Errorf("got %q, %v, want %q", after, covered, want)
	}
	// A service answers with valid UTF-8, and gets the like.
	for _, stray := range []string{"~", "~~", "é", "\U0001F600/x"} {
		key := rRoot + "z" + stray
		if after, _ := Tight().Skip(key); after <= key || !utf8.ValidString(after) {
			t.Errorf("%q: %q", key, after)
		}
	}
	if _, covered := (Cover)(nil).Skip("x"); covered {
		t.Error("the zero Cover covers")
	}
	if after, covered := (Cover{""}).Skip("x"); after != "~" || !covered {
		t.Errorf(`Cover{""}: %q, %v`, after, covered)
	}
}
