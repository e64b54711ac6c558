package migrate

import (
	"context"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify/layout"
)

// toRecheck says that a blob that the destination has is to be read, once a run.
func (p *pass) toRecheck(d digest.Digest) bool {
	return p.chosen(d) && !p.dry() && !p.rechecked.Has(d)
}

func (o Options) chosen(d digest.Digest) bool {
	return o.RecheckExisting || o.Recheck != nil && o.Recheck(d)
}

// linkToRecheck notes the blob of a link where no blob pass rechecks it: the
// links of a repository name all that its closures need. No manifest is read
// for that.
func (p *pass) linkToRecheck(at *surveyed, d digest.Digest) {
	if p.globs.Some() && p.globs.Match(at.name) && p.toRecheck(d) {
		at.recheck = append(at.recheck, d)
	}
}

// recheckBlobs looks at those that the work on the repository has not, which
// trusts what was proved before.
func (p *pass) recheckBlobs(ctx context.Context, s *surveyed) error {
	return each(ctx, p.Workers, len(s.recheck), func(ctx context.Context, i int) error {
		err := p.blob(ctx, s.recheck[i])
		if isMissing(err) {
			err = p.recheckAlias(ctx, layout.LayerKey(s.name, s.recheck[i]), s.recheck[i])
		}
		return ignoreFailure(err)
	})
}

// recheckAlias looks at what a layer link holds, if that is another blob. That
// a blob is nowhere is for the closure to judge, and not for who rechecks.
func (p *pass) recheckAlias(ctx context.Context, key string, d digest.Digest) error {
	target, err := p.readLink(ctx, p.src, backends.Source, key)
	if err == nil && target != d {
		err = p.blob(ctx, target)
	}
	if err != nil {
		err = p.noLink(ctx, key, err)
	}
	if isMissing(err) {
		return nil
	}
	return err
}
