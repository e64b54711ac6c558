package migrate

import (
	"context"
	"strings"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/report"
)

// later notes what is carried when the tags are in place.
func (r *repository) later(k layout.Key, pr verify.Pair) {
	if pr.Src == nil || k.Kind.Skipped() {
		return
	}
	if k.Kind == layout.Unknown || !linkThere(pr) {
		r.rest = append(r.rest, pr.Key)
	}
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
