package filesystem_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/filesystem"
)

var bothWays = []filesystem.Fsync{filesystem.FsyncGroup, filesystem.FsyncEach}

func openStore(t *testing.T, dir string, way filesystem.Fsync) *filesystem.Store {
	t.Helper()
	s, err := filesystem.Open(dir, filesystem.Options{Fsync: way})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func put(t *testing.T, s *filesystem.Store, key, text string) {
	t.Helper()
	if _, err := s.Put(t.Context(), key, content([]byte(text))); err != nil {
		t.Fatal(err)
	}
}

func sync1(t *testing.T, s *filesystem.Store) {
	t.Helper()
	if err := s.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	for name, o := range map[string]filesystem.Options{
		"unreadable files": {FileMode: 0o200}, "set-user-id": {FileMode: 0o4755}, "directories without search": {DirMode: 0o644},
		"a negative user": {Owner: &filesystem.Owner{UID: -2}}, "no such way": {Fsync: "sometimes"},
	} {
		if s, err := filesystem.Open(dir, o); err == nil {
			s.Close()
			t.Errorf("%s: opened", name)
		}
	}
	if _, err := filesystem.Open(dir+"/a/b", filesystem.Options{}); !errors.Is(err, backends.NotFound) {
		t.Errorf("a root without a parent: %v", err)
	}
	write(t, dir+"/file", "x")
	if _, err := filesystem.Open(dir+"/file", filesystem.Options{}); err == nil {
		t.Error("a file as root: opened")
	}
}

// Whatever the umask is, a registry that runs as another user can read.
func TestModesAndOwner(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	for _, c := range []struct {
		o         filesystem.Options
		file, dir fs.FileMode
	}{
		{filesystem.Options{}, 0o644, 0o755},
		{filesystem.Options{FileMode: 0o664, DirMode: 0o775}, 0o664, 0o775},
	} {
		for _, way := range bothWays {
			root := t.TempDir() + "/new"
			o := c.o
			o.Fsync = way
			if os.Geteuid() == 0 {
				o.Owner = &filesystem.Owner{UID: 1234, GID: 2345}
			}
			s, err := filesystem.Open(root, o)
			if err != nil {
				t.Fatal(err)
			}
			put(t, s, "a/b/small", "x")
			large := content(make([]byte, 2<<20))
			large.Saved = func(backends.Upload) error { return nil }
			if _, err := s.Put(t.Context(), "a/b/large", large); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			for path, want := range map[string]fs.FileMode{"": c.dir, "a": c.dir, "a/b": c.dir, "a/b/small": c.file, "a/b/large": c.file} {
				st, err := os.Stat(filepath.Join(root, path))
				if err != nil {
					t.Fatal(err)
				}
				if st.Mode().Perm() != want {
					t.Errorf("%s, %q: mode %v, want %v", way, path, st.Mode(), want)
				}
				owner := st.Sys().(*syscall.Stat_t)
				if o.Owner != nil && (int(owner.Uid) != o.Owner.UID || int(owner.Gid) != o.Owner.GID) {
					t.Errorf("%s, %q: owner %d:%d", way, path, owner.Uid, owner.Gid)
				}
			}
		}
	}
}

// As root, a volume prepared for a registry's user stays usable by it.
func TestOwnerOfTheRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives files away")
	}
	root := t.TempDir()
	if err := os.Chown(root, 1234, 2345); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(root, 0o755|fs.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	s := openStore(t, root, filesystem.FsyncGroup)
	put(t, s, "a/b/c", "x")
	sync1(t, s)
	for _, path := range []string{"a", "a/b", "a/b/c"} {
		st, err := os.Stat(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		if owner := st.Sys().(*syscall.Stat_t); owner.Uid != 1234 || owner.Gid != 2345 {
			t.Errorf("%s: owner %d:%d", path, owner.Uid, owner.Gid)
		}
		if st.IsDir() && st.Mode()&fs.ModeSetgid == 0 {
			t.Errorf("%s: the set-group-id bit is lost: %v", path, st.Mode())
		}
	}
}

func TestGroupShowsAtSync(t *testing.T) {
	s := openStore(t, t.TempDir(), filesystem.FsyncGroup)
	for i := range 100 {
		put(t, s, fmt.Sprintf("d/%d/link", i), "x")
	}
	if n, err := count(s, ""); n != 0 || err != nil {
		t.Errorf("before Sync %d show, %v", n, err)
	}
	sync1(t, s)
	if n, err := count(s, ""); n != 100 || err != nil {
		t.Errorf("after Sync %d show, %v", n, err)
	}
	for i := range 3 * filesystem.GroupObjects {
		put(t, s, fmt.Sprintf("e/%d/link", i), "x")
	}
	if n, err := count(s, "e/"); n < filesystem.GroupObjects || err != nil {
		t.Errorf("after three groups %d show, %v", n, err)
	}
	sync1(t, s)
	if n, err := count(s, "e/"); n != 3*filesystem.GroupObjects || err != nil {
		t.Errorf("after Sync %d show, %v", n, err)
	}
}

func TestSyncAtOnce(t *testing.T) {
	s := openStore(t, t.TempDir(), filesystem.FsyncGroup)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 200 {
				key := fmt.Sprintf("d/%d/%d/link", w, i)
				if _, err := s.Put(t.Context(), key, content([]byte(key))); err != nil {
					t.Error(err)
				}
				if i%10 != w {
					continue
				}
				if err := s.Sync(t.Context()); err != nil {
					t.Error(err)
				}
				if _, err := s.Stat(t.Context(), key); err != nil {
					t.Errorf("not there after Sync: %v", err)
				}
			}
		})
	}
	wg.Wait()
	sync1(t, s)
	if n, err := count(s, ""); n != 1600 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

