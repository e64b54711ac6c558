package migrate

import (
	"bytes"
	"context"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"go.uber.org/goleak"
	"gocloud.dev/blob/memblob"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/bucket"
	"github.com/regferry/regferry/backends/filesystem"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/layout/layouttest"
	"github.com/regferry/regferry/verify/report"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quick are options that do not sleep between tries.
func quick() Options {
	return Options{Workers: 4, sleep: func(ctx context.Context, _ time.Duration) error { return ctx.Err() }}
}

// tempDir is a directory in memory where there is one: to sync a disk that
// others use takes longer than all else in these tests.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "regferry-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// registry makes a registry of a shape in a new directory.
func registry(t testing.TB, shape layouttest.Shape) (dir string, made *layouttest.Registry) {
	t.Helper()
	dir = tempDir(t)
	made, err := layouttest.WriteDir(dir, shape)
	if err != nil {
		t.Fatal(err)
	}
	return dir, made
}

func small(t testing.TB) (dir string, made *layouttest.Registry) {
	t.Helper()
	return registry(t, layouttest.Small(1))
}

// tiny is a registry of which each Put can be watched: one image, one index.
func tiny(t testing.TB) (dir string, made *layouttest.Registry) {
	t.Helper()
	return registry(t, layouttest.Shape{Seed: 5, Repositories: 2, Tags: 2, Layers: 2, Shared: 0.3, Indexes: 1, Nested: true})
}

func reader(t testing.TB, dir string) backends.ReadStore {
	t.Helper()
	s, err := filesystem.OpenReader(dir, filesystem.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func writer(t testing.TB, dir string) backends.Store {
	t.Helper()
	s, err := filesystem.Open(dir, filesystem.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func openWriter(dir string) (backends.Store, error) {
	return filesystem.Open(dir, filesystem.Options{})
}

// memory is an object store: what was put is visible at once.
func memory(t testing.TB) backends.Store {
	t.Helper()
	s := bucket.New(memblob.OpenBucket(nil), "mem://"+t.Name())
	t.Cleanup(func() { s.Close() })
	return s
}

// fresh are the kinds of destination that most tests are made with.
var fresh = map[string]func(testing.TB) backends.Store{
	"filesystem": func(t testing.TB) backends.Store { return writer(t, tempDir(t)) },
	"memory":     memory,
}

// notes is a Recorder that keeps everything.
type notes struct {
	mu           sync.Mutex
	resets       int
	findings     []report.Finding
	failures     []report.Failure
	repositories []report.Repository
}

func (n *notes) Reset() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.resets++
	n.findings, n.failures, n.repositories = nil, nil, nil
}

func (n *notes) Finding(f report.Finding) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.findings = append(n.findings, f)
}

func (n *notes) Failure(f report.Failure) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.failures = append(n.failures, f)
}

func (n *notes) Repository(r report.Repository) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.repositories = append(n.repositories, r)
}

// kinds counts the findings of each kind.
func (n *notes) kinds() map[report.Kind]int {
	n.mu.Lock()
	defer n.mu.Unlock()
	count := map[report.Kind]int{}
	for _, f := range n.findings {
		count[f.Kind]++
	}
	return count
}

// transfer runs a migration that has to come to its end.
func transfer(t testing.TB, src backends.ReadStore, dst backends.Store, o Options) (Totals, *notes) {
	t.Helper()
	n := &notes{}
	o.Recorder = n
	s, err := Run(t.Context(), src, dst, o)
	if err != nil {
		t.Fatalf("Run: %v", err)
	}
	if !s.Complete {
		t.Errorf("not complete: %+v", s)
	}
	return s.Last(), n
}

// clean demands that nothing was wrong or left.
func clean(t testing.TB, got Totals) {
	t.Helper()
	if got.Undone() != 0 || got.SourceDamage() != 0 || got.Damaged != 0 || got.Vanished != 0 {
		t.Errorf("not clean: %+v", got)
	}
}

// tree is what a store holds.
type tree map[string]string

func treeOf(t testing.TB, s backends.ReadStore) tree {
	t.Helper()
	got := tree{}
	for o, err := range s.List(context.Background(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		b, ok := get(s, o.Key)
		if !ok {
			t.Fatalf("%s is listed and cannot be read", o.Key)
		}
		got[o.Key] = string(b)
	}
	return got
}

// below are the keys with a prefix.
func (x tree) below(prefix string) tree {
	got := maps.Clone(x)
	maps.DeleteFunc(got, func(k, _ string) bool { return len(k) < len(prefix) || k[:len(prefix)] != prefix })
	return got
}

// without leaves out keys for which skip holds.
func (x tree) without(skip func(layout.Key) bool) tree {
	got := maps.Clone(x)
	maps.DeleteFunc(got, func(k, _ string) bool { return skip(layout.Parse(k)) })
	return got
}

func same(t testing.TB, got, want tree) {
	t.Helper()
	shown := 0
	complain := func(format string, args ...any) {
		if shown++; shown <= 10 {
			t.Errorf(format, args...)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if v, ok := got[k]; !ok {
			complain("missing: %s", k)
		} else if v != want[k] {
			complain("differs: %s: %.80q, want %.80q", k, v, want[k])
		}
	}
	for _, k := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[k]; !ok {
			complain("too much: %s", k)
		}
	}
}

// put stores an object behind the engine's back.
func put(t testing.TB, s backends.Store, key, content string) {
	t.Helper()
	_, err := s.Put(context.Background(), key, backends.Content{Size: int64(len(content)), Open: func(context.Context, int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader([]byte(content))), nil
	}})
	if err == nil {
		if y := backends.PowersOf(s).Syncer; y != nil {
			err = y.Sync(context.Background())
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// write changes a file of a registry on disk, or makes it.
func write(t testing.TB, dir, key, content string) {
	t.Helper()
	name := filepath.Join(dir, filepath.FromSlash(key))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func remove(t testing.TB, dir, key string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, filepath.FromSlash(key))); err != nil {
		t.Fatal(err)
	}
}

func damage(t testing.TB, name, dir string, made *layouttest.Registry) layouttest.Hurt {
	t.Helper()
	for _, d := range layouttest.Damages() {
		if d.Name == name {
			hurt, err := d.Apply(dir, made)
			if err != nil {
				t.Fatal(err)
			}
			return hurt
		}
	}
	t.Fatalf("no damage %s", name)
	return layouttest.Hurt{}
}

// layerOf returns a layer that the first tag needs and its size.
func layerOf(t testing.TB, made *layouttest.Registry) digest.Digest {
	t.Helper()
	for _, repo := range made.Repositories {
		for _, tag := range slices.Sorted(maps.Keys(repo.Tags)) {
			for _, d := range made.Needs[repo.Tags[tag]] {
				if made.Needs[d] == nil && made.Blobs[d] > 50 && d.Algorithm() == digest.SHA256 {
					return d
				}
			}
		}
	}
	t.Fatal("no layer")
	return ""
}

// tagsNeeding are the tags, as repository:tag, whose closure has the blob.
func tagsNeeding(made *layouttest.Registry, d digest.Digest) []string {
	var names []string
	for _, repo := range made.Repositories {
		for tag, revision := range repo.Tags {
			for _, n := range made.Closure(revision) {
				if made.Stored(n) == d {
					names = append(names, repo.Name+":"+tag)
					break
				}
			}
		}
	}
	slices.Sort(names)
	return names
}

func layerKey(d digest.Digest) string { return layout.BlobKey(d) }

// aTagKey is the link of the first tag of the first repository.
func aTagKey(made *layouttest.Registry) string {
	repo := made.Repositories[0]
	return layout.TagKey(repo.Name, slices.Sorted(maps.Keys(repo.Tags))[0])
}

func digestOf(content string) digest.Digest { return digest.FromString(content) }

func digestFrom(link string) digest.Digest { return digest.Digest(link) }

var bg = context.Background()
