package layout

import (
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

var (
	hexA   = strings.Repeat("ab", 32)
	hexB   = strings.Repeat("cd", 64)
	shaA   = digest.Digest("sha256:" + hexA)
	shaB   = digest.Digest("sha512:" + hexB)
	md5C   = digest.Digest("x+md5:" + strings.Repeat("0f", 16))
	uuid   = "0193d3c8-7a1e-7bbb-8f00-0123456789ab"
	rRoot  = Root + "repositories/"
	linkA  = "sha256/" + hexA + "/link"
	linkC  = "x/md5/" + strings.Repeat("0f", 16) + "/link"
	longed = strings.Repeat("n", 1100)
)

// keyCases are all keys the tests know; FuzzKey starts from them.
var keyCases = []struct {
	in   string
	want Key // Path "" with a kind that keeps it means the whole key
}{
	{Root + "blobs/sha256/ab/" + hexA + "/data", Key{Kind: Blob, Digest: shaA}},
	{Root + "blobs/sha512/cd/" + hexB + "/data", Key{Kind: Blob, Digest: shaB}},
	{Root + "blobs/x/md5/0f/" + strings.Repeat("0f", 16) + "/data", Key{Kind: Blob, Digest: md5C}},
	{rRoot + "a/_layers/" + linkA, Key{Kind: LayerLink, Repository: "a", Digest: shaA}},
	{rRoot + "a/_layers/" + linkC, Key{Kind: LayerLink, Repository: "a", Digest: md5C}},
	{rRoot + "a/b/c/_layers/" + linkA, Key{Kind: LayerLink, Repository: "a/b/c", Digest: shaA}},
	{rRoot + "Host.example/a__b-c/_layers/" + linkA, Key{Kind: LayerLink, Repository: "Host.example/a__b-c", Digest: shaA}},
	{rRoot + "a/_manifests/revisions/" + linkA, Key{Kind: RevisionLink, Repository: "a", Digest: shaA}},
	{rRoot + "a/_manifests/revisions/sha256/" + hexA + "/signatures/" + linkC,
		Key{Kind: SignatureLink, Repository: "a", Digest: shaA, Signature: md5C}},
	{rRoot + "a/_manifests/revisions/x/signatures/" + hexA + "/signatures/y/signatures/" + hexA + "/link",
		Key{Kind: SignatureLink, Repository: "a", Digest: digest.Digest("x+signatures:" + hexA), Signature: digest.Digest("y+signatures:" + hexA)}},
	{rRoot + "a/_manifests/tags/v1/current/link", Key{Kind: TagLink, Repository: "a", Tag: "v1"}},
	{rRoot + "a/_manifests/tags/v1/index/" + linkA, Key{Kind: TagIndexLink, Repository: "a", Tag: "v1", Digest: shaA}},
	{rRoot + "a/_manifests/tags/v1.tmp/current/link", Key{Kind: TagLink, Repository: "a", Tag: "v1.tmp"}},
	{rRoot + "a/_manifests/tags/link." + uuid + ".tmp/current/link", Key{Kind: TagLink, Repository: "a", Tag: "link." + uuid + ".tmp"}},
	{rRoot + "a/_manifests/tags/_x/current/link", Key{Kind: TagLink, Repository: "a", Tag: "_x"}},
	{rRoot + "a/_manifests/tags/current/current/link", Key{Kind: TagLink, Repository: "a", Tag: "current"}},
	{rRoot + "a/_manifests/tags/index/index/" + linkA, Key{Kind: TagIndexLink, Repository: "a", Tag: "index", Digest: shaA}},
	{rRoot + "a/_manifests/tags/" + strings.Repeat("t", 128) + "/current/link", Key{Kind: TagLink, Repository: "a", Tag: strings.Repeat("t", 128)}},

	{rRoot + "a/_uploads/" + uuid + "/data", Key{Kind: Upload, Repository: "a"}},
	{rRoot + "a/_uploads/" + uuid + "/hashstates/sha256/0", Key{Kind: Upload, Repository: "a"}},
	{rRoot + "a/_uploads/x", Key{Kind: Upload, Repository: "a"}},

	{Root, Key{Kind: Junk}},
	{Root + "blobs/", Key{Kind: Junk}},
	{rRoot, Key{Kind: Junk}},
	{rRoot + "a/_uploads/", Key{Kind: Junk, Repository: "a"}},
	{rRoot + "a/", Key{Kind: Junk}},
	{rRoot + "a/_manifests/tags/v1/", Key{Kind: Junk, Repository: "a"}},
	{rRoot + "a/_manifests/tags/.nfs0001", Key{Kind: Junk, Repository: "a"}},
	{Root + "blobs/sha256/ab/" + hexA + "/.nfs00ab", Key{Kind: Junk}},
	{Root + "blobs/sha256/ab/" + hexA + "/data." + uuid + ".tmp", Key{Kind: Junk}},
	{rRoot + "a/_manifests/tags/v1/current/link." + uuid + ".tmp", Key{Kind: Junk, Repository: "a"}},
	{rRoot + "a/_uploads/u/startedat." + uuid + ".tmp", Key{Kind: Junk, Repository: "a"}},

	{Root + "blobs/sha256/5b/5bd0/data", Key{}},
	{Root + "blobs/sha256/ac/" + hexA + "/data", Key{}},
	{Root + "blobs/sha256/ab/" + hexA[2:] + "/data", Key{}},
	{Root + "blobs/sha256/AB/" + strings.ToUpper(hexA) + "/data", Key{}},
	{Root + "blobs/sha256/ab/" + hexA + "/data/x", Key{}},
	{Root + "blobs/sha256/ab/" + hexA, Key{}},
	{Root + "blobs/sha256/ab/ab/" + hexA + "/data", Key{}},
	{Root + "blobs/ab/" + hexA + "/data", Key{}},
	{Root + "blobs/x.y/ab/" + hexA + "/data", Key{}},
	{Root + "blobs//ab/" + hexA + "/data", Key{}},
	{Root + "blobs/" + hexA + "/ab/" + hexA + "/data", Key{}},
	{Root + "blobs/data", Key{}},
	{Root + "other", Key{}},
	{Root + "repositories", Key{}},
	{Root + "/repositories/a/_layers/" + linkA, Key{}},
	{rRoot + "/a/_layers/" + linkA, Key{}},
	{rRoot + "a//_layers/" + linkA, Key{}},
	{rRoot + "_layers/" + linkA, Key{}},
	{rRoot + "../_layers/" + linkA, Key{}},
	{rRoot + "a/../_layers/" + linkA, Key{}},
	{rRoot + ".a/_layers/" + linkA, Key{}},
	{rRoot + "a b/_layers/" + linkA, Key{}},
	{rRoot + "a\x00/_layers/" + linkA, Key{}},
	{rRoot + "\xff\xfe/_layers/" + linkA, Key{}},
	{rRoot + "é/_layers/" + linkA, Key{}},
	{rRoot + longed + "/_layers/" + linkA, Key{Repository: longed}},
	{rRoot + "a/README", Key{}},
	{rRoot + "a/_", Key{Repository: "a"}},
	{rRoot + "a/_layers", Key{Repository: "a"}},
	{rRoot + "a/_layersx/" + linkA, Key{Repository: "a"}},
	{rRoot + "a/_layers/" + linkA + "\n", Key{Repository: "a"}},
	{rRoot + "a/_layers/sha256/" + hexA + "/Link", Key{Repository: "a"}},
	{rRoot + "a/_layers/link", Key{Repository: "a"}},
	{rRoot + "a/_layers/sha256//" + hexA + "/link", Key{Repository: "a"}},
	{rRoot + "a/_layers/link." + "not-a-uuid.tmp", Key{Repository: "a"}},
	{rRoot + "a/_layers/hashstate." + uuid + ".tmp", Key{Repository: "a"}},
	{rRoot + "a/_manifests/revisions/sha256/" + hexA + "/_referrers/_x/" + linkA, Key{Repository: "a"}},
	{rRoot + "a/_manifests/revisions/sha256/" + hexA + "/signatures/link", Key{Repository: "a"}},
	{rRoot + "a/_manifests/tags/-x/current/link", Key{Repository: "a"}},
	{rRoot + "a/_manifests/tags/.nfs1/current/link", Key{Repository: "a"}},
	{rRoot + "a/_manifests/tags/" + strings.Repeat("t", 129) + "/current/link", Key{Repository: "a"}},
	{rRoot + "a/_manifests/tags/v1/current", Key{Repository: "a"}},
	{rRoot + "a/_manifests/tags/v1/link", Key{Repository: "a"}},
	{rRoot + "a/_manifests/tags//current/link", Key{Repository: "a"}},
	{rRoot + "a/_manifests/tags/v1/x/current/link", Key{Repository: "a"}},

	{"", Key{Kind: Outside}},
	{".regferry/lease", Key{Kind: Outside}},
	{"docker/registry/v2", Key{Kind: Outside}},
	{"/" + Root + "blobs/sha256/ab/" + hexA + "/data", Key{Kind: Outside}},
	{"docker/registry/v2x/blobs/", Key{Kind: Outside}},
}

func TestParse(t *testing.T) {
	for _, c := range keyCases {
		want := c.want
		switch want.Kind {
		case Unknown, Upload, Junk, Outside:
			want.Path = c.in
		}
		got := Parse(c.in)
		if got != want {
			t.Errorf("Parse(%q)\n got %+v\nwant %+v", c.in, got, want)
		}
		if s := got.String(); s != c.in {
			t.Errorf("Parse(%q).String() = %q", c.in, s)
		}
	}
}

// What the registry would write for these is what it writes: the keys are
// copied from a real registry's tree, not made by this package.
func TestKeysOfARealRegistry(t *testing.T) {
	const hex = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
	d := digest.Digest("sha256:" + hex)
	for got, want := range map[string]string{
		BlobKey(d):               "docker/registry/v2/blobs/sha256/44/" + hex + "/data",
		LayerKey("a/b", d):       "docker/registry/v2/repositories/a/b/_layers/sha256/" + hex + "/link",
		RevisionKey("a", d):      "docker/registry/v2/repositories/a/_manifests/revisions/sha256/" + hex + "/link",
		TagKey("a", "v"):         "docker/registry/v2/repositories/a/_manifests/tags/v/current/link",
		TagIndexKey("a", "v", d): "docker/registry/v2/repositories/a/_manifests/tags/v/index/sha256/" + hex + "/link",
		SignatureKey("a", d, d):  "docker/registry/v2/repositories/a/_manifests/revisions/sha256/" + hex + "/signatures/sha256/" + hex + "/link",
		UploadsPrefix("a"):       "docker/registry/v2/repositories/a/_uploads/",
		BlobKey(digest.Digest("a.b+c:" + hexAt("01"))): "docker/registry/v2/blobs/a/b/c/01/" + hexAt("01") + "/data",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func hexAt(s string) string { return strings.Repeat(s, 32) }

// A key made from nonsense must not panic nor pass for a good one.
func TestKeysOfNonsense(t *testing.T) {
	for _, d := range []digest.Digest{"", ":", "sha256", "sha256:", "sha256:a", "../..:" + digest.Digest(hexA)} {
		for _, key := range []string{BlobKey(d), LayerKey("a", d), RevisionKey("a", d), TagIndexKey("a", "t", d)} {
			if k := Parse(key); k.Kind != Unknown && k.Kind != Junk {
				t.Errorf("digest %q: %s is a %v", d, key, k.Kind)
			}
		}
	}
}

func TestDigestOf(t *testing.T) {
	if d, ok := DigestOf(BlobKey(shaA)); d != shaA || !ok {
		t.Errorf("blob: %q, %v", d, ok)
	}
	if d, ok := DigestOf(LayerKey("a", shaA)); d != "" || ok {
		t.Error("a layer link is taken for a blob")
	}
}

func TestOrder(t *testing.T) {
	kinds := []Kind{TagIndexLink, Outside, Blob, Unknown, TagLink, RevisionLink, LayerLink}
	slices.SortFunc(kinds, func(a, b Kind) int { return a.Order() - b.Order() })
	want := []Kind{Blob, LayerLink, RevisionLink, Unknown, TagLink, TagIndexLink, Outside}
	if !slices.Equal(kinds, want) {
		t.Errorf("got %v, want %v", kinds, want)
	}
	if SignatureLink.Order() != RevisionLink.Order() {
		t.Error("signatures are not written with revisions")
	}
}

func TestKindString(t *testing.T) {
	seen := map[string]bool{}
	for k := Unknown; k <= Outside+1; k++ {
		if s := k.String(); s == "" || seen[s] {
			t.Errorf("kind %d is %q", k, s)
		} else {
			seen[s] = true
		}
	}
	for k := Unknown; k <= Outside; k++ {
		if got, want := k.Skipped(), k == Upload || k == Junk; got != want {
			t.Errorf("%v skipped: %v", k, got)
		}
	}
}

func FuzzKey(f *testing.F) {
	for _, c := range keyCases {
		f.Add(c.in)
		f.Add(strings.TrimPrefix(c.in, Root))
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, key := range []string{s, Root + s, rRoot + s, rRoot + "a/_manifests/" + s} {
			k := Parse(key)
			if got := k.String(); got != key {
				t.Fatalf("Parse(%q) = %+v prints %q", key, k, got)
			}
			if again := Parse(k.String()); again != k {
				t.Fatalf("%q: %+v, again %+v", key, k, again)
			}
			kept := k.Kind == Unknown || k.Kind == Upload || k.Kind == Junk || k.Kind == Outside
			if kept != (k.Path != "") && key != "" {
				t.Fatalf("%q: %+v keeps the wrong thing", key, k)
			}
			if k.Digest != "" {
				if _, err := ParseLink([]byte(k.Digest)); err != nil {
					t.Fatalf("%q: %v", key, err)
				}
			}
			remake(t, k)
		}
	})
}

// remake checks that what Parse found gives keys that parse to the same.
func remake(t *testing.T, k Key) {
	t.Helper()
	if k.Repository == "" || k.Kind == Unknown || k.Digest == "" {
		return
	}
	for _, want := range []Key{
		{Kind: Blob, Digest: k.Digest},
		{Kind: LayerLink, Repository: k.Repository, Digest: k.Digest},
		{Kind: RevisionLink, Repository: k.Repository, Digest: k.Digest},
		{Kind: SignatureLink, Repository: k.Repository, Digest: k.Digest, Signature: k.Digest},
		{Kind: TagLink, Repository: k.Repository, Tag: "t"},
		{Kind: TagIndexLink, Repository: k.Repository, Tag: "t", Digest: k.Digest},
	} {
		s := want.String()
		if got := Parse(s); got != want && len(s) <= maxKey {
			t.Fatalf("%q\n got %+v\nwant %+v", s, got, want)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	keys := []string{BlobKey(shaA), LayerKey("a/b", shaA), TagKey("a/b", "v1.0.0")}
	b.ReportAllocs()
	for i := range b.N {
		Parse(keys[i%len(keys)])
	}
}
