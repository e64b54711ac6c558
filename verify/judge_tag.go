package verify

import (
	"context"
	"crypto/md5"
	"errors"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/report"
)

func (j *judge) allTags(ctx context.Context) error {
	named := j.byMD5()
	return j.twice(ctx, len(j.tags), func(i int, sure bool) (bool, error) { return j.tag(ctx, j.tags[i], named, sure) })
}

// byMD5 are the revisions by the MD5 of a link to them, so that what a tag
// names is known where the listing has an MD5.
func (j *judge) byMD5() map[[md5.Size]byte]digest.Digest {
	if !slices.ContainsFunc(j.tags, func(t *tag) bool { o := j.of(t.Pair); return o != nil && o.MD5 != nil }) {
		return nil
	}
	named := make(map[[md5.Size]byte]digest.Digest, len(j.revisions))
	for _, d := range j.revisions {
		named[md5.Sum([]byte(d))] = d
	}
	return named
}

// tag judges one tag.
func (j *judge) tag(ctx context.Context, t *tag, named map[[md5.Size]byte]digest.Digest, sure bool) (doubt bool, err error) {
	switch {
	case t.names != "":
		return j.proveTag(ctx, t, t.names, t.same, sure)
	case sure:
		j.refreshTag(ctx, t)
	case (j.of(t.Pair) == nil || j.oneSided(t.Pair) || len(t.absent) > 0) && j.doubtful():
		return true, nil
	}
	mine := j.of(t.Pair)
	switch {
	case mine == nil && t.Src != nil:
		return false, j.absentTag(ctx, t) // its index goes with it
	case mine == nil:
		return false, j.headless(ctx, t)
	}
	if doubt, err := j.present(ctx, t, *mine, named, sure); doubt || err != nil {
		return doubt, err
	}
	if j.comparing && t.Src == nil {
		j.find(j.about(t.Key, report.Finding{Kind: report.Extra, Severity: report.Warning}))
	}
	for _, k := range t.absent {
		j.absentLink(ctx, k)
	}
	return false, context.Cause(ctx)
}

// refreshTag asks for what the listing had not of a tag, or had empty.
func (j *judge) refreshTag(ctx context.Context, t *tag) {
	had := j.of(t.Pair)
	key := t.Key.String()
	switch {
	case had == nil || j.oneSided(t.Pair):
		j.refresh(ctx, key, &t.Pair)
	case had.Size == 0:
		if now, err := j.objectOf(ctx, &j.run.mine, key); err == nil && now != nil {
			*had = *now
		}
	}
	switch has := j.of(t.Pair); {
	case had == nil && has != nil:
		j.results.add(&j.results.closed.tags, 1)
	case had != nil && has == nil:
		j.results.add(&j.results.closed.tags, -1)
	}
	var absent []layout.Key
	for _, k := range t.absent {
		if now, err := j.objectOf(ctx, &j.run.mine, k.String()); err != nil || now == nil {
			absent = append(absent, k)
		}
	}
	t.absent = absent
}

// headless reports a tag that has nothing but its index: a registry lists it
// and cannot serve it.
func (j *judge) headless(ctx context.Context, t *tag) error {
	blame, at := j.run.mine.name, &j.run.mine
	if t.theirIndex {
		blame = report.Source
	}
	if !t.index {
		at = &j.other
	}
	if t.entry == "" { // it has not even that any more
		return nil
	}
	if now, err := j.objectOf(ctx, at, t.entry); err == nil && now == nil { // deleted meanwhile
		return nil
	}
	j.broken(t.Key, blame, report.Finding{Expected: "current/link", Found: "only its index is there"})
	return context.Cause(ctx)
}

// broken reports a tag of which a pull fails.
func (j *judge) broken(k layout.Key, blame report.Side, f report.Finding) {
	f.Kind, f.Side, f.Severity = report.TagIncomplete, blame, report.Damage
	j.mu.Lock()
	j.out.Broken++
	j.mu.Unlock()
	j.find(j.about(k, f))
}