// A registry lists each directory below tags/ as a tag.
func TestNoEmptyDirectoryShows(t *testing.T) {
	for _, way := range bothWays {
		t.Run(string(way), func(t *testing.T) {
			root := memoryDir(t)
			s := openStore(t, root, way)
			tags := filepath.Join(root, "r/_manifests/tags")
			stop, done := make(chan struct{}), make(chan int)
			go func() { done <- pollTags(t, tags, stop) }()
			for i := range 400 {
				put(t, s, fmt.Sprintf("r/_manifests/tags/v%d/current/link", i), "x")
				put(t, s, fmt.Sprintf("r/_manifests/tags/v%d/index/sha256/%d/link", i, i), "x")
				if i%20 == 0 {
					sync1(t, s)
				}
			}
			sync1(t, s)
			close(stop)
			if polls := <-done; polls == 0 {
				t.Error("nothing was polled")
			}
			if n, err := count(s, ""); n != 800 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
		})
	}
}

func pollTags(t *testing.T, tags string, stop chan struct{}) (polls int) {
	for {
		select {
		case <-stop:
			return polls
		default:
		}
		names, _ := os.ReadDir(tags)
		for _, name := range names {
			polls++
			if _, err := os.Stat(filepath.Join(tags, name.Name(), "current", "link")); err != nil {
				t.Errorf("a tag shows without its link: %v", err)
				return polls
			}
		}
	}
}

// What others do to the directories between Put and Sync.
func TestDirectoriesChangeMeanwhile(t *testing.T) {
	for name, c := range map[string]struct {
		before, meanwhile func(root string) error
	}{
		"the parent is made":            {nil, func(r string) error { return os.MkdirAll(r+"/a/b", 0o755) }},
		"the parent is made and filled": {nil, func(r string) error { os.MkdirAll(r+"/a/b", 0o755); return os.WriteFile(r+"/a/b/other", nil, 0o644) }},
		"a grandparent is made":         {nil, func(r string) error { os.MkdirAll(r+"/a", 0o755); return os.WriteFile(r+"/a/other", nil, 0o644) }},
		"the parent goes":               {func(r string) error { return os.MkdirAll(r+"/a/b", 0o755) }, func(r string) error { return os.RemoveAll(r + "/a") }},
		"the file is made": {nil, func(r string) error {
			os.MkdirAll(r+"/a/b", 0o755)
			return os.WriteFile(r+"/a/b/c", []byte("old"), 0o644)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			if c.before != nil {
				if err := c.before(root); err != nil {
					t.Fatal(err)
				}
			}
			s := openStore(t, root, filesystem.FsyncGroup)
			put(t, s, "a/b/c", "new")
			if err := c.meanwhile(root); err != nil {
				t.Fatal(err)
			}
			sync1(t, s)
			if data, err := open(t, s, "a/b/c"); string(data) != "new" {
				t.Errorf("%q, %v", data, err)
			}
			if left := leftovers(t, root); len(left) > 0 {
				t.Errorf("left: %q", left)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(root + "/.regferry"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("scratch stays: %v", err)
			}
		})
	}
}

func TestInTheWay(t *testing.T) {
	for _, way := range bothWays {
		root := t.TempDir()
		s := openStore(t, root, way)
		write(t, root+"/file", "file")
		write(t, root+"/dir/x", "x")
		if err := os.Symlink("dir", root+"/link"); err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"file/x", "file/x/y", "dir", "link/y", "link/y/z", "../x", "a//b", ".regferry/partial/x", ".regferry", "n/" + strings.Repeat("n", 256)} {
			_, err := s.Put(t.Context(), key, content([]byte("new")))
			if backends.ClassOf(err) != backends.Unsupported {
				t.Errorf("%s: Put of %q: %v, want unsupported", way, key, err)
			}
		}
		sync1(t, s)
		if n, err := count(s, ""); n != 3 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	}
}

