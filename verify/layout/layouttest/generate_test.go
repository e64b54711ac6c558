package layouttest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/verify/layout"
)

// inTree generates into memory and checks what every put must hold.
func inTree(t *testing.T, shape Shape) (tree, *Registry) {
	t.Helper()
	all := tree{}
	r, err := Generate(shape, func(key string, size int64, open func() io.Reader) error {
		if _, ok := all[key]; ok {
			t.Errorf("%s: twice", key)
		}
		for range 2 {
			b, err := io.ReadAll(open())
			if err != nil {
				return err
			}
			if int64(len(b)) != size || all[key] != nil && string(all[key]) != string(b) {
				t.Errorf("%s: %d bytes, said %d, or not the same twice", key, len(b), size)
			}
			all[key] = b
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all, r
}

var shapes = map[string]Shape{
	"nothing":        {},
	"empty images":   {Repositories: 2, Tags: 2},
	"small":          Small(1),
	"another":        Small(2),
	"all shared":     {Seed: 3, Repositories: 5, Tags: 5, Layers: 4, Shared: 1},
	"tiny layers":    {Seed: 4, Repositories: 3, Tags: 4, Layers: 5, MinLayer: 1, MaxLayer: 2, Indexes: 2, Artifacts: 9, Nested: true},
	"only indexes":   {Seed: 5, Repositories: 2, Layers: 1, Indexes: 3, Nested: true},
	"few large":      {Seed: 6, Repositories: 1, Tags: 1, Layers: 2, MinLayer: inMemory + 1, MaxLayer: inMemory + 9, SHA512: true, Alias: true},
	"many small":     {Seed: 7, Repositories: 40, Tags: 10, Layers: 2, Shared: 0.5, Nested: true, Artifacts: 3},
	"artifacts only": {Seed: 8, Repositories: 2, Tags: 1, Artifacts: 4},
}

func TestGenerate(t *testing.T) {
	for name, shape := range shapes {
		t.Run(name, func(t *testing.T) {
			all, r := inTree(t, shape)
			checkMade(t, all, r)
			if broken := all.brokenTags(); broken != nil {
				t.Errorf("broken tags: %q", broken)
			}
			wantTags := shape.Repositories * (shape.Tags + shape.Indexes + min(shape.Artifacts, shape.Tags+shape.Indexes))
			if got := len(r.TagNames()); got != wantTags {
				t.Errorf("%d tags, want %d", got, wantTags)
			}
		})
	}
}

// checkMade compares what was written with what Registry says, both ways.
func checkMade(t *testing.T, all tree, r *Registry) {
	t.Helper()
	want := map[string]bool{}
	for d := range r.Blobs {
		want[layout.BlobKey(d)] = true
	}
	for _, repo := range r.Repositories {
		for tag, d := range repo.Tags {
			want[layout.TagKey(repo.Name, tag)] = true
			want[layout.TagIndexKey(repo.Name, tag, d)] = true
		}
		for _, d := range repo.Revisions {
			want[layout.RevisionKey(repo.Name, d)] = true
		}
		for _, d := range repo.Layers {
			want[layout.LayerKey(repo.Name, d)] = true
		}
	}
	bytes := int64(0)
	for key, b := range all {
		bytes += int64(len(b))
		k := layout.Parse(key)
		if !want[key] || k.String() != key || k.Kind == layout.Unknown || k.Kind.Skipped() {
			t.Errorf("%s: a %v nobody knows of", key, k.Kind)
		}
		if k.Kind == layout.Blob && (r.Blobs[k.Digest] != int64(len(b)) || k.Digest.Algorithm().FromBytes(b) != k.Digest) {
			t.Errorf("%s: wrong size or digest", key)
		}
	}
	if len(all) != len(want) || r.Objects != len(all) || r.Bytes != bytes {
		t.Errorf("%d keys of %d bytes, want %d; the registry says %d of %d", len(all), bytes, len(want), r.Objects, r.Bytes)
	}
	checkNeeds(t, all, r)
}

// checkNeeds compares Needs with what the manifests say.
func checkNeeds(t *testing.T, all tree, r *Registry) {
	t.Helper()
	for d, needs := range r.Needs {
		m, err := layout.ParseManifest(all[layout.BlobKey(d)])
		if err != nil {
			t.Errorf("%s: %v", d, err)
		}
		got, want := map[digest.Digest]bool{}, map[digest.Digest]bool{}
		for _, ref := range m.References {
			if ref.Role != layout.Subject {
				got[ref.Digest] = true
			}
		}
		for _, n := range needs {
			want[n] = true
		}
		if !maps.Equal(got, want) {
			t.Errorf("%s needs %v, it says %v", d, needs, m.References)
		}
	}
}

// Cut off after any object, no tag with a link is broken, and the kinds come
// in the order in which a registry writes.
func TestGenerateOrder(t *testing.T) {
	all := tree{}
	_, err := Generate(Small(9), func(key string, _ int64, open func() io.Reader) error {
		k := layout.Parse(key)
		b, err := io.ReadAll(open())
		all[key] = b
		switch k.Kind {
		case layout.TagLink:
			if err := all.tag(k); err != nil {
				t.Errorf("%s: too early: %v", key, err)
			}
		case layout.RevisionLink:
			if err := all.manifest(k.Repository, k.Digest); err != nil {
				t.Errorf("%s: too early: %v", key, err)
			}
		case layout.LayerLink:
			if _, err := all.blob(key); err != nil {
				t.Errorf("%s: too early: %v", key, err)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSmallHasEverything(t *testing.T) {
	all, r := inTree(t, Small(1))
	has := func(what string, ok bool) {
		if !ok {
			t.Errorf("no %s", what)
		}
	}
	_, empty := r.Blobs[digest.FromString("")]
	has("empty layer", empty)
	has("alias", len(r.Aliases) == 1)
	has("sha512 blob", slices.ContainsFunc(slices.Collect(maps.Keys(r.Blobs)), func(d digest.Digest) bool { return d.Algorithm() == digest.SHA512 }))
	has("nested repository", strings.HasPrefix(r.Repositories[1].Name, r.Repositories[0].Name+"/"))
	has("tag v1.tmp", r.Repositories[0].Tags["v1.tmp"] != "")
	has("referrers tag", len(r.Repositories[0].Artifacts) == 1)
	kinds := map[string]bool{}
	subject := false
	for d := range r.Needs {
		m, err := layout.ParseManifest(all[layout.BlobKey(d)])
		if err != nil {
			t.Fatal(err)
		}
		kinds[m.MediaType] = true
		subject = subject || slices.ContainsFunc(m.References, func(r layout.Reference) bool { return r.Role == layout.Subject })
	}
	has("Docker manifest", kinds[layout.DockerManifest])
	has("OCI manifest", kinds["application/vnd.oci.image.manifest.v1+json"])
	has("subject", subject)
	links := map[digest.Digest]int{}
	for _, repo := range r.Repositories {
		for _, d := range repo.Layers {
			links[d]++
		}
	}
	has("layer of two repositories", slices.Max(slices.Collect(maps.Values(links))) > 1)
	t.Logf("%d objects, %d bytes", r.Objects, r.Bytes)
}

func TestDeterministic(t *testing.T) {
	a, ra := inTree(t, Small(5))
	b, rb := inTree(t, Small(5))
	c, _ := inTree(t, Small(6))
	if !reflect.DeepEqual(a, b) || !reflect.DeepEqual(ra, rb) {
		t.Error("the same seed made two registries")
	}
	if reflect.DeepEqual(a, c) {
		t.Error("another seed made the same")
	}
}

// The seed of a benchmark or a bug report must mean the same next year.
func TestSeedIsForEver(t *testing.T) {
	_, r := inTree(t, Small(1))
	const want = "sha256:03808b4a8296fc251e11c99087dd232e6c0f91a54b434a36c05d260ffc15bed0"
	if got := r.Repositories[0].Tags["latest"]; got != want {
		t.Errorf("Small(1) is another registry than it was: %s, was %s", got, want)
	}
}

func TestLogUniform(t *testing.T) {
	sizes := map[int]int{}
	_, err := Generate(Shape{Seed: 1, Repositories: 1, Tags: 100, Layers: 20, MinLayer: 10, MaxLayer: 10_000}, func(key string, size int64, _ func() io.Reader) error {
		if k := layout.Parse(key); k.Kind == layout.Blob {
			sizes[len(fmt.Sprint(size))]++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// Configs and manifests have three and four digits.
	if n := sizes[2]; n < 500 || n > 850 {
		t.Errorf("of 2,000 layers of 10 to 10,000 bytes %d have two digits, want a third", n)
	}
}

func TestBadShapes(t *testing.T) {
	for _, s := range []Shape{
		{Repositories: -1}, {Tags: -1}, {Layers: -1}, {Indexes: -1}, {Artifacts: -1},
		{MinLayer: -1}, {MinLayer: 10, MaxLayer: 9}, {Shared: -0.1}, {Shared: 1.1},
	} {
		if _, err := Generate(s, nil); err == nil {
			t.Errorf("%+v: accepted", s)
		}
	}
	if _, err := Generate(Shape{Repositories: 1, Tags: 1, Layers: 1, MinLayer: 9000}, func(string, int64, func() io.Reader) error { return nil }); err != nil {
		t.Errorf("a minimum above the default maximum: %v", err)
	}
}

func TestPutErrorStops(t *testing.T) {
	stop := errors.New("stop")
	n := 0
	r, err := Generate(Small(1), func(string, int64, func() io.Reader) error {
		if n++; n == 10 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || n != 10 || r.Objects != 9 {
		t.Errorf("%v after %d puts, %d objects", err, n, r.Objects)
	}
}

// readTree reads what is on disk; a directory where a file should be is read
// as nothing, as a store does.
func readTree(t *testing.T, dir string) tree {
	t.Helper()
	all := tree{}
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		all[filepath.ToSlash(rel)], err = os.ReadFile(name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestWriteDir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "registry")
	r, err := WriteDir(dir, Small(1))
	if err != nil {
		t.Fatal(err)
	}
	want, wantR := inTree(t, Small(1))
	if got := readTree(t, dir); !reflect.DeepEqual(r, wantR) || !maps.EqualFunc(got, want, func(a, b []byte) bool { return string(a) == string(b) }) {
		t.Error("the directory is not what Generate makes")
	}
	if _, err := WriteDir(dir, Small(1)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a registry over another: %v", err)
	}
}

func BenchmarkWriteDir(b *testing.B) {
	for name, shape := range map[string]Shape{
		"45k-objects": {Repositories: 100, Tags: 50, Layers: 4, MinLayer: 100, MaxLayer: 10_000, Shared: 0.6},
		"400MB":       {Repositories: 1, Tags: 2, Layers: 4, MinLayer: 50 << 20, MaxLayer: 50 << 20},
	} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				r, err := WriteDir(filepath.Join(b.TempDir(), "r"), shape)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(r.Bytes)
				b.ReportMetric(float64(r.Objects), "objects")
			}
		})
	}
}
