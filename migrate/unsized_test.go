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

// unsized lists its blobs without sizes, as Swift does those in segments.
type unsized struct{ backends.ReadStore }

func (u unsized) List(ctx context.Context, prefix, after string) iter.Seq2[backends.Object, error] {
	return func(yield func(backends.Object, error) bool) {
		for o, err := range u.ReadStore.List(ctx, prefix, after) {
			if strings.HasSuffix(o.Key, "/data") {
				o.Size = -1
			}
			if !yield(o, err) {
				return
			}
		}
	}
}

// Other tools copy a blob in segments as a file of 0 bytes. That a listing
// does not tell its size is no reason to take that for the blob.
func TestSizesThatNoListingTells(t *testing.T) {
	dir, made := small(t)
	src := unsized{reader(t, dir)}
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
