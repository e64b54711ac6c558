package oss_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest/servers"
)

// TestRegistry: what registry 2.8.3 writes with an SDK of its own is read here
// with the right digests, and what is written here it serves.
func TestRegistry(t *testing.T) {
	server := servers.OSS(t)
	server.Bucket(t, "pushed")
	server.Bucket(t, "moved")
	from := servers.Registry(t, servers.Version283, servers.OnOSS(t, server, "pushed", "a/root"))
	dir := t.TempDir()
	small, big := filepath.Join(dir, "small.tar"), filepath.Join(dir, "big.tar")
	servers.Tar(t, small, map[string]string{"hello": "world"})
	servers.BigTar(t, big, 23<<20, 1)
	for _, image := range []string{"team/app:1", "team/app:2", "other:latest"} {
		servers.Crane(t, "append", "-f", small, "-f", big, "-t", from.Addr+"/"+image)
	}

	o := optionsOf(server, "pushed")
	o.Prefix = "/a/root"
	src := open(t, o)
	defer src.Close()
	o = optionsOf(server, "moved")
	o.Prefix, o.PartSize = "/elsewhere/", partSize
	dst := open(t, o)
	defer dst.Close()
	blobs, objects := 0, 0
	for o, err := range src.List(t.Context(), "docker/", "") {
		if err != nil {
			t.Fatal(err)
		}
		objects++
		if name, ok := strings.CutPrefix(o.Key, "docker/registry/v2/blobs/sha256/"); ok {
			blobs++
			hex := strings.Split(name, "/")[1]
			if got := digestOf(t, src, o.Key); got != "sha256:"+hex {
				t.Errorf("%s holds %s", o.Key, got)
			}
		}
		move(t, src, dst, o)
	}
	if blobs != 4 || objects < 15 {
		t.Fatalf("%d blobs in %d objects", blobs, objects)
	}

	to := servers.Registry(t, servers.Version283, servers.OnOSS(t, server, "moved", "elsewhere"))
	for _, image := range []string{"team/app:1", "team/app:2", "other:latest"} {
		servers.Crane(t, "validate", "--remote", to.Addr+"/"+image)
		if a, b := servers.Crane(t, "digest", from.Addr+"/"+image), servers.Crane(t, "digest", to.Addr+"/"+image); a != b {
			t.Errorf("%s: %s became %s", image, a, b)
		}
	}
}

func digestOf(t *testing.T, s backends.ReadStore, key string) string {
	t.Helper()
	b, err := s.Open(t.Context(), key, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	h := sha256.New()
	if _, err := io.Copy(h, b); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("sha256:%x", h.Sum(nil))
}

// move puts an object as it was read.
func move(t *testing.T, src backends.ReadStore, dst backends.Store, o backends.Object) {
	t.Helper()
	b, err := src.Open(t.Context(), o.Key, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	all, err := io.ReadAll(b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dst.Put(t.Context(), o.Key, contentOf(all, digest.FromBytes(all))); err != nil {
		t.Fatal(err)
	}
}
