package verify_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"gocloud.dev/blob/memblob"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/bucket"
	"github.com/regferry/regferry/verify"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/layout/layouttest"
)

// What is counted is what was made, and what was put beside it.
func TestInventory(t *testing.T) {
	s := bucket.New(memblob.OpenBucket(nil), "mem://test")
	defer s.Close()
	var blobs []int64
	made, err := layouttest.Generate(layouttest.Shape{Seed: 5, Repositories: 6, Tags: 5, Layers: 3, Shared: 0.5, Indexes: 1, Artifacts: 1, Nested: true},
		func(key string, size int64, open func() io.Reader) error {
			if layout.Parse(key).Kind == layout.Blob {
				blobs = append(blobs, size)
			}
			_, err := s.Put(t.Context(), key, backends.Content{Size: size, Open: func(context.Context, int64) (io.ReadCloser, error) { return io.NopCloser(open()), nil }})
			return err
		})
	if err != nil {
		t.Fatal(err)
	}
	loose := digest.FromString(strings.Repeat("x", 777))
	put(t, s, layout.BlobKey(loose), strings.Repeat("x", 777))
	repository := made.Repositories[0].Name
	for key, size := range map[string]int{
		layout.UploadsPrefix(repository) + "a/data": 500, layout.UploadsPrefix(repository) + "a/startedat": 20, layout.UploadsPrefix(repository) + "b/data": 7,
		layout.Root + "strange/thing": 11, layout.Root + "repositories/" + repository + "/_manifests/.nfs0001": 13,
	} {
		put(t, s, key, strings.Repeat("x", size))
	}
	v := new(verify.Inventory)
	sum, _ := run(t, verify.Options{Source: s, Inventory: v})

	for _, c := range []struct {
		what      string
		got, want verify.Amount
	}{
		{"unreferenced", v.Unreferenced, verify.Amount{Objects: 1, Bytes: 777}},
		{"junk", v.Junk, verify.Amount{Objects: 1, Bytes: 13}},
		{"unknown", v.Unknown, verify.Amount{Objects: 1, Bytes: 11}},
		{"all", verify.Amount{Objects: v.Objects, Bytes: v.Stored}, verify.Amount{Objects: int64(made.Objects) + 6, Bytes: made.Bytes + 777 + 527 + 11 + 13}},
		{"shared", v.Shared, sharedOf(made)},
	} {
		if c.got != c.want {
			t.Errorf("%s: %+v, want %+v", c.what, c.got, c.want)
		}
	}
	if v.Shared.Objects == 0 || v.Uploads.Uploads != 2 || v.Uploads.Bytes != 527 || time.Since(v.Uploads.Oldest) > time.Hour {
		t.Errorf("shared %+v, uploads %+v", v.Shared, v.Uploads)
	}
	var manifests, named int64
	for _, m := range v.MediaTypes {
		manifests += m.Manifests
	}
	if manifests != int64(len(made.Needs)) || len(v.MediaTypes) < 2 || v.MediaTypes[0].Manifests < v.MediaTypes[1].Manifests {
		t.Errorf("%v, want %d manifests in all, most first", v.MediaTypes, len(made.Needs))
	}
	for _, r := range made.Repositories {
		for d := range namedBy(made, r) {
			named += made.Blobs[d]
		}
	}
	if v.Named != named {
		t.Errorf("unshared it would have %d bytes, want %d", v.Named, named)
	}
	slices.SortFunc(blobs, func(a, b int64) int { return int(b - a) })
	for i, b := range v.BigBlobs {
		if b.Bytes != blobs[i] || b.Digest != loose && made.Blobs[b.Digest] != b.Bytes {
			t.Errorf("%d: %+v, want %d bytes", i, b, blobs[i])
		}
	}
	if len(v.BigBlobs) != 10 || len(v.BigOnes) != len(made.Repositories) || v.BigOnes[0].Bytes < v.BigOnes[1].Bytes {
		t.Errorf("%+v, %+v", v.BigBlobs, v.BigOnes)
	}
	if v.Blobs.Oldest.IsZero() || v.Blobs.Newest.Before(v.Blobs.Oldest) || v.Tags.Oldest.IsZero() || sum.Sides[0].Blobs != int64(len(made.Blobs))+1 {
		t.Errorf("%+v, %+v, %+v", v.Blobs, v.Tags, sum.Sides)
	}
}

