package migrate

import (
	"context"
	"iter"
	"path/filepath"
	"strings"
	"testing"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest"
	"github.com/regferry/regferry/verify/layout"
)

// unsized lists some objects without their sizes, as Swift does what is empty
// or in segments, and Ceph's Swift whatever is small.
type unsized struct {
	backends.ReadStore
	of func(backends.Object) bool
}

func (u unsized) List(ctx context.Context, prefix, after string) iter.Seq2[backends.Object, error] {
	return func(yield func(backends.Object, error) bool) {
		for o, err := range u.ReadStore.List(ctx, prefix, after) {
			if err == nil && u.of(o) {
				o.Size, o.MD5 = -1, nil
			}
			if !yield(o, err) {
				return
			}
		}
	}
}

// unsizedStore is one to be written.
type unsizedStore struct {
	backends.Store
	of func(backends.Object) bool
}

func (u *unsizedStore) List(ctx context.Context, prefix, after string) iter.Seq2[backends.Object, error] {
	return unsized{u.Store, u.of}.List(ctx, prefix, after)
}

func nobodys(backends.Object) bool     { return false }
func blobsOnly(o backends.Object) bool { return strings.HasSuffix(o.Key, "/data") }

// Other tools copy a blob in segments as a file of 0 bytes. That a listing
// does not tell its size is no reason to take that for the blob.
func TestSizesThatNoListingTells(t *testing.T) {
	dir, made := small(t)
	src := unsized{reader(t, dir), blobsOnly}
	whole := treeOf(t, reader(t, dir))
	cut := layout.BlobKey(layerOf(t, made))
	dst := memory(t)
	for key, text := range whole {
		if key == cut {
			text = ""
		}
		put(t, dst, key, text)
	}
	dry, err := Plan(t.Context(), src, dst, quick())
	if err != nil || dry.Last().Replaced != 1 || dry.Last().Copied != 0 {
		t.Errorf("planned: %+v, %v", dry.Last(), err)
	}
	o := quick()
	o.Checkpoint = filepath.Join(tempDir(t), "c")
	got, _ := transfer(t, src, dst, o)
	clean(t, got)
	if got.Replaced != 1 || got.Present != got.Blobs-1 || got.OnTrust != got.Present || got.BlobBytes == 0 {
		t.Errorf("%+v", got)
	}
	same(t, treeOf(t, dst), whole)

	// Copied, they are known by the checkpoint, and not asked for in each pass.
	again := memory(t)
	o.Checkpoint = filepath.Join(tempDir(t), "c")
	if got, _ = transfer(t, src, again, o); got.Copied != got.Blobs || got.BlobBytes != got.CopiedBytes {
		t.Errorf("%+v", got)
	}
	c := new(backendtest.Counter)
	got, _ = transfer(t, c.WrapRead(src), again, o)
	if got.ProvedBefore != got.Blobs || c.Stats.Load() > 0 {
		t.Errorf("%+v, %d Stats", got, c.Stats.Load())
	}
}

// A final run ends where listings lack sizes, too: what has arrived is not
// written again.
func TestFinalWithoutSizes(t *testing.T) {
	all := func(backends.Object) bool { return true }
	empty := func(o backends.Object) bool { return o.Size == 0 }
	for name, c := range map[string]struct{ src, dst func(backends.Object) bool }{
		"to Swift": {nobodys, empty}, "from Swift": {empty, nobodys},
		"from Ceph": {all, nobodys}, "to Ceph": {nobodys, all}, "both Ceph": {all, all},
	} {
		t.Run(name, func(t *testing.T) {
			dir, made := small(t)
			damage(t, "blob-missing", dir, made)
			for _, at := range []string{layout.Root, layout.LayersPrefix(made.Repositories[0].Name)} {
				write(t, dir, at+"empty", "")
				write(t, dir, at+"large", strings.Repeat("x", 2*maxCompare))
			}
			dst := memory(t)
			o := quick()
			o.Final = true
			s, err := Run(t.Context(), unsized{reader(t, dir), c.src}, &unsizedStore{dst, c.dst}, o)
			if err != nil || len(s.Passes) != 2 || s.Last().Undone() != 0 || s.Last().Work() != 0 {
				t.Errorf("%+v, %v", s.Passes, err)
			}
			same(t, treeOf(t, dst), treeOf(t, reader(t, dir)))
		})
	}
}

// An empty link at the destination is none, whatever the source's listing tells.
func TestEmptyLinksAndNoSizes(t *testing.T) {
	dir, _ := small(t)
	whole := treeOf(t, reader(t, dir))
	dst := memory(t)
	for k, v := range whole {
		if k := layout.Parse(k).Kind; k == layout.RevisionLink || k == layout.LayerLink || k == layout.TagIndexLink {
			v = ""
		}
		put(t, dst, k, v)
	}
	got, _ := transfer(t, unsized{reader(t, dir), func(backends.Object) bool { return true }}, dst, quick())
	clean(t, got)
	same(t, treeOf(t, dst), whole)
}

// Nor does a recheck take a size that no listing tells for a wrong one.
func TestRecheckWithoutSizes(t *testing.T) {
	for name, c := range map[string]struct{ src, dst func(backends.Object) bool }{
		"source": {blobsOnly, nobodys}, "destination": {nobodys, blobsOnly}, "both": {blobsOnly, blobsOnly},
	} {
		t.Run(name, func(t *testing.T) {
			dir, _ := small(t)
			src, dst := unsized{reader(t, dir), c.src}, &unsizedStore{memory(t), c.dst}
			o := quick()
			o.Checkpoint = filepath.Join(tempDir(t), "c")
			transfer(t, src, dst, o)
			o.RecheckExisting = true
			got, n := transfer(t, src, dst, o)
			clean(t, got)
			if got.Rechecked != got.Blobs || got.Replaced != 0 || len(n.findings) != 0 {
				t.Errorf("%+v, %+v", got, n.findings)
			}
		})
	}
}
