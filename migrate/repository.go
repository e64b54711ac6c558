package migrate

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/verify"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/report"
)

// repository is one repository at work. It is listed in the reverse of the
// order in which a registry writes (tags, revisions, layers), so all that a
// listed tag needs was there before the tag was; and it is written so that
// nothing is visible before what it needs.
//
// It holds some 200 bytes a tag and 100 a revision of this one repository.
type repository struct {
	*pass
	name      string
	tags      []*tag
	byName    map[string]*tag
	revisions []*revision
	rest      []string // unknown objects and signature links that the destination lacks
	closure   verify.Closure
	lostAt    int64 // pass.lost when the work began
	sound     bool  // nothing failed so far

	known  verify.Set // revisions with a link on either side
	there  verify.Set // revisions with a link at the destination
	layers verify.Set // layers with a link at the destination

	asked   atomic.Int64 // manifests that were judged anew
	writing sync.Mutex   // of what was found on the spot
	settled int64        // asked when the last Sync began
	mu      sync.Mutex
	late    []*revision // found on the spot, after the listing
	out     report.Repository
}

// copyRepository brings one repository across.
func (p *pass) copyRepository(ctx context.Context, s *surveyed) error {
	leave, err := p.Shared.turns.take(ctx, s.name, p.progress)
	if err != nil {
		return err
	}
	defer leave()
	r := &repository{pass: p, name: s.name, lostAt: p.lost.Load(), sound: true}
	r.out = report.Repository{Name: s.name, Tags: s.tags, Revisions: s.revisions, Layers: s.layers}
	r.closure = verify.Closure{Revision: r.revision, Layer: r.layer, Blob: r.blob, Link: r.alias, Manifest: r.manifest}
	steps := []func(context.Context) error{
		r.listTags, r.listRevisions, r.readRevisions, r.copyLayers,
		r.judge, p.sync, r.writeRevisions, r.syncAsked,
		r.settleTags, r.copyIndexes, r.copyRest,
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return p.repositoryFailed(ctx, r, err)
		}
	}
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case r.sound && r.lostAt == p.lost.Load() && r.out.Broken+r.out.Held+r.out.Unsettled == 0:
		p.prove(r.name)
	default:
		if err := p.doubt(r.name); err != nil {
			return err
		}
	}
	p.Recorder.Repository(r.out)
	return nil
}

// repositoryFailed ends the work on a repository whose listing failed; the
// next pass tries it again.
func (p *pass) repositoryFailed(ctx context.Context, r *repository, err error) error {
	p.Recorder.Repository(r.out)
	return p.fail(ctx, err, layout.RepositoryPrefix(r.name))
}

// linkThere says that the destination has a link of the right size, or of one
// that a listing does not tell. Links but those of tags are written once and
// never change. What is empty is none.
func linkThere(pr verify.Pair) bool {
	if pr.Dst == nil || pr.Dst.Size == 0 {
		return false
	}
	return pr.Src == nil || pr.Dst.Size == pr.Src.Size || pr.Src.Size != 0 && unsizedPair(pr)
}

// copyLayers writes the layer links that the destination lacks. A dangling one
// is as usual as harmless: a registry of version 2.8 leaves them behind when
// it collects garbage.
func (r *repository) copyLayers(ctx context.Context) error {
	prefix := layout.LayersPrefix(r.name)
	b := r.batch(ctx)
	for pr, err := range verify.Merge(r.list(ctx, r.src, prefix, ""), r.list(ctx, r.dst, prefix, "")) {
		if err != nil {
			b.fail(err)
			break
		}
		k := layout.Parse(pr.Key)
		switch {
		case k.Kind != layout.LayerLink:
			r.later(k, pr)
		case linkThere(pr):
			r.layers.Add(k.Digest)
		case pr.Src == nil: // empty, and the destination's alone
		default:
			b.do(func(ctx context.Context) error { return r.copyLayer(ctx, k.Digest) })
		}
	}
	return b.wait()
}

// copyLayer writes one layer link and, when the blobs had no pass of their
// own, brings the blob.
func (r *repository) copyLayer(ctx context.Context, d digest.Digest) error {
	if r.globs.Some() {
		if err := r.blob(ctx, d); err != nil && !isMissing(err) {
			r.unsound()
			return ignoreFailure(err)
		}
	}
	wrote, err := r.copyLink(ctx, layout.LayerKey(r.name, d))
	if err != nil {
		r.unsound()
		return r.fail(ctx, err, layout.LayerKey(r.name, d))
	}
	if wrote {
		r.layers.Add(d)
	}
	return nil
}

func (r *repository) unsound() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sound = false
}
