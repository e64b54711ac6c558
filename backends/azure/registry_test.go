package azure_test

import (
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/azure"
	"github.com/regferry/regferry/backends/backendtest/servers"
)

// TestRegistry copies what a registry wrote, append blobs among it, and has
// another one serve the copy and overwrite its tags.
func TestRegistry(t *testing.T) {
	server := servers.Azurite(t)
	ctx := t.Context()
	server.Container(t, "source")
	from := servers.Registry(t, servers.Version3, servers.OnAzure(server, "source", "a/root"))
	layer, err := from.PutBlob(ctx, "team/app", random(3*partSize))
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"v1", "v2"} {
		if _, err := from.PutImage(ctx, "team/app", tag, "", nil, layer); err != nil {
			t.Fatal(err)
		}
	}
	o := options(server, "source")
	o.Prefix = "/a/root"
	source, err := azure.OpenReader(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	for i, version := range []string{"3.1.1", "3.1.2", ""} {
		name := fmt.Sprintf("target-%d", i)
		server.Container(t, name)
		o := options(server, name)
		o.RegistryVersion = version
		copyAll(t, source, open(t, o))
		to := servers.Registry(t, servers.Version3, servers.OnAzure(server, name, ""))
		check := func(tags int) {
			t.Helper()
			broken, stats, err := servers.CheckAll(ctx, to.URL)
			if err != nil || len(broken) > 0 || stats.Tags != tags {
				t.Errorf("registry %q: %d tags, broken %v, error %v", version, stats.Tags, broken, err)
			}
		}
		check(2)
		other, err := to.PutBlob(ctx, "team/app", []byte(version+"another layer"))
		if err != nil {
			t.Fatal(err)
		}
		for _, tag := range []string{"v1", "v3"} {
			if _, err := to.PutImage(ctx, "team/app", tag, "", nil, other); err != nil {
				t.Errorf("registry %q: push of %s: %v", version, tag, err)
			}
		}
		check(3)
	}
}

func copyAll(t *testing.T, from backends.ReadStore, to backends.Store) {
	t.Helper()
	defer to.Close()
	n := 0
	for o, err := range from.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		n++
		_, err := to.Put(t.Context(), o.Key, backends.Content{Size: o.Size, Open: func(ctx context.Context, off int64) (io.ReadCloser, error) {
			return from.Open(ctx, o.Key, off)
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n < 10 {
		t.Fatalf("%d objects only", n)
	}
}
