package filesystem_test

import (
	"context"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/filesystem"
)

// mounts has something mounted: another file system, or what is here already.
func mounts(t *testing.T, kind, from, at string) {
	t.Helper()
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	var flags uintptr
	if kind == "bind" {
		flags = syscall.MS_BIND
		if err := os.MkdirAll(from, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mount(from, at, kind, flags, ""); err != nil {
		if os.Getenv("REGFERRY_CI") != "" {
			t.Fatalf("mount: %v", err)
		}
		t.Skipf("mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(at, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// A directory of the registry that is a mount of its own costs one look, and
// not every byte that goes there.
func TestOpenRefusesOtherMounts(t *testing.T) {
	for _, kind := range []string{"tmpfs", "bind"} {
		for _, at := range []string{"docker", "docker/registry/v2/blobs", "docker/registry/v2/repositories", ".regferry"} {
			t.Run(kind+" "+at, func(t *testing.T) {
				root := t.TempDir()
				mounts(t, kind, root+"/elsewhere", root+"/"+at)
				named := root + "/" + at
				if at == ".regferry" {
					named = root + " "
				}
				s, err := filesystem.Open(root, filesystem.Options{})
				if err == nil {
					s.Close()
				}
				if backends.ClassOf(err) != backends.Unsupported || !strings.Contains(err.Error(), named) {
					t.Errorf("%v, which does not refuse %s", err, named)
				}
				r, err := filesystem.OpenReader(root, filesystem.Options{})
				if err != nil {
					t.Fatal(err)
				}
				r.Close()
			})
		}
	}
}

// What is a mount elsewhere, or comes to be one later, is found before anything
// is read for it; what is beside it goes on.
func TestPutToOtherMounts(t *testing.T) {
	for _, kind := range []string{"tmpfs", "bind"} {
		for _, way := range bothWays {
			t.Run(kind+" "+string(way), func(t *testing.T) {
				root := t.TempDir()
				s := openStore(t, root, way)
				mounts(t, kind, root+"/elsewhere", root+"/a/mount")
				write(t, root+"/a/mount/there/x", "x")
				for _, key := range []string{"a/mount/x", "a/mount/there/x", "a/mount/there/y", "a/mount/new/y", "a/mount/new/new/new/y"} {
					for _, size := range []int64{1, 2 * mib} {
						c := backends.Content{Size: size, Saved: func(backends.Upload) error { return nil }, Open: func(context.Context, int64) (io.ReadCloser, error) {
							t.Errorf("%s: the content was opened", key)
							return nil, io.ErrUnexpectedEOF
						}}
						_, err := s.Put(t.Context(), key, c)
						if backends.ClassOf(err) != backends.Unsupported || !strings.Contains(err.Error(), root+"/a/mount ") {
							t.Errorf("%s: %v", key, err)
						}
					}
				}
				put(t, s, "a/b/c", "x")
				sync1(t, s)
				if data, err := open(t, s, "a/b/c"); string(data) != "x" || err != nil {
					t.Errorf("%q, %v", data, err)
				}
				if left := leftovers(t, root); len(left) > 0 {
					t.Errorf("left: %q", left)
				}
			})
		}
	}
}
