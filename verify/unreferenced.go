package verify

import (
	"context"
	"iter"

	"golang.org/x/sync/errgroup"

	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/report"
)

// mayBeLoose says that a blob can be called unreferenced in this run at all.
func (r *run) mayBeLoose() bool {
	return !r.SkipReferences && !r.Repositories.Some() && r.Metadata != MetadataDatabase
}

// unreferenced names the blobs that nothing in the storage refers to: no link
// and no manifest. Which these are is known in 8 bytes each, so the blobs are
// listed once more, if there are any, for their names and sizes.
func (r *run) unreferenced(ctx context.Context) error {
	if !r.mayBeLoose() || r.blind.Load() || r.summary().Database || r.loose.Len() == 0 && r.Inventory.garbageLen() == 0 {
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(r.listers())
	for _, prefix := range layout.Shards() {
		g.Go(func() error { return r.looseAmong(r.alone(ctx, prefix, "")) })
	}
	g.Go(func() error {
		return r.looseAmong(between(func(after string) iter.Seq2[Pair, error] { return r.alone(ctx, layout.Root, after) }))
	})
	return g.Wait()
}

func (r *run) looseAmong(pairs iter.Seq2[Pair, error]) error {
	for p, err := range pairs {
		if err != nil {
			return err
		}
		r.looseBlob(p)
	}
	return nil
}

func (r *run) looseBlob(p Pair) {
	k := layout.Parse(p.Key)
	if k.Kind != layout.Blob {
		return
	}
	r.Inventory.freed(k.Digest, p.Src.Size)
	if !r.loose.Has(k.Digest) {
		return
	}
	r.Inventory.unreferenced(p.Src.Size)
	if r.comparing && !r.other.present.Has(k.Digest) {
		return // it was called extra
	}
	r.find(r.about(k, report.Finding{Kind: report.Unreferenced, Severity: report.Notice, Found: byteCount(p.Src.Size)}))
}
