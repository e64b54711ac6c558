package verify_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"gocloud.dev/blob/memblob"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/bucket"
	"github.com/regferry/regferry/verify"
	"github.com/regferry/regferry/verify/layout/layouttest"
	"github.com/regferry/regferry/verify/report"
)

// notes is a Recorder that keeps everything.
type notes struct {
	mu           sync.Mutex
	findings     []report.Finding
	repositories []report.Repository
}

func (n *notes) Finding(f report.Finding) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.findings = append(n.findings, f)
}

func (n *notes) Repository(r report.Repository) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.repositories = append(n.repositories, r)
}

// run verifies and returns what was found.
func run(t testing.TB, o verify.Options) (verify.Summary, *notes) {
	t.Helper()
	n := new(notes)
	o.Recorder = n
	if o.Workers == 0 {
		o.Workers = 4
	}
	s, err := verify.Run(t.Context(), verify.Quick(o))
	if err != nil {
		t.Fatal(err)
	}
	if !s.Complete {
		t.Error("it is not complete")
	}
	return s, n
}

// damaged makes a registry and hurts it; a name of "" leaves it sound.
func damaged(t testing.TB, name string) (dir string, r *layouttest.Registry, hurt layouttest.Hurt) {
	t.Helper()
	dir = tempDir(t)
	r, err := layouttest.WriteDir(dir, layouttest.Small(1))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range layouttest.Damages() {
		if d.Name == name {
			if hurt, err = d.Apply(dir, r); err != nil {
				t.Fatal(err)
			}
			return dir, r, hurt
		}
	}
	if name != "" {
		t.Fatalf("no damage %s", name)
	}
	return dir, r, hurt
}

// tempDir is a directory in memory where there is one.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "regferry-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// memory is an object store with what a directory holds.
func memory(t testing.TB, dir string) backends.ReadStore {
	t.Helper()
	s := bucket.New(memblob.OpenBucket(nil), "mem://"+t.Name())
	t.Cleanup(func() { s.Close() })
	for o, err := range open(t, dir).List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(o.Key)))
		if err != nil {
			t.Fatal(err)
		}
		put(t, s, o.Key, string(data))
	}
	return s
}

func put(t testing.TB, s backends.Store, key, content string) {
	t.Helper()
	_, err := s.Put(t.Context(), key, backends.Content{Size: int64(len(content)), Open: func(_ context.Context, offset int64) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(content[offset:])), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
}

// words are the findings as "side kind severity", sorted, each with its number
// if that is not one.
func words(findings []report.Finding) string {
	n := map[string]int{}
	for _, f := range findings {
		n[fmt.Sprintf("%s %s %s", f.Side, f.Kind, f.Severity)]++
	}
	var all []string
	for _, w := range slices.Sorted(maps.Keys(n)) {
		if n[w] > 1 {
			w += fmt.Sprintf(" x%d", n[w])
		}
		all = append(all, w)
	}
	return strings.Join(all, ", ")
}
