package migrate

import (
	"context"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/report"
)

// checkClosures judges every tag of the destination from the destination
// alone, after a pass that found nothing to do. A tag that is broken there and
// was found broken at the source is the source's damage; any other is not. One
// that cannot be read has failed, and nothing is known of it.
func (p *pass) checkClosures(ctx context.Context) error {
	p.progress.enter("closures")
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	a := verify.Audit{Store: p.dst, Match: p.globs.Match, Workers: p.Workers, Pause: p.pauseOn(backends.Destination)}
	if !p.globs.Some() {
		a.Blob = func(_ context.Context, d digest.Digest) error {
			if p.blobs.Has(d) {
				return nil
			}
			return absentAt(backends.Destination, layout.BlobKey(d))
		}
	}
	err := a.Tags(ctx, func(v verify.TagVerdict) {
		if err := p.closureFound(ctx, v); err != nil {
			end(err)
		}
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return backends.At(backends.Destination, err)
}

func absentAt(side backends.Side, key string) error {
	return &backends.Error{Side: side, Op: "stat", Key: key, Class: backends.NotFound}
}

func (p *pass) closureFound(ctx context.Context, v verify.TagVerdict) error {
	if v.Err == nil {
		p.breaker.succeeded(backends.Destination)
	}
	switch {
	case v.Err == nil && v.Verdict.Whole():
		p.tally.count(func(t *Totals) { t.TagsChecked++ })
		return nil
	case p.brokenTags.Has(tagName(v.Repository, v.Tag)):
		return nil
	case v.Err != nil && !isMissing(v.Err) && backends.ClassOf(v.Err) != backends.Corrupt:
		return p.fail(ctx, backends.At(backends.Destination, v.Err), layout.TagKey(v.Repository, v.Tag))
	}
	p.damaged(v)
	return nil
}

func (p *pass) damaged(v verify.TagVerdict) {
	f := report.Finding{
		Kind: report.TagIncomplete, Side: report.Destination, Severity: report.Damage,
		Key: layout.TagKey(v.Repository, v.Tag), Repository: v.Repository, Tag: v.Tag, Digest: v.Digest,
		Advice: "a pull of this tag fails at the destination; if the source can serve it, run again with --recheck-existing",
	}
	if v.Err != nil {
		f.Found = v.Err.Error()
	} else {
		m := v.Verdict.Missing[0]
		f.Expected, f.Chain = m.What+" "+string(m.Digest), m.Chain
		if m.Err != nil {
			f.Found = m.Err.Error()
		}
	}
	p.tally.count(func(t *Totals) { t.Damaged++ })
	p.Recorder.Finding(f)
}

// tagName stands for a tag where digests stand for blobs.
func tagName(repository, tag string) digest.Digest {
	return digest.FromString(repository + ":" + tag)
}
