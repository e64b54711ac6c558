package verify

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/report"
)

// allRevisions proves every revision link of the judged side.
func (j *judge) allRevisions(ctx context.Context) error {
	if j.SkipReferences {
		return nil
	}
	return j.twice(ctx, len(j.revisions), func(i int, sure bool) (doubt bool, err error) {
		return j.revision(ctx, j.revisions[i], sure)
	})
}

func (j *judge) revision(ctx context.Context, d digest.Digest, sure bool) (doubt bool, err error) {
	k := layout.Key{Kind: layout.RevisionLink, Repository: j.name, Digest: d}
	v, err := j.closure.Judge(ctx, d)
	switch {
	case err != nil:
		return false, j.unknown(ctx, &j.run.mine, k, err)
	case v.Whole():
		j.results.add(&j.results.closed.revisionsProved, 1)
		j.mu.Lock()
		j.out.Proved++
		j.mu.Unlock()
		return false, nil
	case j.explained.Has(d):
		return false, nil
	case !sure && j.doubts(v):
		return true, nil
	case j.isLost(&j.run.mine, d, v):
		j.mu.Lock()
		j.lost = append(j.lost, d)
		j.mu.Unlock()
		return false, nil
	}
	blame := j.run.mine.name
	if j.theirs.revisions.Has(d) {
		if blame, err = j.blame(ctx, j.source, d, v); err != nil {
			return false, j.unknown(ctx, &j.other, k, err)
		}
	}
	j.incomplete(ctx, k, d, v, blame)
	return false, nil
}

// isLost says that the manifest of a revision is not there at all. One that is
// there and is none, or too long for any registry, is incomplete.
func (j *judge) isLost(s *side, d digest.Digest, v Verdict) bool {
	m := v.Missing[0]
	return m.What == "manifest" && m.Digest == d && !s.present.Has(d) && !j.run.mine.told(d) && !j.other.told(d)
}

// allDangling reports links to blobs that are not there, and that nothing else
// needs: what something needs was reported as missing.
func (j *judge) allDangling(context.Context) error {
	needed := func(d digest.Digest) bool {
		return j.missed.Has(d) || j.comparing && j.other.present.Has(d)
	}
	for _, d := range j.lost {
		if needed(d) {
			continue
		}
		k := layout.Key{Kind: layout.RevisionLink, Repository: j.name, Digest: d}
		j.find(j.about(k, report.Finding{
			Kind: report.LinkDangling, Side: j.ofLink(&j.theirs.revisions, d), Severity: report.Damage, Found: "no such blob",
		}))
	}
	for _, k := range j.dangling {
		if !needed(k.target) && !j.run.mine.present.Has(k.target) { // it may have come since
			j.find(j.about(k.Key, report.Finding{
				Kind: report.LinkDangling, Side: j.ofLink(&j.theirs.layers, k.Digest), Severity: report.Notice, Found: "no such blob",
			}))
		}
	}
	return nil
}

// ofLink is whose a dangling link is.
func (j *judge) ofLink(theirs *Set, d digest.Digest) report.Side {
	if j.comparing && theirs.Has(d) {
		return report.Source
	}
	return j.run.mine.name
}

// allAbsent sorts out why the destination lacks revision links. One to what is
// broken at the source is missing, too: a migration copies it as it is.
func (j *judge) allAbsent(ctx context.Context) error {
	return j.twice(ctx, len(j.absent), func(i int, sure bool) (doubt bool, err error) {
		return j.absentRevision(ctx, j.absent[i], sure)
	})
}

func (j *judge) absentRevision(ctx context.Context, k layout.Key, sure bool) (doubt bool, err error) {
	if j.SkipReferences {
		j.absentHere(k, report.Damage)
		return false, nil
	}
	v, err := j.source.Judge(ctx, k.Digest)
	switch {
	case err != nil:
		return false, j.unknown(ctx, &j.other, k, err)
	case v.Whole() && j.explained.Has(k.Digest):
		return false, nil
	case !v.Whole() && !sure && j.doubts(v):
		return true, nil
	case v.Whole() || v.Missing[0].What == "revision link":
		j.absentHere(k, report.Damage)
		return false, nil
	case j.explained.Has(k.Digest):
	case j.isLost(&j.other, k.Digest, v):
		j.find(j.about(k, report.Finding{Kind: report.LinkDangling, Side: report.Source, Severity: report.Damage, Found: "no such blob"}))
	default:
		j.incomplete(ctx, k, k.Digest, v, report.Source)
	}
	j.absentHere(k, report.Warning)
	return false, nil
}

// blame says whose damage it is that a revision, which the source has, is not
// whole at the judged side: the source's if it is not whole there either.
func (j *judge) blame(ctx context.Context, source *Closure, d digest.Digest, v Verdict) (report.Side, error) {
	if !j.comparing {
		return j.run.mine.name, nil
	}
	theirs, err := source.Judge(ctx, d)
	switch {
	case err != nil:
		return "", err
	case !theirs.Whole():
		return report.Source, nil
	}
	for _, m := range v.Missing {
		if j.run.mine.bad.Has(m.Digest) && !j.cut.Has(m.Digest) || j.bent.Has(m.Digest) {
			return report.Destination, nil
		}
	}
	return report.Transfer, nil
}

// incomplete reports a tag or a revision of which a pull fails, and the blobs
// that are not there, each once.
func (j *judge) incomplete(ctx context.Context, k layout.Key, d digest.Digest, v Verdict, blame report.Side) {
	j.explained.Add(d)
	for _, m := range v.Missing {
		j.missing(m, blame)
	}
	m := v.Missing[0]
	f := report.Finding{Side: blame, Severity: report.Damage, Digest: d, Expected: m.What + " " + string(m.Digest), Found: notThere, Chain: m.Chain}
	if m.Err != nil {
		f.Found = cause(m.Err)
	}
	if k.Kind == layout.TagLink {
		j.broken(k, blame, f)
		return
	}
	f.Kind = report.RevIncomplete
	j.find(j.about(k, f))
}

// missing reports a blob that something needs and that is not there. What the
// source has was reported when the blobs were compared, and what is there with
// wrong bytes when it was read.
func (j *judge) missing(m Missing, blame report.Side) {
	if m.What != "blob" && m.What != "manifest" {
		return
	}
	if errors.Is(m.Err, errTooLong) {
		return // it is there
	}
	if e := (*backends.Error)(nil); errors.As(m.Err, &e) && e.Op == opSize {
		return // it is there, and who is wrong cannot be told without reading it
	}
	k := blobOf(m)
	d := k.Digest
	if j.run.mine.told(d) || j.other.told(d) || j.comparing && blame != report.Source && j.other.present.Has(d) {
		return
	}
	if j.missed.Add(d) {
		j.find(j.about(k, report.Finding{Kind: report.Missing, Side: blame, Severity: report.Damage}))
	}
}

// blobOf is the key of the blob that is missing: of an alias another than what
// needs it says.
func blobOf(m Missing) layout.Key {
	if e := (*backends.Error)(nil); errors.As(m.Err, &e) {
		if at := layout.Parse(e.Key); at.Kind == layout.Blob {
			return at
		}
	}
	return layout.Key{Kind: layout.Blob, Digest: m.Digest}
}

// unknown notes that a verdict could not be reached, or passes on why the run
// ends.
func (j *judge) unknown(ctx context.Context, s *side, k layout.Key, err error) error {
	if j.ended(ctx, err) {
		return context.Cause(ctx)
	}
	j.unreadable(s, k, err)
	return nil
}
