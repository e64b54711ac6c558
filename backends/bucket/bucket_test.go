package bucket_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	"gocloud.dev/blob/memblob"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest"
	"github.com/regferry/regferry/backends/bucket"
)

func TestMemory(t *testing.T) {
	backendtest.Run(t, backendtest.Harness{
		Open: func(*testing.T) backends.Store {
			return bucket.New(memblob.OpenBucket(nil), "mem://test")
		},
		FileUnderFile: true, LongSegments: true, InMemory: true,
	})
}

func TestMemoryWithPrefix(t *testing.T) {
	backendtest.Run(t, backendtest.Harness{
		Open: func(*testing.T) backends.Store {
			return bucket.New(blob.PrefixedBucket(memblob.OpenBucket(nil), "a/b-"), "mem://test?prefix=a/b-")
		},
		FileUnderFile: true, LongSegments: true, InMemory: true,
		Objects: 1100,
	})
}

// fileblob is what shows that memory is bounded, that another client sees the
// objects and that nothing is left behind, which memory cannot show.
func TestFileblob(t *testing.T) {
	dirs := map[backends.Store]string{}
	open := func(t *testing.T, dir string) backends.Store {
		b, err := fileblob.OpenBucket(dir, &fileblob.Options{NoTempDir: true, Metadata: fileblob.MetadataDontWrite})
		if err != nil {
			t.Fatal(err)
		}
		s := bucket.New(b, "file://"+dir)
		dirs[s] = dir
		return s
	}
	backendtest.Run(t, backendtest.Harness{
		Open:   func(t *testing.T) backends.Store { return open(t, t.TempDir()) },
		Reopen: func(t *testing.T, s backends.Store) backends.Store { return open(t, dirs[s]) },
		Leftovers: func(t *testing.T, s backends.Store) (left []string) {
			_ = filepath.WalkDir(dirs[s], func(path string, _ os.DirEntry, err error) error {
				if err == nil && strings.HasSuffix(path, ".tmp") {
					left = append(left, path)
				}
				return err
			})
			return left
		},
		Truncate: func(t *testing.T, s backends.Store, key string, size int64) {
			if err := os.Truncate(filepath.Join(dirs[s], key), size); err != nil {
				t.Fatal(err)
			}
		},
		Objects: 1100,
	})
}
