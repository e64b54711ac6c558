package verify

import (
	"context"
	"iter"
	"strings"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/report"
)

// gaps goes through what neither a shard nor a repository covers: blobs of
// other digest algorithms, and unknown objects below the root. It costs a
// listing's start for each prefix it steps over.
func (r *run) gaps(ctx context.Context) error {
	if r.Repositories.Some() {
		return nil
	}
	const name = "other"
	before, err := r.Journal.Proved(r.shardName(name))
	if err != nil {
		return err
	}
	doubted := doubtedBlobs{run: r}
	list := func(after string) iter.Seq2[Pair, error] { return r.pairs(ctx, layout.Root, after) }
	for p, err := range between(list) {
		if err != nil {
			return err
		}
		k := layout.Parse(p.Key)
		r.Inventory.object(k, r.of(p))
		if k.Kind != layout.Blob {
			r.object(ctx, k, p)
			continue
		}
		if err := doubted.blob(ctx, blob{Key: k, Pair: p, shard: r.shardName(name), before: before}); err != nil {
			return err
		}
	}
	return doubted.again(ctx)
}

// between is what no shard and no repository covers.
func between(list func(after string) iter.Seq2[Pair, error]) iter.Seq2[Pair, error] {
	return layout.Gaps(layout.Tight(), list, func(p Pair) string { return p.Key })
}

// object deals with what is neither blob nor link: presence and size.
func (r *run) object(ctx context.Context, k layout.Key, p Pair) {
	if k.Kind.Skipped() {
		r.skipped(k, p)
		return
	}
	mine := r.of(p)
	if mine != nil && mine.Size < 0 && !r.knowable(ctx, k, p) {
		return
	}
	if mine != nil {
		r.find(r.about(k, report.Finding{Kind: report.UnknownObject, Severity: report.Notice, Found: byteCount(mine.Size)}))
	}
	switch {
	case !r.comparing:
	case mine == nil:
		r.find(r.about(k, report.Finding{Kind: report.Missing, Side: report.Transfer, Severity: report.Warning, Expected: byteCount(p.Src.Size)}))
	case p.Src == nil:
		r.find(r.about(k, report.Finding{Kind: report.Extra, Severity: report.Warning, Found: byteCount(mine.Size)}))
	case r.differ(p):
		r.find(r.about(k, report.Finding{
			Kind: report.SizeDiffers, Side: report.Transfer, Severity: report.Warning, Expected: byteCount(p.Src.Size), Found: byteCount(mine.Size),
		}))
	}
}

// knowable asks for what a listing cannot size. On a volume that may be no file,
// such as a link to a directory: what is below it is in no listing, so what
// refers to blobs is not known either.
func (r *run) knowable(ctx context.Context, k layout.Key, p Pair) bool {
	_, err := r.stat(ctx, &r.mine, p.Key)
	switch {
	case err == nil:
		return true
	case r.ended(ctx, err), backends.ClassOf(err) == backends.NotFound:
		return false
	}
	r.blind.Store(true)
	r.unreadable(&r.mine, k, err)
	return false
}

// skipped notes an upload in progress, or what a killed registry left.
func (r *run) skipped(k layout.Key, p Pair) {
	found := "what a killed process left"
	if k.Kind == layout.Upload {
		at := len(layout.UploadsPrefix(k.Repository))
		id, _, _ := strings.Cut(k.Path[at:], "/")
		k.Path, found = k.Path[:at]+id+"/", "an upload in progress"
	}
	for _, side := range []struct {
		name report.Side
		has  bool
	}{{report.Source, p.Src != nil}, {report.Destination, p.Dst != nil}} {
		if side.has {
			r.find(r.about(k, report.Finding{Kind: report.Skipped, Side: side.name, Severity: report.Notice, Found: found}))
		}
	}
}
