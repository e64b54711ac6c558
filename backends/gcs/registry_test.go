package gcs_test

import (
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/backends/gcs"
)

// TestRegistry reads what a registry wrote, blob by blob, and a registry serves
// what was written here.
func TestRegistry(t *testing.T) {
	server := servers.GCSForRegistry(t)
	server.Bucket(t, "registry")
	storage, env := servers.OnGCS(server, "registry", "pre/fix")
	reg := servers.Registry(t, servers.Version3, storage, env...)
	layer := filepath.Join(t.TempDir(), "layer.tar.gz")
	servers.BigTar(t, layer, 20<<20, 7)
	servers.Crane(t, "append", "-f", layer, "-t", reg.Addr+"/a/b:v1")

	source, err := gcs.OpenReader(t.Context(), gcs.Options{Bucket: "registry", Prefix: "/pre/fix/", Endpoint: server.Endpoint, Anonymous: true})
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	blobs, links := 0, 0
	for o, err := range source.List(t.Context(), "docker/registry/v2/", "") {
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case strings.HasSuffix(o.Key, "/link"):
			links++
		case strings.HasSuffix(o.Key, "/data"):
			blobs++
			if got, want := digestOf(t, source, o.Key), strings.Split(o.Key, "/")[6]; got.Encoded() != want {
				t.Errorf("%s holds %s", o.Key, got)
			}
		}
	}
	if blobs != 3 || links < 5 {
		t.Errorf("%d blobs and %d links are listed", blobs, links)
	}

	to := open(t, gcs.Options{Bucket: "registry", Prefix: "copy", Endpoint: server.Endpoint, Anonymous: true})
	defer to.Close()
	for o, err := range source.List(t.Context(), "docker/registry/v2/", "") {
		if err != nil {
			t.Fatal(err)
		}
		if _, err := to.Put(t.Context(), o.Key, backends.Content{Size: o.Size, Open: opening(source, o.Key)}); err != nil {
			t.Fatal(err)
		}
	}
	storage, env = servers.OnGCS(server, "registry", "copy")
	copied := servers.Registry(t, servers.Version3, storage, env...)
	broken, stats, err := servers.CheckAll(t.Context(), copied.URL)
	if err != nil || len(broken) > 0 || stats.Tags != 1 || stats.Bytes < 20<<20 {
		t.Errorf("broken %v, %+v, error %v", broken, stats, err)
	}
}

func digestOf(t *testing.T, s backends.ReadStore, key string) digest.Digest {
	t.Helper()
	b, err := s.Open(t.Context(), key, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	d, err := digest.FromReader(io.Reader(b))
	if err != nil {
		t.Fatal(err)
	}
	return d
}
