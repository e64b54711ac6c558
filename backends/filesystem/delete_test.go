package filesystem_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/filesystem"
)

const tags = "docker/registry/v2/repositories/a/_manifests/tags/"

func writes(t *testing.T, dir string, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if err := writesOne(filepath.Join(dir, key)); err != nil {
			t.Fatal(err)
		}
	}
}

func writesOne(file string) error {
	return errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(file), 0o644))
}

func opened(t *testing.T, dir string) *filesystem.Store {
	t.Helper()
	s, err := filesystem.Open(dir, filesystem.Options{Fsync: filesystem.FsyncEach})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// TestDeleteKeepsTheRegistrysRoots: what is moved is the topmost directory with
// nothing else in it, but never one of the first four.
func TestDeleteKeepsTheRegistrysRoots(t *testing.T) {
	dir := t.TempDir()
	s := opened(t, dir)
	const blob = "docker/registry/v2/blobs/sha256/ab/abcd/data"
	writes(t, dir, blob, "docker/registry/v2/blobs/sha256/ab/abce/data", tags+"t/current/link", tags+"u/current/link", "x/y")
	for _, step := range []struct{ key, gone, stays string }{
		{blob, "docker/registry/v2/blobs/sha256/ab/abcd", "docker/registry/v2/blobs/sha256/ab/abce/data"},
		{"docker/registry/v2/blobs/sha256/ab/abce/data", "docker/registry/v2/blobs/sha256", "docker/registry/v2/blobs"},
		{tags + "t/current/link", tags + "t", tags + "u/current/link"},
		{tags + "u/current/link", "docker/registry/v2/repositories/a", "docker/registry/v2/repositories"},
		{"x/y", "x/y", "x"},
	} {
		if err := s.Delete(t.Context(), step.key); err != nil {
			t.Fatal(err)
		}
		if exists(filepath.Join(dir, step.gone)) || !exists(filepath.Join(dir, step.stays)) {
			t.Errorf("after the deletion of %s, %s is there or %s is not", step.key, step.gone, step.stays)
		}
	}
	if left := leftovers(t, dir); len(left) > 0 {
		t.Errorf("left in scratch: %q", left)
	}
}

// TestDeleteBesideOthers has another program write into each directory in the
// moment in which it is moved out, without any agreement: what it has written is
// there afterwards.
func TestDeleteBesideOthers(t *testing.T) {
	dir := memoryDir(t)
	s := opened(t, dir)
	var putBack, failed int
	for i := range 3000 {
		at := fmt.Sprintf("%st%d/index/", tags, i)
		writes(t, dir, at+"mine")
		theirs := filepath.Join(dir, at, "theirs")
		var wg sync.WaitGroup
		wg.Go(func() {
			for n := range i % 400 { // at another moment each time
				_ = n * n
				runtime.Gosched()
			}
			for writesOne(theirs) != nil {
				failed++
			}
		})
		err := s.Delete(t.Context(), at+"mine")
		if errors.Is(err, backends.Changed) {
			putBack++
			err = nil
		}
		wg.Wait()
		if err != nil {
			t.Fatal(err)
		}
		if content, err := os.ReadFile(theirs); err != nil || string(content) != theirs {
			t.Fatalf("round %d: what the other one wrote is %q, %v", i, content, err)
		}
	}
	t.Logf("%d times it was put back, %d times the other one found no directory", putBack, failed)
	if left := leftovers(t, dir); len(left) > 0 {
		t.Errorf("left in scratch: %q", left)
	}
}