// namedBy is what the manifests of a repository are and name.
func namedBy(made *layouttest.Registry, r layouttest.Repository) map[digest.Digest]bool {
	all := map[digest.Digest]bool{}
	for _, d := range r.Revisions {
		all[d] = true
		for _, n := range made.Needs[d] {
			all[n] = true
		}
	}
	return all
}

func sharedOf(made *layouttest.Registry) (a verify.Amount) {
	in := map[digest.Digest]int{}
	for _, r := range made.Repositories {
		for d := range namedBy(made, r) {
			in[d]++
		}
	}
	for d, n := range in {
		if n > 1 {
			a.Objects++
			a.Bytes += made.Blobs[d]
		}
	}
	return a
}

// Whoever may push makes up media types; they are counted, and few are kept.
func TestInventoryIsBounded(t *testing.T) {
	s := bucket.New(memblob.OpenBucket(nil), "mem://test")
	defer s.Close()
	const n = 300
	for i := range n {
		manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/made.up.%d","layers":[]}`, i)
		d := digest.FromString(manifest)
		for key, text := range map[string]string{
			layout.BlobKey(d): manifest, layout.Key{Kind: layout.RevisionLink, Repository: "a", Digest: d}.String(): string(d),
		} {
			put(t, s, key, text)
		}
	}
	v := new(verify.Inventory)
	run(t, verify.Options{Source: s, Inventory: v})
	sum := int64(0)
	for _, m := range v.MediaTypes {
		sum += m.Manifests
	}
	if len(v.MediaTypes) != 51 || v.MediaTypes[0].Name != "others" || sum != n {
		t.Errorf("%d media types, first %+v, %d manifests", len(v.MediaTypes), v.MediaTypes[0], sum)
	}
}

func TestBeside(t *testing.T) {
	s := bucket.New(memblob.OpenBucket(nil), "mem://test")
	defer s.Close()
	for key, size := range map[string]int{
		"README": 1, "charts/a/b": 2, "charts/c": 3, "docker/notes": 4, "docker/registry/v1/x/y": 5, "docker/registry/v1/z": 6,
		"docker/registry/v20/a": 7, "docker/registry/v2.bak/a": 8, "zeta/1": 9, "docker/registry/v3": 10, "docker-old/x": 11,
		layout.Root + "blobs/x": 100, layout.Root + "repositories/~/\U0010FFFF/x": 200, layout.Root + "zzz": 300,
	} {
		put(t, s, key, strings.Repeat("x", size))
	}
	places, err := verify.Beside(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]verify.Amount{}
	for _, p := range places {
		got[p.Prefix] = p.Amount
	}
	want := map[string]verify.Amount{
		"README": {Objects: 1, Bytes: 1}, "charts/": {Objects: 2, Bytes: 5}, "docker/notes": {Objects: 1, Bytes: 4}, "docker/registry/v1/": {Objects: 2, Bytes: 11},
		"docker/registry/v20/": {Objects: 1, Bytes: 7}, "docker/registry/v2.bak/": {Objects: 1, Bytes: 8}, "zeta/": {Objects: 1, Bytes: 9},
		"docker/registry/v3": {Objects: 1, Bytes: 10}, "docker-old/": {Objects: 1, Bytes: 11},
	}
	if !maps.Equal(got, want) {
		t.Errorf("%v\nwant %v", got, want)
	}
}

// A bucket may hold a million other things beside the registry.
func TestBesideIsBounded(t *testing.T) {
	s := bucket.New(memblob.OpenBucket(nil), "mem://test")
	defer s.Close()
	for i := range 150 {
		put(t, s, fmt.Sprintf("%03d/x", i), "x")
	}
	places, err := verify.Beside(t.Context(), s)
	if err != nil || len(places) != 100 || places[99].Prefix != "" || places[99].Objects != 51 {
		t.Errorf("%d places, the last %+v, %v", len(places), places[len(places)-1], err)
	}
}

// A listing that fails is said, and is no empty place.
func TestBesideFails(t *testing.T) {
	broken := errors.New("the line broke")
	_, err := verify.Beside(t.Context(), brokenList{err: broken})
	if !errors.Is(err, broken) || backends.SideOf(err) != backends.Source {
		t.Errorf("%v", err)
	}
}

type brokenList struct {
	backends.ReadStore
	err error
}

func (b brokenList) List(context.Context, string, string) iter.Seq2[backends.Object, error] {
	return func(yield func(backends.Object, error) bool) { yield(backends.Object{}, b.err) }
}
