package verify

import (
	"context"
	"errors"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/report"
)

// maxLooks is how many blobs are read at the source, at most, to find out
// whose damage it is that the destination lacks them or has them wrong. Were
// half of a registry missing, the source would else be read in half.
const maxLooks = 1000

// absentBlob sorts out why the destination lacks a blob.
func (r *run) absentBlob(ctx context.Context, b blob) {
	err := r.lookAt(ctx, b.Pair, b.Key)
	switch {
	case r.ended(ctx, err):
	case backends.ClassOf(err) == backends.Corrupt:
		r.corruptAt(&r.other, report.Source, b.Key, err)
	case backends.ClassOf(err) == backends.NotFound: // gone meanwhile
		r.other.present.Remove(b.Digest)
	case err != nil && !errors.Is(err, errNoLook):
		r.unreadable(&r.other, b.Key, err)
	default:
		r.find(r.about(b.Key, report.Finding{Kind: report.Missing, Side: report.Transfer, Severity: report.Damage, Expected: byteCount(b.Src.Size)}))
	}
}

// otherSize sorts out which of two blobs is wrong, or whether both are.
func (r *run) otherSize(ctx context.Context, b blob) {
	if Provable(b.Digest) {
		mine := r.hash(ctx, &r.mine, b.Dst.Key, b.Dst.Size, b.Digest)
		theirs := r.lookAt(ctx, b.Pair, b.Key)
		switch {
		case r.ended(ctx, errors.Join(mine, theirs)):
			return
		case backends.ClassOf(mine) == backends.Corrupt:
			r.mine.bad.Add(b.Digest)
		case mine == nil:
			r.proved(Content, *b.Dst)
		}
		if backends.ClassOf(theirs) == backends.Corrupt {
			r.corruptAt(&r.other, report.Source, b.Key, theirs)
			return
		}
	}
	r.cut.Add(b.Digest)
	r.find(r.about(b.Key, report.Finding{
		Kind: report.SizeDiffers, Side: report.Transfer, Severity: report.Damage, Expected: byteCount(b.Src.Size), Found: byteCount(b.Dst.Size),
	}))
}

// corrupt reports a blob of the judged side whose bytes are wrong. Comparing,
// it is the source's damage if the source has it wrong as well, and else it has
// rotted at the destination.
func (r *run) corrupt(ctx context.Context, k layout.Key, err error, src *backends.Object) {
	blame := report.Side(r.mine.name)
	if r.comparing && src != nil {
		look := r.lookAt(ctx, Pair{Key: k.String(), Src: src}, k)
		if r.ended(ctx, look) {
			return
		}
		if backends.ClassOf(look) == backends.Corrupt {
			r.other.bad.Add(k.Digest)
			blame = report.Source
		}
	}
	r.corruptAt(&r.mine, blame, k, err)
}

func (r *run) corruptAt(s *side, blame report.Side, k layout.Key, err error) {
	s.bad.Add(k.Digest)
	if r.told.Add(k.Digest) {
		r.find(r.about(k, report.Finding{Kind: report.ContentCorrupt, Side: blame, Severity: report.Damage, Expected: string(k.Digest), Found: cause(err)}))
	}
}

var errNoLook = errors.New("not looked at")

// lookAt reads a blob at the source. An empty one is known to be wrong without.
func (r *run) lookAt(ctx context.Context, p Pair, k layout.Key) error {
	switch {
	case p.Src.Size == 0 && Provable(k.Digest) && k.Digest != k.Digest.Algorithm().FromBytes(nil):
		return &backends.Error{Side: backends.Source, Op: "list", Key: p.Key, Class: backends.Corrupt, Err: errEmpty}
	case !Provable(k.Digest) || r.looks.Add(1) > maxLooks:
		return errNoLook
	}
	return r.hash(ctx, &r.other, p.Key, p.Src.Size, k.Digest)
}

// unproved notes a blob of an algorithm that cannot be computed here.
func (r *run) unproved(k layout.Key) {
	r.find(r.about(k, report.Finding{
		Kind: report.Unproved, Severity: report.Notice, Found: "a digest algorithm that cannot be computed here",
	}))
}

// unreadable notes what could not be read, which a registry could not either.
func (r *run) unreadable(s *side, k layout.Key, err error) {
	r.find(r.about(k, report.Finding{Kind: report.Unproved, Side: s.name, Severity: report.Damage, Found: cause(err)}))
}
