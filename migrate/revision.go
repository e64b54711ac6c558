package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/report"
)

// revision is one manifest of a repository at work.
type revision struct {
	digest  digest.Digest
	there   bool // its link is at the destination
	none    bool // its link at the source is gone, or none
	verdict verify.Verdict
	err     error // why there is no verdict
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
