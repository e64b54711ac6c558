package verify

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/report"
)

// link deals with a link of any kind but a tag's: presence and size, and, where
// references are followed, what it holds.
func (at *repository) link(ctx context.Context, k layout.Key, p Pair) {
	switch {
	case at.of(p) == nil && k.Kind == layout.TagIndexLink:
		t := at.tagAt(k.Tag)
		t.absent = append(t.absent, k) // until the tag is judged
	case !at.oneSided(p) || !at.doubtLink(k, p, false):
		at.linkNow(ctx, k, p, false)
	}
}

// linkNow deals with one that was asked for once more, which makes it sure, or
// that need not be.
func (at *repository) linkNow(ctx context.Context, k layout.Key, p Pair, sure bool) {
	mine := at.of(p)
	if at.comparing && p.Src != nil && p.Src.Size != 0 {
		at.theirs.add(k)
	}
	switch {
	case mine == nil && k.Kind == layout.RevisionLink:
		at.read(ctx, func() {
			if at.soundThere(ctx, k) {
				at.mu.Lock()
				at.absent = append(at.absent, k) // until all that it needs is listed
				at.mu.Unlock()
			}
		})
		return
	case mine == nil:
		at.read(ctx, func() { at.absentLink(ctx, k) })
		return
	case at.comparing && p.Src == nil:
		at.fewer = true
		at.find(at.about(k, report.Finding{Kind: report.Extra, Severity: report.Warning}))
	}
	switch {
	case at.differ(p), at.otherContent(p), !at.SkipReferences && !isLinkTo(*mine, k.Digest):
		at.read(ctx, func() { at.content(ctx, k, p, sure) })
	default:
		at.good(ctx, k, linkDigest(k))
	}
}

func (at *repository) read(ctx context.Context, do func()) {
	at.links.Go(func() error {
		if ctx.Err() == nil {
			do()
		}
		return nil
	})
}

func (l *linkSet) add(k layout.Key) {
	switch k.Kind {
	case layout.RevisionLink:
		l.revisions.Add(k.Digest)
	case layout.LayerLink:
		l.layers.Add(k.Digest)
	}
}

func (l *linkSet) remove(k layout.Key) {
	switch k.Kind {
	case layout.RevisionLink:
		l.revisions.Remove(k.Digest)
	case layout.LayerLink:
		l.layers.Remove(k.Digest)
	}
}

// linkDigest is what a link must hold, but for an alias.
func linkDigest(k layout.Key) digest.Digest {
	if k.Kind == layout.SignatureLink {
		return k.Signature
	}
	return k.Digest
}

// isLinkTo says that the listing itself shows a link to hold d.
func isLinkTo(o backends.Object, d digest.Digest) bool {
	sum := md5.Sum([]byte(d))
	return o.MD5 != nil && slices.Equal(o.MD5, sum[:])
}

// otherContent says that the listings show both sides to hold different bytes.
func (r *run) otherContent(p Pair) bool {
	return r.comparing && p.Src != nil && p.Dst != nil && p.Src.MD5 != nil && p.Dst.MD5 != nil && !slices.Equal(p.Src.MD5, p.Dst.MD5)
}

// good notes a link of the judged side that holds target.
func (at *repository) good(ctx context.Context, k layout.Key, target digest.Digest) {
	at.mine.add(k)
	if k.Kind == layout.RevisionLink { // which also tells what a tag names, see byMD5
		at.mu.Lock()
		at.revisions = append(at.revisions, k.Digest)
		at.mu.Unlock()
	}
	if at.SkipReferences {
		return
	}
	at.loose.Remove(target)
	if k.Kind == layout.LayerLink {
		if err := at.has(ctx, &at.run.mine, target); errors.Is(err, backends.NotFound) && !errors.Is(err, errWrong) && !errors.Is(err, errUnread) {
			at.mu.Lock()
			at.dangling = append(at.dangling, danglingLink{k, target})
			at.mu.Unlock()
		}
	}
}

