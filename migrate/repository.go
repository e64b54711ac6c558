package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
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

type revision struct {
	digest  digest.Digest
	there   bool // its link is at the destination
	none    bool // its link at the source is gone, or none
	verdict verify.Verdict
	err     error // why there is no verdict
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

// listRevisions finds the revisions of both sides.
func (r *repository) listRevisions(ctx context.Context) error {
	prefix := layout.RevisionsPrefix(r.name)
	for pr, err := range verify.Merge(r.list(ctx, r.src, prefix, ""), r.list(ctx, r.dst, prefix, "")) {
		if err != nil {
			return err
		}
		k := layout.Parse(pr.Key)
		switch {
		case k.Kind == layout.RevisionLink && pr.Src != nil:
			r.revisions = append(r.revisions, &revision{digest: k.Digest, there: linkThere(pr)})
			r.known.Add(k.Digest)
			if linkThere(pr) {
				r.there.Add(k.Digest)
			}
		case k.Kind == layout.RevisionLink:
			r.known.Add(k.Digest)
			r.there.Add(k.Digest)
		default:
			r.later(k, pr)
		}
	}
	return nil
}

// readRevisions reads the links that the destination lacks, before anything is
// judged: an empty one, which a registry before 3.1 leaves when it is killed, is
// no link, and what needs it is broken at the source and not merely late.
func (r *repository) readRevisions(ctx context.Context) error {
	err := each(ctx, r.Workers, len(r.revisions), func(ctx context.Context, i int) error {
		if r.revisions[i].there {
			return nil
		}
		return r.readRevision(ctx, r.revisions[i])
	})
	r.revisions = slices.DeleteFunc(r.revisions, func(v *revision) bool { return v.none })
	return err
}

func (r *repository) readRevision(ctx context.Context, v *revision) error {
	key := layout.RevisionKey(r.name, v.digest)
	got, err := r.readLink(ctx, r.src, backends.Source, key)
	if err == nil && got != v.digest {
		err = fmt.Errorf("%w: it holds %s", layout.ErrLink, got)
	}
	switch {
	case err == nil:
		return nil
	case isMissing(err):
		r.tally.count(func(t *Totals) { t.Vanished++ })
	case errors.Is(err, layout.ErrLink):
		r.malformed(key, err)
	default:
		v.err = failed(r.fail(ctx, err, key), err)
		return ignoreFailure(v.err)
	}
	v.none = true
	r.known.Remove(v.digest)
	return nil
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

// later notes what is carried when the tags are in place.
func (r *repository) later(k layout.Key, pr verify.Pair) {
	if pr.Src == nil || k.Kind.Skipped() {
		return
	}
	if k.Kind == layout.Unknown || !linkThere(pr) {
		r.rest = append(r.rest, pr.Key)
	}
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

// judge finds the verdict on each revision, copying on the spot what the
// destination lacks. Once all closures of a repository have been proved, only
// those are judged that the destination does not have.
func (r *repository) judge(ctx context.Context) error {
	proved := r.isProved(r.name)
	return each(ctx, r.Workers, len(r.revisions), func(ctx context.Context, i int) error {
		v := r.revisions[i]
		if proved && v.there || v.err != nil {
			return nil
		}
		return r.judgeOne(ctx, v)
	})
}

func (r *repository) judgeOne(ctx context.Context, v *revision) error {
	v.verdict, v.err = r.closure.Judge(ctx, v.digest)
	if v.err != nil {
		return ignoreFailure(v.err)
	}
	if v.verdict.Whole() {
		r.mu.Lock()
		r.out.Proved++
		r.mu.Unlock()
		r.tally.count(func(t *Totals) { t.RevsProved++ })
	}
	return nil
}

// writeRevisions writes the links of the listed revisions, and of those found
// on the spot, children before the indexes that name them.
func (r *repository) writeRevisions(ctx context.Context) error {
	late, err := r.takeLate(ctx)
	if err != nil {
		return err
	}
	return r.writeLevels(ctx, append(late, r.revisions...))
}

func (r *repository) writeLevels(ctx context.Context, todo []*revision) error {
	for depth, more := 0, true; more; depth++ {
		more = false
		var level []*revision
		for _, v := range todo {
			more = more || v.verdict.Depth > depth
			if v.verdict.Depth == depth {
				level = append(level, v)
			}
		}
		err := each(ctx, r.Workers, len(level), func(ctx context.Context, i int) error {
			return r.writeRevision(ctx, level[i])
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// takeLate returns the revisions that were found on the spot, judged.
func (r *repository) takeLate(ctx context.Context) ([]*revision, error) {
	var all []*revision
	for {
		r.mu.Lock()
		late := r.late
		r.late = nil
		r.mu.Unlock()
		if len(late) == 0 {
			return all, nil
		}
		all = append(all, late...)
		for _, v := range late {
			if err := r.judgeOne(ctx, v); err != nil {
				return nil, err
			}
		}
	}
}

// writeRevision writes the link of one revision if it is whole, or as broken
// as it is at the source.
func (r *repository) writeRevision(ctx context.Context, v *revision) error {
	if v.err != nil {
		r.unsound()
		if !v.there {
			r.tally.count(func(t *Totals) { t.Held++ })
		}
		return nil
	}
	broken := !v.verdict.Whole()
	if broken {
		r.unsound()
		r.brokenRevision(v)
		if err := r.doubt(r.name); err != nil {
			return err
		}
	}
	if v.there {
		return nil
	}
	if broken && r.WithholdBroken {
		r.tally.count(func(t *Totals) { t.Withheld++ })
		return nil
	}
	if !broken && !r.allLinked(ctx, v.verdict.Children) {
		v.err = notTransferred{errUnlinked}
		r.unsound()
		r.tally.count(func(t *Totals) { t.Held++ })
		return nil
	}
	key := layout.RevisionKey(r.name, v.digest)
	if err := r.writeLink(ctx, key, v.digest); err != nil {
		v.err = err
		r.unsound()
		return r.fail(ctx, err, key)
	}
	r.tally.count(func(t *Totals) { t.Links++ })
	v.there = true
	r.there.Add(v.digest)
	return nil
}

func (r *repository) brokenRevision(v *revision) {
	r.tally.count(func(t *Totals) { t.RevsBroken++ })
	m := v.verdict.Missing[0]
	r.Recorder.Finding(report.Finding{
		Kind: report.RevIncomplete, Side: report.Source, Severity: report.Warning,
		Key: layout.RevisionKey(r.name, v.digest), Repository: r.name, Digest: v.digest,
		Expected: m.What + " " + string(m.Digest), Found: m.Err.Error(), Chain: m.Chain,
		Advice: "push the image again at the source, or delete this manifest there",
	})
}

func (r *repository) unsound() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sound = false
}

// copyRest carries what no pull asks for: signatures of schema 1 and unknown
// objects.
func (r *repository) copyRest(ctx context.Context) error {
	return each(ctx, r.Workers, len(r.rest), func(ctx context.Context, i int) error {
		key := r.rest[i]
		if layout.Parse(key).Kind == layout.Unknown {
			return r.carryUnknown(ctx, key)
		}
		if _, err := r.copyLink(ctx, key); err != nil {
			r.unsound()
			return r.fail(ctx, err, key)
		}
		return nil
	})
}

func (r *repository) carryUnknown(ctx context.Context, key string) error {
	if name, ok := r.hidden(key); ok {
		r.keptBack(key, name)
		return nil
	}
	if err := r.carryAsked(ctx, key); err != nil {
		return err
	}
	if r.failedBefore(key) != nil {
		r.unsound() // else the next run may find all links equal and not come here
	}
	return nil
}

func (r *repository) carryAsked(ctx context.Context, key string) error {
	src, err := r.ask(ctx, r.src, backends.Source, key)
	if err != nil {
		return r.otherFailed(ctx, key, err)
	}
	dst, err := r.ask(ctx, r.dst, backends.Destination, key)
	switch {
	case isMissing(err):
		return r.carry(ctx, verify.Pair{Key: key, Src: &src})
	case err != nil:
		return r.otherFailed(ctx, key, err)
	}
	return r.carry(ctx, verify.Pair{Key: key, Src: &src, Dst: &dst})
}

// hidden says that a key lies in a tag that the destination does not show, or
// maybe not: a registry lists whatever has anything below tags/ as a tag. What
// was written is durable, for copyIndexes asks for that. What is no name of a
// tag nobody can pull by it, on either side.
func (r *repository) hidden(key string) (tag string, hidden bool) {
	below, ok := strings.CutPrefix(key, layout.TagsPrefix(r.name))
	if !ok {
		return "", false
	}
	tag, _, nested := strings.Cut(below, "/")
	t := r.byName[tag]
	if t == nil {
		return tag, nested && layout.Parse(layout.TagKey(r.name, tag)).Kind == layout.TagLink
	}
	return tag, t.held || t.have == "" || r.lostAt != r.lost.Load()
}

func (r *repository) keptBack(key, tag string) {
	r.Recorder.Finding(report.Finding{
		Kind: report.Skipped, Side: report.Source, Severity: report.Notice, Key: key, Repository: r.name, Tag: tag,
		Found:  "an unknown object in a tag that is not at the destination",
		Advice: "it would show there as a tag that cannot be pulled; a run that brings the tag brings it, too",
	})
}
