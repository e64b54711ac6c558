package filesystem_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest"
	"github.com/regferry/regferry/backends/filesystem"
)

func TestConformance(t *testing.T) {
	for _, way := range []filesystem.Fsync{filesystem.FsyncGroup, filesystem.FsyncEach} {
		t.Run(string(way), func(t *testing.T) { backendtest.Run(t, harness(way)) })
	}
}

func harness(way filesystem.Fsync) backendtest.Harness {
	o := filesystem.Options{Fsync: way}
	open := func(t *testing.T, dir string) backends.Store {
		s, err := filesystem.Open(dir, o)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	path := func(s backends.Store) string { return strings.TrimPrefix(s.Location(), "file://") }
	return backendtest.Harness{
		Open:      func(t *testing.T) backends.Store { return open(t, memoryDir(t)) },
		Reopen:    func(t *testing.T, s backends.Store) backends.Store { return open(t, path(s)) },
		Leftovers: func(t *testing.T, s backends.Store) []string { return leftovers(t, path(s)) },
		Truncate: func(t *testing.T, s backends.Store, key string, size int64) {
			if err := os.Truncate(filepath.Join(path(s), key), size); err != nil {
				t.Fatal(err)
			}
		},
		Empty:   func(t *testing.T, s backends.Store) []string { return emptyDirs(t, filepath.Join(path(s), "docker")) },
		Resumes: true, Deletes: true, Replaces: true,
	}
}

// emptyDirs names the directories that a registry would show and that have
// nothing in them, and tags without a link. What goes meanwhile does not count.
// The first four levels stay.
func emptyDirs(t *testing.T, root string) []string {
	var seen []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil || !d.IsDir() || strings.Count(path[len(root):], "/") < 4 {
			return err
		}
		if filepath.Base(filepath.Dir(path)) == "tags" {
			if _, err := os.Stat(filepath.Join(path, "current", "link")); err != nil && exists(path) {
				seen = append(seen, path+" (no link)")
			}
		}
		if list, err := os.ReadDir(path); err == nil && len(list) == 0 && exists(path) {
			seen = append(seen, path)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return seen
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// leftovers lists what is in scratch beside the locks of open stores.
func leftovers(t *testing.T, root string) []string {
	var left []string
	scratch := filepath.Join(root, ".regferry")
	err := filepath.WalkDir(scratch, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.Name() == "lock" || path == scratch || d.IsDir() && filepath.Dir(path) == scratch {
			return nil
		}
		left = append(left, path)
		return nil
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return left
}

// memoryDir is a directory in memory where there is one, since the suite is
// about what is stored and not about the disk.
func memoryDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "regferry")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
