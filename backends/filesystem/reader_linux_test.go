package filesystem_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest"
	"github.com/regferry/regferry/backends/filesystem"
)

func TestConformanceWithoutOpenat2(t *testing.T) {
	h := harness(filesystem.FsyncGroup)
	fresh := h.Open
	h.Open = func(t *testing.T) backends.Store {
		s := fresh(t)
		s.(*filesystem.Store).WithoutOpenat2()
		return s
	}
	backendtest.Run(t, h)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// odd is a root with everything in it that a registry does not write.
func odd(t *testing.T) string {
	top := t.TempDir()
	root := filepath.Join(top, "root")
	write(t, filepath.Join(top, "outside", "secret"), "secret")
	write(t, filepath.Join(root, "plain"), "plain")
	write(t, filepath.Join(root, "dir", "file"), "inside")
	write(t, filepath.Join(root, ".regferry", "tmp-x", "1"), "scratch")
	write(t, filepath.Join(root, "bad\xff\nname"), "as it is")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{
		"link-file": "dir/file", "link-dir": "dir", "link-dangling": "nowhere", "link-self": "link-self",
		"link-out": "../outside/secret", "link-abs": filepath.Join(top, "outside", "secret"),
		"link-outdir": "../outside", "link-fifo": "fifo", "dir/link-up": "../plain",
	} {
		must(os.Symlink(target, filepath.Join(root, name)))
	}
	must(syscall.Mkfifo(filepath.Join(root, "fifo"), 0o644))
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	must(err)
	defer syscall.Close(fd)
	must(os.Chdir(root)) // the address of a socket is short
	must(syscall.Bind(fd, &syscall.SockaddrUnix{Name: "socket"}))
	must(os.Chdir("/"))
	return root
}

func TestOddFiles(t *testing.T) {
	root := odd(t)
	for _, walk := range []bool{false, true} {
		t.Run(fmt.Sprintf("without openat2 %v", walk), func(t *testing.T) {
			r, err := filesystem.OpenReader(root, filesystem.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if walk {
				r.WithoutOpenat2()
			}
			readsOdd(t, r)
		})
	}
}

func readsOdd(t *testing.T, r *filesystem.Reader) {
	sizes := map[string]int64{
		"bad\xff\nname": 8, "dir/file": 6, "dir/link-up": 5, "fifo": -1, "link-abs": -1, "link-dangling": -1, "link-dir": -1, "link-fifo": -1,
		"link-file": 6, "link-out": -1, "link-outdir": -1, "link-self": -1, "plain": 5, "socket": -1,
	}
	seen := 0
	for o, err := range r.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		want, ok := sizes[o.Key]
		if !ok || o.Size != want {
			t.Errorf("listed %q with %d bytes, want %d (%v)", o.Key, o.Size, want, ok)
		}
		seen++
	}
	if seen != len(sizes) {
		t.Errorf("%d are listed, want %d", seen, len(sizes))
	}
	for key, size := range sizes {
		o, err := r.Stat(t.Context(), key)
		b, openErr := open(t, r, key)
		if size >= 0 {
			if err != nil || openErr != nil || o.Size != size || int64(len(b)) != size {
				t.Errorf("%q: %+v, %v; %q, %v", key, o, err, b, openErr)
			}
			continue
		}
		if backends.ClassOf(err) != backends.Unsupported || backends.ClassOf(openErr) != backends.Unsupported {
			t.Errorf("%q: Stat %v; Open %v; want both unsupported", key, err, openErr)
		}
	}
	for _, key := range []string{"", "..", "../outside/secret", "dir/../plain", "./plain", "/plain", "plain/", "dir//file", "a\x00b",
		"link-dir/file", "link-outdir/secret", ".regferry", ".regferry/tmp-x/1"} {
		_, err := r.Stat(t.Context(), key)
		_, openErr := open(t, r, key)
		if backends.ClassOf(err) != backends.Unsupported || backends.ClassOf(openErr) != backends.Unsupported {
			t.Errorf("%q: Stat %v; Open %v; want both unsupported", key, err, openErr)
		}
	}
	for _, key := range []string{"dir", "plain/x", "no/such/thing", "dir/no"} {
		if _, err := r.Stat(t.Context(), key); backends.ClassOf(err) != backends.NotFound {
			t.Errorf("%q: %v, want not found", key, err)
		}
		if _, err := open(t, r, key); backends.ClassOf(err) != backends.NotFound {
			t.Errorf("%q: %v, want not found", key, err)
		}
	}
	for prefix, fails := range map[string]bool{"link-dir/": true, "link-outdir/x": true, "nowhere/": false, "plain/": false, "../": false, ".regferry/": false, "/": false} {
		n, err := count(r, prefix)
		if n > 0 || (err != nil) != fails {
			t.Errorf("listing of %q: %d, %v", prefix, n, err)
		}
	}
}

func count(r backends.ReadStore, prefix string) (n int, err error) {
	for _, err := range r.List(context.Background(), prefix, "") {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func open(t *testing.T, r backends.ReadStore, key string) ([]byte, error) {
	t.Helper()
	type result struct {
		data []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		b, err := r.Open(context.Background(), key, 0)
		if err != nil {
			done <- result{nil, err}
			return
		}
		data, err := io.ReadAll(b)
		b.Close()
		done <- result{data, err}
	}()
	select {
	case r := <-done:
		return r.data, r.err
	case <-time.After(10 * time.Second):
		t.Fatalf("Open of %q hangs", key)
		return nil, nil
	}
}

func TestListOrder(t *testing.T) {
	root := t.TempDir()
	keys := []string{"a-b/x", "a-b/y/z", "a.b", "a/x", "a0", "b"}
	for _, key := range keys {
		write(t, filepath.Join(root, key), key)
	}
	r, err := filesystem.OpenReader(root, filesystem.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, prefix := range []string{"", "a", "a-", "a-b/", "a-b/y", "a/", "a/x", "a0", "c"} {
		for _, after := range []string{"", "a", "a-b", "a-b/x", "a-b/y", "a.", "a/", "a/x", "a/y", "zz"} {
			var want, got []string
			for _, key := range keys {
				if strings.HasPrefix(key, prefix) && key > after {
					want = append(want, key)
				}
			}
			for o, err := range r.List(t.Context(), prefix, after) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, o.Key)
			}
			if !slices.Equal(got, want) {
				t.Errorf("List(%q, %q) = %q, want %q", prefix, after, got, want)
			}
		}
	}
}

// A tree deeper than descriptors reach is listed in order, and ends.
func TestListDeep(t *testing.T) {
	root := t.TempDir()
	path := root
	for range 300 {
		path += "/d"
	}
	write(t, path+"/file", "deep")
	for i, p := 0, root; i < 299; i++ {
		p += "/d"
		write(t, p+"-x", "beside")
	}
	r, err := filesystem.OpenReader(root, filesystem.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	n, odd := 0, 0
	for o, err := range backends.Ordered(r.List(t.Context(), "", "")) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		if o.Size < 0 {
			odd++
		}
	}
	if n < 200 || odd != 1 {
		t.Errorf("%d listed, %d of them odd", n, odd)
	}
}

func TestListUnreadable(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/a/x", "x")
	write(t, root+"/b/x", "x")
	r, err := filesystem.OpenReader(root, filesystem.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if os.Geteuid() != 0 {
		if err := os.Chmod(root+"/b", 0); err != nil {
			t.Fatal(err)
		}
		if n, err := count(r, ""); n != 1 || !errors.Is(err, backends.Denied) {
			t.Errorf("listed %d, %v", n, err)
		}
	}
	if err := os.RemoveAll(root); err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{"", "a", "a/", "c/"} {
		if n, err := count(r, prefix); n != 0 || err == nil {
			t.Errorf("listing of %q in a root that was removed: %d, %v", prefix, n, err)
		}
	}
}

func TestBodyOfChangingFile(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/cut", strings.Repeat("x", 1000))
	write(t, root+"/grown", strings.Repeat("x", 1000))
	r, err := filesystem.OpenReader(root, filesystem.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for key, size := range map[string]int64{"cut": 400, "grown": 2000} {
		b, err := r.Open(t.Context(), key, 100)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(root+"/"+key, size); err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(b)
		b.Close()
		if int64(len(data)) != size-100 {
			t.Errorf("%s: %d bytes were read", key, len(data))
		}
		if cut := key == "cut"; errors.Is(err, io.ErrUnexpectedEOF) != cut || errors.Is(err, backends.Changed) != cut {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func TestReaderMakesNothing(t *testing.T) {
	root := t.TempDir()
	if _, err := filesystem.OpenReader(root+"/absent", filesystem.Options{}); !errors.Is(err, backends.NotFound) {
		t.Errorf("a root that is absent: %v", err)
	}
	r, err := filesystem.OpenReader(root, filesystem.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := any(r).(backends.Store); ok {
		t.Error("a reader can write")
	}
	r.Close()
	if left, err := os.ReadDir(root); err != nil || len(left) > 0 {
		t.Error(left, err)
	}
}

// What is behind a link may be out of reach for a moment, as anything may; that
// is not the fault of the link.
func TestLinkOutOfReach(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/a/b/file", "x")
	if err := os.Symlink("a/b/file", root+"/Link"); err != nil {
		t.Fatal(err)
	}
	r, err := filesystem.OpenReader(root, filesystem.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if o, err := r.Stat(t.Context(), "Link"); err != nil || o.Size != 1 {
		t.Fatalf("%+v, %v", o, err)
	}
	for spare := range 4 {
		restore := withDescriptors(t, spare)
		_, statErr := r.Stat(t.Context(), "Link")
		b, openErr := r.Open(t.Context(), "Link", 0)
		listErr := listsLink(t, r)
		if openErr == nil {
			b.Close()
		}
		restore()
		for op, err := range map[string]error{"Stat": statErr, "Open": openErr, "List": listErr} {
			if err != nil && backends.ClassOf(err) != backends.Transient {
				t.Errorf("%s with %d descriptors: %v", op, spare, err)
			}
		}
		if spare == 0 && (statErr == nil || openErr == nil || listErr == nil) {
			t.Error("the descriptors were not used up")
		}
	}
}

// listsLink is the error of a listing; what it does list has its size.
func listsLink(t *testing.T, r *filesystem.Reader) error {
	t.Helper()
	for o, err := range r.List(t.Context(), "", "") {
		if err != nil {
			return err
		}
		if o.Size != 1 {
			t.Errorf("listed %+v", o)
		}
	}
	return nil
}

// withDescriptors leaves the process so many.
func withDescriptors(t *testing.T, spare int) (restore func()) {
	t.Helper()
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	few := was
	few.Cur = min(was.Cur, 256)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	var held []int
	for {
		fd, err := syscall.Open("/dev/null", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		if err != nil {
			break
		}
		held = append(held, fd)
	}
	for range spare {
		syscall.Close(held[len(held)-1])
		held = held[:len(held)-1]
	}
	return func() {
		for _, fd := range held {
			syscall.Close(fd)
		}
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
			t.Error(err)
		}
	}
}