// absentTag sorts out why the destination lacks a tag.
func (j *judge) absentTag(ctx context.Context, t *tag) error {
	d, err := j.readLink(ctx, &j.other, t.Key)
	switch {
	case j.ended(ctx, err):
		return context.Cause(ctx)
	case errors.Is(err, layout.ErrLink):
		j.malformedAt(report.Source, t.Key, err)
		return nil
	case errors.Is(err, backends.NotFound): // deleted meanwhile
		return nil
	case err != nil:
		j.unreadable(&j.other, t.Key, err)
		return nil
	}
	severity := report.Damage
	if !j.SkipReferences {
		v, err := j.source.Judge(ctx, d)
		if err != nil {
			return j.unknown(ctx, &j.other, t.Key, err)
		}
		if !v.Whole() {
			j.incomplete(ctx, t.Key, d, v, report.Source)
			severity = report.Warning // no pull gets less for it, but the name is lost
		}
	}
	j.find(j.about(t.Key, report.Finding{Kind: report.Missing, Side: report.Transfer, Severity: severity, Digest: d}))
	return nil
}

// present judges a tag that the judged side has.
func (j *judge) present(ctx context.Context, t *tag, mine backends.Object, named map[[md5.Size]byte]digest.Digest, sure bool) (doubt bool, err error) {
	if j.SkipReferences && (!j.comparing || t.Src == nil || t.Src.MD5 != nil && slices.Equal(t.Src.MD5, mine.MD5)) {
		switch {
		case mine.Size != 0:
		case !sure && j.doubtful():
			return true, nil
		default:
			j.malformed(ctx, t.Key, t.Pair, layout.ErrLink)
		}
		return false, nil
	}
	d, err := j.tagLink(ctx, t.Key, mine, named)
	switch {
	case j.ended(ctx, err):
		return false, context.Cause(ctx)
	case errors.Is(err, layout.ErrLink):
		if !sure && j.doubtful() {
			return true, nil
		}
		j.malformed(ctx, t.Key, t.Pair, err)
		return false, nil
	case errors.Is(err, backends.NotFound): // deleted meanwhile
		j.results.add(&j.results.closed.tags, -1)
		return false, nil
	case err != nil:
		j.unreadable(&j.run.mine, t.Key, err)
		return false, nil
	}
	same, doubt, err := j.compareTag(ctx, t, d, sure)
	if doubt || err != nil || j.SkipReferences {
		return doubt, err
	}
	j.loose.Remove(d)
	return j.proveTag(ctx, t, d, same, sure)
}

func (j *judge) tagLink(ctx context.Context, k layout.Key, o backends.Object, named map[[md5.Size]byte]digest.Digest) (digest.Digest, error) {
	if len(o.MD5) == md5.Size {
		if d, ok := named[[md5.Size]byte(o.MD5)]; ok {
			return d, nil
		}
	}
	return j.readLink(ctx, &j.run.mine, k)
}

// compareTag compares what a tag names with what it names at the source.
func (j *judge) compareTag(ctx context.Context, t *tag, d digest.Digest, sure bool) (same, doubt bool, err error) {
	if !j.comparing || t.Src == nil {
		return false, false, nil
	}
	if isLinkTo(*t.Src, d) {
		return true, false, nil
	}
	theirs, err := j.readLink(ctx, &j.other, t.Key)
	switch {
	case j.ended(ctx, err):
		return false, false, context.Cause(ctx)
	case errors.Is(err, layout.ErrLink):
		if !sure && j.doubtful() {
			return false, true, nil
		}
		j.malformedAt(report.Source, t.Key, err)
	case errors.Is(err, backends.NotFound): // deleted meanwhile
	case err != nil:
		j.unreadable(&j.other, t.Key, err)
	case theirs != d:
		j.find(j.about(t.Key, report.Finding{
			Kind: report.TagDiffers, Side: report.Transfer, Severity: report.Warning, Digest: d, Expected: string(theirs), Found: string(d),
		}))
	default:
		return true, false, nil
	}
	return false, false, nil
}

