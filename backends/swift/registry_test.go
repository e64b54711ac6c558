package swift_test

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/backends/swift"
)

// TestRegistry has the last registry with a Swift driver write a tree that is
// read here, copies it, and has the registry read the copy: its DLOs are
// segments of several requests, ours SLOs or DLOs, as is asked for.
func TestRegistry(t *testing.T) {
	t.Parallel()
	server := servers.Swift(t)
	account := server.Account(t)
	makeContainer(t, account, "images")
	storage := func(prefix string) string {
		return fmt.Sprintf("  swift: {authurl: %q, username: %q, password: %q, container: images, chunksize: 1048576, prefix: %q}",
			server.AuthURL, server.User, server.Key, prefix)
	}
	registry := servers.Registry(t, servers.Version2, storage("made"))
	layer := bytes.Repeat([]byte("layer"), 700_000) // 4 segments
	d, err := registry.PutBlob(t.Context(), "a/b", layer)
	if err == nil {
		_, err = registry.PutImage(t.Context(), "a/b", "v1", "", nil, d)
	}
	if err != nil {
		t.Fatal(err)
	}
	registry.Stop()

	o := options(server, "images")
	o.Prefix = "made"
	src, err := swift.OpenReader(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	key := "docker/registry/v2/blobs/sha256/" + d.Digest.Encoded()[:2] + "/" + d.Digest.Encoded() + "/data"
	b, err := src.Open(t.Context(), key, 0)
	if err != nil {
		t.Fatal(err)
	}
	got, err := digest.FromReader(b)
	b.Close()
	if got != d.Digest || err != nil || b.Object.Size != int64(len(layer)) {
		t.Errorf("the layer has %d bytes and the digest %s, error %v", b.Object.Size, got, err)
	}
	if at, err := src.Stat(t.Context(), key); err != nil || at.Size != int64(len(layer)) || at.MD5 != nil {
		t.Errorf("%+v, %v", at, err)
	}

	for _, kind := range []string{"slo", "dlo"} {
		t.Run(kind, func(t *testing.T) {
			o := options(server, "images")
			o.Prefix, o.LargeObjects = "copy/"+kind, kind
			dst := open(t, o)
			defer dst.Close()
			if sized := copyAll(t, src, dst); sized == 0 {
				t.Error("no listed size was known")
			}
			copied := servers.Registry(t, servers.Version2, storage("copy/"+kind))
			defer copied.Stop()
			broken, stats, err := servers.CheckAll(t.Context(), copied.URL)
			if err != nil || len(broken) > 0 || stats.Tags != 1 || stats.Bytes < int64(len(layer)) {
				t.Errorf("broken %v, %+v, error %v", broken, stats, err)
			}
			resp, err := http.Get(copied.URL + "/v2/a/b/blobs/" + d.Digest.String())
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if got, err := digest.FromReader(resp.Body); got != d.Digest || err != nil {
				t.Errorf("the registry serves %s, error %v", got, err)
			}
		})
	}

	// What the registry made is replaced by something of ours: its segments stay.
	var said notices
	o.Notice = said.add
	over := open(t, o)
	defer over.Close()
	before := segmentsBelow(t, account, "made/")
	other := newBlob("another", 2<<20)
	if _, err := over.Put(t.Context(), key, other.Content); err != nil {
		t.Fatal(err)
	}
	holds(t, over, key, other.b)
	if after := segmentsBelow(t, account, "made/"); len(before) == 0 || len(after) != len(before)+2 || !said.has("not made by this program") {
		t.Errorf("%d segments, then %d; notices %q", len(before), len(after), said.all)
	}
}

// copyAll copies each object and returns how many sizes the listing knew.
func copyAll(t *testing.T, src backends.ReadStore, dst backends.Store) (sized int) {
	t.Helper()
	for o, err := range src.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(o.Key, "segments") || strings.HasPrefix(o.Key, "files") {
			t.Errorf("%s is listed", o.Key)
		}
		is, err := src.Stat(t.Context(), o.Key)
		if err != nil {
			t.Fatal(err)
		}
		if o.Size >= 0 {
			sized++
		}
		if o.Size >= 0 && o.Size != is.Size || o.MD5 != nil && !slices.Equal(o.MD5, is.MD5) {
			t.Errorf("listed as %+v, it is %+v", o, is)
		}
		c := backends.Content{Size: is.Size, Open: opener(src, o.Key)}
		if _, err := dst.Put(t.Context(), o.Key, c); err != nil {
			t.Fatal(err)
		}
	}
	return sized
}