// What a group cannot make visible is named, and the rest is there.
func TestSyncNamesFailed(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root, filesystem.FsyncGroup)
	for i := range 10 {
		put(t, s, fmt.Sprintf("d%d/link", i), "x")
	}
	write(t, root+"/d3", "a file where a directory has to be")
	write(t, root+"/d7/link/x", "a directory where the file has to be")
	var failed *backends.SyncError
	if err := s.Sync(t.Context()); !errors.As(err, &failed) {
		t.Fatalf("Sync: %v", err)
	}
	if len(failed.Failed) != 2 || failed.Failed[0].Key != "d3/link" || failed.Failed[1].Key != "d7/link" || backends.ClassOf(failed) != backends.Unsupported {
		t.Errorf("failed: %v", failed.Failed)
	}
	if n, err := count(s, "d"); n != 10 || err != nil { // 8, and the two in the way
		t.Errorf("%d, %v", n, err)
	}
	if left := leftovers(t, root); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
	sync1(t, s) // it was told once
}

func TestNothingIsSureAfterAFailedSync(t *testing.T) {
	for errno, class := range map[syscall.Errno]backends.Class{syscall.EIO: backends.Transient, syscall.ENOSPC: backends.Full, syscall.EDQUOT: backends.Full} {
		root := t.TempDir()
		s := openStore(t, root, filesystem.FsyncGroup)
		put(t, s, "a/x", "x")
		s.FailSyncfs(errno)
		err := s.Sync(t.Context())
		var failed *backends.SyncError
		if errors.As(err, &failed) || backends.ClassOf(err) != class || !errors.Is(err, errno) {
			t.Errorf("%v: Sync: %v", errno, err)
		}
		s.FailSyncfs(nil)
		if _, err := s.Put(t.Context(), "b/x", content(nil)); !errors.Is(err, errno) {
			t.Errorf("%v: Put: %v", errno, err)
		}
		if err := s.Sync(t.Context()); !errors.Is(err, errno) {
			t.Errorf("%v: Sync again: %v", errno, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if left, _ := os.ReadDir(root); len(left) > 0 {
			t.Errorf("%v: left: %v", errno, left)
		}
	}
}

func TestFull(t *testing.T) {
	for _, way := range bothWays {
		t.Run(string(way), func(t *testing.T) {
			root := t.TempDir()
			if err := syscall.Mount("tmpfs", root, "tmpfs", 0, "size=5m,nr_inodes=300"); err != nil {
				t.Skipf("cannot mount: %v", err)
			}
			defer syscall.Unmount(root, syscall.MNT_DETACH)
			s := openStore(t, root, way)
			space, err := s.Space(t.Context())
			if err != nil || space.Total != 5<<20 || space.Free > space.Total {
				t.Errorf("%+v, %v", space, err)
			}
			put(t, s, "a/x", "x")
			for _, saved := range []func(backends.Upload) error{nil, func(backends.Upload) error { return nil }} {
				c := content(make([]byte, 6<<20))
				c.Saved = saved
				if _, err := s.Put(t.Context(), "b/x", c); backends.ClassOf(err) != backends.Full {
					t.Errorf("too much: %v", err)
				}
			}
			if _, err := s.Clean(t.Context(), nil); err != nil {
				t.Error(err)
			}
			for i := range 301 {
				if _, err = s.Put(t.Context(), fmt.Sprintf("c/%d", i), content(nil)); err != nil {
					break
				}
			}
			if backends.ClassOf(err) != backends.Full {
				t.Errorf("too many: %v", err)
			}
			if _, err := s.Stat(t.Context(), "b/x"); !errors.Is(err, fs.ErrNotExist) {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTwoStores(t *testing.T) {
	root := t.TempDir()
	a, b := openStore(t, root, filesystem.FsyncGroup), openStore(t, root, filesystem.FsyncGroup)
	if a.Location() != b.Location() {
		t.Errorf("%q, %q", a.Location(), b.Location())
	}
	put(t, a, "d/x", "a")
	put(t, b, "d/y", "b")
	if n, err := b.Clean(t.Context(), nil); n != 0 || err != nil {
		t.Errorf("a living store's work was cleaned: %d, %v", n, err)
	}
	sync1(t, a)
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	put(t, b, "d/z", "b")
	sync1(t, b)
	if n, err := count(b, ""); n != 3 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

func TestCleanTouchesOnlyOurs(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root, filesystem.FsyncGroup)
	dead := "tmp-" + strings.Repeat("a", 26)
	digest := strings.Repeat("0", 64)
	write(t, root+"/.regferry/"+dead+"/lock", "")
	write(t, root+"/.regferry/"+dead+"/7/data", "x")
	write(t, root+"/.regferry/partial/sha256-"+digest, "x")
	write(t, root+"/.regferry/partial/sha256-1"+digest[1:], "kept")
	kept := []string{"lease", "tmp-mine/x", "partial/mine", "partial/sha256-12"}
	for _, name := range kept {
		write(t, root+"/.regferry/"+name, "x")
	}
	write(t, root+"/outside", "x")
	young := "tmp-" + strings.Repeat("b", 26) // not locked yet
	if err := errors.Join(os.Mkdir(root+"/.regferry/"+young, 0o755), os.Symlink("../..", root+"/.regferry/tmp-"+strings.Repeat("c", 26)),
		os.Symlink("../..", root+"/.regferry/"+dead+"/9"), os.Symlink("../../outside", root+"/.regferry/partial/sha256-2"+digest[1:])); err != nil {
		t.Fatal(err)
	}
	n, err := s.Clean(t.Context(), map[string]bool{"sha256-1" + digest[1:]: true})
	if n != 2 || err != nil {
		t.Errorf("cleaned %d, %v; want 2", n, err)
	}
	for _, name := range append(kept, young, "partial/sha256-1"+digest[1:], "../outside") {
		if _, err := os.Lstat(root + "/.regferry/" + name); err != nil {
			t.Error(err)
		}
	}
}

func TestNested(t *testing.T) {
	top := t.TempDir()
	write(t, top+"/a/b/c", "x")
	write(t, top+"/ab/x", "x")
	if err := os.Symlink("a/b", top+"/to-b"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"a", "a", true}, {"a", "a/b", true}, {"a/b", "a", true}, {"a", "ab", false}, {"a", "to-b", true}, {"a/new/dir", "a", true},
		{"to-b/new", "a", true}, {"new", "a", false}, {"a/b", "a/new", false}, {"a/../ab", "a", false},
	} {
		if got, err := filesystem.Nested(top+"/"+c.a, top+"/"+c.b); got != c.want || err != nil {
			t.Errorf("Nested(%s, %s) = %v, %v", c.a, c.b, got, err)
		}
	}
	bind := t.TempDir()
	if err := syscall.Mount(top+"/a/b", bind, "", syscall.MS_BIND, ""); err != nil {
		t.Skipf("cannot mount: %v", err)
	}
	defer syscall.Unmount(bind, syscall.MNT_DETACH)
	for _, inside := range []string{bind, bind + "/new"} {
		if got, err := filesystem.Nested(top+"/a", inside); !got || err != nil {
			t.Errorf("a bind mount of a directory inside: %v, %v", got, err)
		}
	}
	if got, err := filesystem.Nested(top+"/ab", bind); got || err != nil {
		t.Errorf("a bind mount of another directory: %v, %v", got, err)
	}
}

// A Put that waits for the disk ends with its context, and leaves nothing.
func TestPutWaitsForTheDisk(t *testing.T) {
	root := t.TempDir()
	s := openStore(t, root, filesystem.FsyncGroup)
	release := make(chan struct{})
	s.BlockSyncfs(release)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	var err error
	n := 0
	for ; err == nil; n++ {
		_, err = s.Put(ctx, fmt.Sprintf("d/%d", n), content(bytes.Repeat([]byte("x"), 10)))
	}
	if !errors.Is(err, context.DeadlineExceeded) || n > 2*filesystem.GroupObjects+1 {
		t.Errorf("after %d: %v", n, err)
	}
	if err := s.Sync(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Sync: %v", err)
	}
	close(release)
	sync1(t, s)
	if got, err := count(s, ""); got != n-1 || err != nil {
		t.Errorf("%d, %v; want %d", got, err, n-1)
	}
	if left := leftovers(t, root); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}
