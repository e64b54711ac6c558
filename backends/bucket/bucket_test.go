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
		FileUnderFile: true, LongSegments: true, InMemory: true, Deletes: true,
	})
}

func TestMemoryWithPrefix(t *testing.T) {
	backendtest.Run(t, backendtest.Harness{
		Open: func(*testing.T) backends.Store {
			return bucket.New(blob.PrefixedBucket(memblob.OpenBucket(nil), "a/b-"), "mem://test?prefix=a/b-")
		},
		FileUnderFile: true, LongSegments: true, InMemory: true, Deletes: true,
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
		Objects:  1100,
		Deletes:  true,
		Violates: fileblobViolates,
		Sometimes: map[string]string{
			"L1 listing while objects are written":              listsTemporary,
			"P9 puts of one key at once leave one whole object": "it takes the size from the name before it opens the file, which may be another by then",
		},
	})
}

var fileblobViolates = map[string]string{
	"L1 keys come in byte order of the whole key":            walks,
	"L2 after is exclusive and need not exist":               walks,
	"L4 a listed size is that of the object or -1":           walks,
	"L6 prefix is a string and not a directory":              walks,
	"L7 breaking off a listing frees what it held":           walks,
	"R1 an absent key is fs.ErrNotExist":                     inTheWay,
	"P1 nothing shows before Put returns":                    listsTemporary,
	"P2 what was put is there for another client":            walks,
	"D1 deleting what is absent is no error":                 inTheWay,
	"D2 what was deleted is absent for another client":       walks,
	"D3 keys beside the one that is deleted stay":            inTheWay,
	"Keys with odd names are kept as they are":               "it reserves names in .attrs",
	"Keys that are hostile are refused or kept, never moved": inTheWay,
	"Keys in each other's way":                               inTheWay,
	"Keys with long names":                                   "a name of 255 bytes has no room for its temporary suffix",
}

const (
	walks          = "it lists in the order of a walk"
	listsTemporary = "it lists its temporary files"
	inTheWay       = "a file below a file is an error of unknown code"
)
