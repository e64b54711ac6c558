package filesystem_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/filesystem"
)

const mib = 1 << 20

func random(size int) []byte {
	data := make([]byte, size)
	rand.NewChaCha8([32]byte{1}).Read(data)
	return data
}

// layer is a content with a digest that remembers where it was opened, and
// ends with end when it has given stop bytes.
type layer struct {
	data  []byte
	stop  int
	end   error
	opens []int64
	saved []backends.Upload
}

func (l *layer) content() backends.Content {
	return backends.Content{
		Size: int64(len(l.data)), Digest: digest.FromBytes(l.data),
		Open: func(_ context.Context, off int64) (io.ReadCloser, error) {
			l.opens = append(l.opens, off)
			if l.end == nil {
				return io.NopCloser(bytes.NewReader(l.data[off:])), nil
			}
			return io.NopCloser(io.MultiReader(bytes.NewReader(l.data[off:l.stop]), failing{l.end})), nil
		},
		Saved: func(u backends.Upload) error { l.saved = append(l.saved, u); return nil },
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func partialPath(root string, data []byte) string {
	return filepath.Join(root, ".regferry/partial", strings.ReplaceAll(digest.FromBytes(data).String(), ":", "-"))
}

func holds(t *testing.T, s *filesystem.Store, key string, want []byte) {
	t.Helper()
	sync1(t, s)
	if got, err := open(t, s, key); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%q: %d bytes, equal %v, %v", key, len(got), bytes.Equal(got, want), err)
	}
	root := strings.TrimPrefix(s.Location(), "file://")
	if left := leftovers(t, root); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// What is found in an unfinished upload beyond what is known to be durable is
// compared, so that zeros after a power cut do not end up in a blob.
func TestResumeCompares(t *testing.T) {
	data := random(20*mib + 12345)
	zeros := func(from, to int) []byte {
		b := bytes.Clone(data)
		clear(b[from:to])
		return b[:to]
	}
	for name, c := range map[string]struct {
		found []byte
		from  int64
		start int64
	}{
		"all is there":             {data, 16 * mib, 16 * mib},
		"all is there, unknown":    {data, 0, 0},
		"a tail of zeros":          {zeros(17*mib+5, 19*mib), 16 * mib, 16 * mib},
		"zeros at the very end":    {zeros(len(data)-1, len(data)), 16 * mib, 16 * mib},
		"zeros, unknown":           {zeros(3*mib+7, 5*mib), 0, 0},
		"a hole in the middle":     {append(zeros(mib, 2*mib), data[2*mib:]...), 0, 0},
		"shorter than was saved":   {data[:10*mib], 16 * mib, 0},
		"exactly what was saved":   {data[:16*mib], 16 * mib, 16 * mib},
		"longer than the content":  {append(bytes.Clone(data), 1, 2, 3), 16 * mib, 16 * mib},
		"saved more than there is": {data, 30 * mib, 0},
		"empty":                    {nil, 16 * mib, 0},
	} {
		t.Run(name, func(t *testing.T) {
			root := memoryDir(t)
			s := openStore(t, root, filesystem.FsyncGroup)
			write(t, partialPath(root, data), string(c.found))
			before, err := os.Stat(partialPath(root, data))
			if err != nil {
				t.Fatal(err)
			}
			l := layer{data: data}
			content := l.content()
			content.From = backends.Upload{Token: filepath.Base(partialPath(root, data)), Offset: c.from}
			if _, err := s.Put(t.Context(), "a/b/data", content); err != nil {
				t.Fatal(err)
			}
			if len(l.opens) != 1 || l.opens[0] != c.start {
				t.Errorf("opened at %d, want %d", l.opens, c.start)
			}
			holds(t, s, "a/b/data", data)
			after, err := os.Stat(root + "/a/b/data")
			if err != nil || !os.SameFile(before, after) {
				t.Errorf("the unfinished upload was not used: %v", err)
			}
		})
	}
}

// Only what somebody was told of, and what may still become right, stays.
func TestWhatStays(t *testing.T) {
	data := random(18 * mib)
	broken := errors.New("the source broke")
	for name, c := range map[string]struct {
		stop  int
		end   error
		known bool // Saved is given
		stays bool
	}{
		"broken early":              {mib / 2, broken, true, false},
		"broken after 1 MiB":        {3 * mib, broken, true, true},
		"broken after 17 MiB":       {17 * mib, broken, true, true},
		"broken, nobody knows":      {17 * mib, broken, false, false},
		"wrong at the end":          {18 * mib, broken, true, false},
		"short":                     {17 * mib, io.EOF, true, false},
		"corrupt":                   {17 * mib, &backends.Error{Class: backends.Corrupt}, true, false},
		"the source goes away":      {17 * mib, &backends.Error{Class: backends.Transient}, true, true},
		"cancelled":                 {17 * mib, context.Canceled, true, true},
		"wrong at the end, unknown": {18 * mib, broken, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			root := memoryDir(t)
			s := openStore(t, root, filesystem.FsyncGroup)
			l := layer{data: data, stop: c.stop, end: c.end}
			content := l.content()
			if !c.known {
				content.Saved = nil
			}
			_, err := s.Put(t.Context(), "a/b/data", content)
			if err == nil || c.end != io.EOF && !errors.Is(err, c.end) {
				t.Fatalf("Put: %v", err)
			}
			st, err := os.Stat(partialPath(root, data))
			if (err == nil) != c.stays {
				t.Fatalf("stays: %v, want %v", err == nil, c.stays)
			}
			if !c.stays {
				return
			}
			last := l.saved[len(l.saved)-1]
			if last.Offset != int64(c.stop) || st.Size() != last.Offset || last.Token != filepath.Base(partialPath(root, data)) {
				t.Errorf("saved %+v, the file has %d", last, st.Size())
			}
			if n, err := s.Clean(t.Context(), map[string]bool{last.Token: true}); n != 0 || err != nil {
				t.Errorf("what is to be kept was cleaned: %d, %v", n, err)
			}
			if n, err := s.Clean(t.Context(), nil); n != 1 || err != nil {
				t.Errorf("cleaned %d, %v", n, err)
			}
		})
	}
}

// What could not get its key stays as well, whatever was put around it by then,
// and a later run goes on where the upload was said to be.
func TestUnplacedUploadStays(t *testing.T) {
	data := random(18 * mib)
	for name, c := range map[string]struct {
		before, meanwhile func(t *testing.T, root string)
	}{
		"a directory has its name": {
			func(t *testing.T, root string) { write(t, root+"/a/b/other", "x") },
			func(t *testing.T, root string) { write(t, root+"/a/b/data/x", "x") },
		},
		"it was moved already": {
			func(*testing.T, string) {},
			func(t *testing.T, root string) { mounts(t, "tmpfs", "", root+"/a") },
		},
	} {
		for _, way := range bothWays {
			t.Run(name+" "+string(way), func(t *testing.T) {
				root := memoryDir(t)
				s, err := filesystem.Open(root, filesystem.Options{Fsync: way, FileMode: 0o444})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { s.Close() })
				c.before(t, root)
				l := layer{data: data}
				content := l.content()
				saved := content.Saved
				content.Saved = func(u backends.Upload) error {
					if len(l.saved) == 0 {
						c.meanwhile(t, root)
					}
					return saved(u)
				}
				_, err = s.Put(t.Context(), "a/b/data", content)
				if err == nil {
					err = s.Sync(t.Context())
				}
				if backends.ClassOf(err) != backends.Unsupported {
					t.Fatalf("%v", err)
				}
				st, err := os.Stat(partialPath(root, data))
				if err != nil || st.Size() != int64(len(data)) || st.Mode().Perm() != 0o600 {
					t.Fatalf("%+v, %v", st, err)
				}
				if left := leftovers(t, root); len(left) != 1 {
					t.Errorf("left: %q", left)
				}
				again := layer{data: data}
				content = again.content()
				content.From = l.saved[0]
				if _, err := s.Put(t.Context(), "c/data", content); err != nil {
					t.Fatal(err)
				}
				if len(again.opens) != 1 || again.opens[0] != l.saved[0].Offset {
					t.Errorf("opened at %d, want %d", again.opens, l.saved[0].Offset)
				}
				holds(t, s, "c/data", data)
			})
		}
	}
}

// One of two Puts of a content has the unfinished upload, the other does
// without, whether they are in one process or two.
func TestPutsOfOneContent(t *testing.T) {
	data := random(3 * mib)
	for _, way := range bothWays {
		root := memoryDir(t)
		stores := []*filesystem.Store{openStore(t, root, way), openStore(t, root, way)}
		var wg sync.WaitGroup
		for i := range 16 {
			wg.Go(func() {
				l := layer{data: data}
				if _, err := stores[i%2].Put(t.Context(), []string{"a/b/data", "a/c/data"}[i/2%2], l.content()); err != nil {
					t.Error(err)
				}
				if err := stores[i%2].Sync(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, s := range stores {
			holds(t, s, "a/b/data", data)
			holds(t, s, "a/c/data", data)
		}
	}
}