// content reads a link that the listing says too little of.
func (at *repository) content(ctx context.Context, k layout.Key, p Pair, sure bool) {
	target, err := at.readLink(ctx, &at.run.mine, k)
	var theirTarget digest.Digest
	var theirs error
	if err == nil && (at.differ(p) || at.otherContent(p)) {
		theirTarget, theirs = at.readLink(ctx, &at.other, k)
	}
	switch {
	case at.ended(ctx, errors.Join(err, theirs)):
	case errors.Is(err, layout.ErrLink), errors.Is(theirs, layout.ErrLink):
		if at.doubtLink(k, p, sure) {
			return
		}
		if err != nil {
			at.malformed(ctx, k, p, err)
			return
		}
		at.good(ctx, k, target)
		at.theirs.remove(k)
		at.malformedAt(report.Source, k, theirs)
	case errors.Is(err, backends.NotFound): // gone since it was listed
		at.mu.Lock()
		at.gone = append(at.gone, k)
		at.mu.Unlock()
	case err != nil:
		at.unreadable(&at.run.mine, k, err)
	case at.differ(p), at.otherContent(p):
		at.good(ctx, k, target)
		if at.differ(p) && theirs == nil && theirTarget != target { // else the listing was old
			at.find(at.about(k, report.Finding{
				Kind: report.SizeDiffers, Side: report.Transfer, Severity: report.Warning, Expected: byteCount(p.Src.Size), Found: byteCount(p.Dst.Size),
			}))
		}
	default:
		at.good(ctx, k, target)
	}
}

// readLink reads a link. One that holds no digest, or that of something else,
// is an error that is layout.ErrLink. A registry links a layer that was asked
// for by a digest of another algorithm to the blob by its own.
func (at *repository) readLink(ctx context.Context, s *side, k layout.Key) (digest.Digest, error) {
	data, err := at.small(ctx, s, k.String(), maxLink)
	if errors.Is(err, errTooLong) {
		return "", fmt.Errorf("%w: %w", layout.ErrLink, errTooLong)
	}
	if err != nil {
		return "", err
	}
	d, err := layout.ParseLink(data)
	want := linkDigest(k)
	switch {
	case err != nil || k.Kind == layout.TagLink || d == want:
		return d, err
	case k.Kind == layout.LayerLink && d.Algorithm() != want.Algorithm():
		return d, nil
	}
	return "", fmt.Errorf("%w to this: it holds %s", layout.ErrLink, d)
}

// malformed reports a link of the judged side that is none, and whose fault it
// is.
func (at *repository) malformed(ctx context.Context, k layout.Key, p Pair, err error) {
	blame := at.run.mine.name
	if at.comparing && p.Src != nil {
		_, theirs := at.readLink(ctx, &at.other, k)
		if at.ended(ctx, theirs) {
			return
		}
		if errors.Is(theirs, layout.ErrLink) {
			at.theirs.remove(k)
			blame = report.Source
		}
	}
	at.malformedAt(blame, k, err)
}

func (at *repository) malformedAt(blame report.Side, k layout.Key, err error) {
	severity := report.Damage
	if k.Kind == layout.TagIndexLink || k.Kind == layout.SignatureLink {
		severity = report.Warning // no pull reads it
	}
	if blame == report.Destination {
		at.bent.Add(k.Digest)
	}
	expected := string(linkDigest(k))
	if expected == "" {
		expected = "a digest"
	}
	at.find(at.about(k, report.Finding{Kind: report.LinkMalformed, Side: blame, Severity: severity, Expected: expected, Found: err.Error()}))
}

// absentLink sorts out why the destination lacks a link.
func (at *repository) absentLink(ctx context.Context, k layout.Key) {
	if !at.soundThere(ctx, k) {
		return
	}
	severity := report.Damage
	if k.Kind == layout.TagIndexLink || k.Kind == layout.SignatureLink {
		severity = report.Warning
	}
	at.absentHere(k, severity)
}

func (at *repository) absentHere(k layout.Key, severity report.Severity) {
	at.find(at.about(k, report.Finding{Kind: report.Missing, Side: report.Transfer, Severity: severity}))
}

// soundThere says that a link that the destination lacks is one at the source,
// and reports it if it is none.
func (at *repository) soundThere(ctx context.Context, k layout.Key) bool {
	target, err := at.readLink(ctx, &at.other, k)
	switch {
	case at.ended(ctx, err), errors.Is(err, backends.NotFound): // deleted meanwhile
	case errors.Is(err, layout.ErrLink):
		at.theirs.remove(k)
		at.malformedAt(report.Source, k, err)
	case err != nil:
		at.unreadable(&at.other, k, err)
	case k.Kind == layout.LayerLink && errors.Is(at.has(ctx, &at.other, target), backends.NotFound):
		at.find(at.about(k, report.Finding{Kind: report.LinkDangling, Side: report.Source, Severity: report.Notice, Found: "no such blob"}))
	default:
		return true
	}
	return false
}