// proveTag proves that a pull of the tag gets everything. Before it is called
// broken its link is read again: it may have moved.
func (j *judge) proveTag(ctx context.Context, t *tag, d digest.Digest, same, sure bool) (doubt bool, err error) {
	t.names, t.same = d, same
	v, err := j.closure.Judge(ctx, d)
	if err == nil && !v.Whole() {
		now, again := j.readLink(ctx, &j.run.mine, t.Key)
		if errors.Is(again, backends.NotFound) {
			j.results.add(&j.results.closed.tags, -1)
			return false, nil
		}
		if again == nil && now != d {
			d, same = now, false
			v, err = j.closure.Judge(ctx, d)
		}
	}
	switch {
	case err != nil:
		return false, j.unknown(ctx, &j.run.mine, t.Key, err)
	case !v.Whole():
		return j.brokenTag(ctx, t, d, v, same, sure)
	}
	if !same || !j.fewer && j.extra.Load() == 0 {
		j.results.add(&j.results.closed.tagsProved, 1)
		return false, nil // the source has all that the destination has
	}
	theirs, err := j.source.Judge(ctx, d)
	if err == nil && !theirs.Whole() && !sure && j.doubts(theirs) {
		return true, nil
	}
	j.results.add(&j.results.closed.tagsProved, 1)
	switch {
	case err != nil:
		return false, j.unknown(ctx, &j.other, t.Key, err)
	case !theirs.Whole():
		j.incomplete(ctx, t.Key, d, theirs, report.Source)
	}
	return false, nil
}

// brokenTag reports a tag of which the judged side lacks something.
func (j *judge) brokenTag(ctx context.Context, t *tag, d digest.Digest, v Verdict, same, sure bool) (doubt bool, err error) {
	if !sure && j.doubts(v) {
		return true, nil
	}
	blame := j.run.mine.name
	if same {
		if blame, err = j.blame(ctx, j.source, d, v); err != nil {
			return false, j.unknown(ctx, &j.other, t.Key, err)
		}
	}
	j.incomplete(ctx, t.Key, d, v, blame)
	return false, nil
}

// allWanted proves the images that an API knows. Where these are in a database,
// a repository without a single revision link, at either side, has those, and
// the layers', there.
func (j *judge) allWanted(ctx context.Context) error {
	mine, source := j.closure, j.source
	if j.mine.count+j.theirs.count == 0 && j.databased() {
		mine, source = j.unlinked(mine, &j.run.mine), j.unlinked(source, &j.other)
	}
	j.results.add(&j.results.closed.listed, int64(len(j.wanted)))
	return j.twice(ctx, len(j.wanted), func(i int, sure bool) (doubt bool, err error) {
		w := j.wanted[i]
		v, err := mine.Judge(ctx, w.Digest)
		k := layout.Key{Kind: layout.TagLink, Repository: w.Repository, Tag: w.Tag}
		switch {
		case err != nil:
			return false, j.unknown(ctx, &j.run.mine, k, err)
		case v.Whole():
			j.results.add(&j.results.closed.listedProved, 1)
			return false, nil
		case !sure && j.doubts(v):
			return true, nil
		}
		blame, err := j.blame(ctx, source, w.Digest, v)
		if err != nil {
			return false, j.unknown(ctx, &j.other, k, err)
		}
		j.incomplete(ctx, k, w.Digest, v, blame)
		return false, nil
	})
}

// unlinked is a closure of a side whose links are in a database.
func (j *judge) unlinked(c *Closure, s *side) *Closure {
	return &Closure{
		Revision: func(ctx context.Context, d digest.Digest) error { return j.has(ctx, s, d) },
		Layer:    func(context.Context, digest.Digest) error { return nil },
		Blob:     c.Blob, Size: c.Size, Link: c.Link, Manifest: c.Manifest,
	}
}

// databased says that the registry keeps its tags in a database. What the
// storage holds decides that for all of it, so not before all was listed: a
// single repository without revisions may have lost them.
func (r *run) databased() bool {
	return r.Metadata.Database(1, r.seenRevisions.Load(), r.seenTags.Load())
}

// undecided says that a repository waits until all are listed: whether what is
// listed for it has to have a link depends on that.
func (at *repository) undecided() bool {
	return at.Metadata == MetadataAuto && at.mine.count == 0 && len(at.wanted) > 0
}
