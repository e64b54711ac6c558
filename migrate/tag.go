package migrate

import (
	"context"
	"errors"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/report"
)

// tag is one tag at work.
type tag struct {
	name  string
	want  digest.Digest // what its link at the source held when it was last read
	none  error         // why there is no want
	have  digest.Digest // what its link at the destination holds; "" if it holds nothing
	there bool          // the destination shows the tag
	index []string      // index links that the destination lacks
	held  bool          // one of its links cannot be read
}

// maxSettle is how often a tag is tried before it is left to the next pass,
// or called broken.
const maxSettle = 3

// listTags lists the tags and reads their links, before anything else of the
// repository is listed: whatever they name was written before them.
func (r *repository) listTags(ctx context.Context) error {
	prefix := layout.TagsPrefix(r.name)
	r.byName = make(map[string]*tag)
	for pr, err := range verify.Merge(r.list(ctx, r.src, prefix, ""), r.list(ctx, r.dst, prefix, "")) {
		if err != nil {
			return err
		}
		k := layout.Parse(pr.Key)
		switch {
		case pr.Src == nil:
		case k.Kind == layout.TagLink:
			t := r.tagNamed(k.Tag)
			t.none, t.there = nil, pr.Dst != nil
		case k.Kind == layout.TagIndexLink:
			t := r.tagNamed(k.Tag)
			if !linkThere(pr) {
				t.index = append(t.index, pr.Key)
			}
		default:
			r.later(k, pr)
		}
	}
	return each(ctx, r.Workers, len(r.tags), func(ctx context.Context, i int) error { return r.readTag(ctx, r.tags[i]) })
}

// errNoLink stands for a tag of which only index links were listed: on its
// way to or fro at a live source, or what a registry left that was killed.
var errNoLink = errors.New("there is no link")

func (r *repository) tagNamed(name string) *tag {
	t := r.byName[name]
	if t == nil {
		t = &tag{name: name, none: errNoLink}
		r.byName[name] = t
		r.tags = append(r.tags, t)
	}
	return t
}

func (r *repository) readTag(ctx context.Context, t *tag) error {
	if t.none != nil {
		return nil
	}
	key := layout.TagKey(r.name, t.name)
	t.want, t.none = r.readLink(ctx, r.src, backends.Source, key)
	if t.none != nil && !isMissing(t.none) && !errors.Is(t.none, layout.ErrLink) {
		return r.unreadable(ctx, t, key, t.none)
	}
	if !t.there {
		return nil
	}
	have, err := r.readLink(ctx, r.dst, backends.Destination, key)
	if err != nil && !isMissing(err) && !errors.Is(err, layout.ErrLink) {
		return r.unreadable(ctx, t, key, err)
	}
	t.have = have
	return nil
}

// unreadable records the failure; the tag stays as it is at the destination.
func (r *repository) unreadable(ctx context.Context, t *tag, key string, err error) error {
	t.held = true
	return r.hold(t, failed(r.fail(ctx, err, key), err))
}

// settleTags writes the tags, each when all that it needs is durable.
func (r *repository) settleTags(ctx context.Context) error {
	return each(ctx, r.Workers, len(r.tags), func(ctx context.Context, i int) error {
		t := r.tags[i]
		if t.held {
			return nil
		}
		return r.settle(ctx, t)
	})
}

// copyIndexes writes the index links of the tags that the destination shows,
// when these are durable: index links alone would show as a tag that cannot be
// pulled.
func (r *repository) copyIndexes(ctx context.Context) error {
	if r.out.Written > 0 {
		if err := r.sync(ctx); err != nil {
			return err
		}
	}
	if r.lostAt != r.lost.Load() {
		return nil // it may have been a tag; the next pass finds them missing
	}
	return each(ctx, r.Workers, len(r.tags), func(ctx context.Context, i int) error {
		t := r.tags[i]
		if t.held || t.have == "" {
			return nil
		}
		return r.copyIndex(ctx, t)
	})
}

// settle brings one tag to what the source holds at this moment.
func (r *repository) settle(ctx context.Context, t *tag) error {
	judged := t.have == t.want && r.isProved(r.name)
	if t.none == nil && judged {
		return r.Watch.same(r.name, t.name, LinkSum(t.want))
	}
	var verdict verify.Verdict
	broken := 0
	for try := range maxSettle {
		if t.none == nil {
			var err error
			if verdict, err = r.ready(ctx, t.want); err != nil {
				return r.hold(t, err)
			}
		}
		last := t.want
		if err := r.readAgain(ctx, t); err != nil {
			return r.hold(t, err)
		}
		switch {
		case isMissing(t.none):
			return nil // deleted at the source while we looked
		case t.none == nil && t.want == last && verdict.Whole():
			return r.writeTag(ctx, t)
		case t.none != nil || t.want == last:
			broken++
			if err := r.settlePause(ctx, try); err != nil {
				return err
			}
		}
	}
	if broken < maxSettle {
		r.unsettled()
		return nil
	}
	return r.brokenTag(ctx, t, verdict)
}

// settlePause lets a push or a deletion at a live source come to its end
// before a tag is called broken: a registry deletes the revision link first
// and then one tag after the other.
func (r *repository) settlePause(ctx context.Context, try int) error {
	if try == maxSettle-1 {
		return nil
	}
	if r.wait(ctx, 150*time.Millisecond<<try) != nil {
		return context.Cause(ctx)
	}
	return nil
}

// ready judges what a tag names and makes it durable if it is new.
func (r *repository) ready(ctx context.Context, d digest.Digest) (verify.Verdict, error) {
	v, err := r.closure.Judge(ctx, d)
	if err != nil {
		return v, err
	}
	if err := r.writeLate(ctx, v.Whole()); err != nil {
		return v, err
	}
	switch {
	case r.lostAt != r.lost.Load():
		return v, notTransferred{errLost}
	case v.Whole() && !r.linked(ctx, d):
		return v, notTransferred{errUnlinked}
	}
	return v, nil
}

// writeLate writes the revision links that were found on the spot and makes
// them durable, and so, for a tag that is about to be written, whatever has been
// brought for it since the last Sync. It is done by one tag at a time, and each
// waits for it: what one finds another may be writing.
func (r *repository) writeLate(ctx context.Context, whole bool) error {
	r.writing.Lock()
	defer r.writing.Unlock()
	late, err := r.takeLate(ctx)
	if err != nil {
		return err
	}
	if len(late) == 0 && (!whole || r.asked.Load() == r.settled) {
		return nil
	}
	if err := r.writeLevels(ctx, late); err != nil {
		return err
	}
	return r.syncAsked(ctx)
}

// syncAsked makes durable all that answered a question of a closure so far.
func (r *repository) syncAsked(ctx context.Context) error {
	asked := r.asked.Load()
	if err := r.sync(ctx); err != nil {
		return err
	}
	r.settled = asked
	return nil
}

// linked says that the revision and all that it names have their links at the
// destination.
func (r *repository) linked(ctx context.Context, d digest.Digest) bool {
	if !r.there.Has(d) {
		return false
	}
	v, err := r.closure.Judge(ctx, d) // kept from before
	return err == nil && r.allLinked(ctx, v.Children)
}

func (r *repository) allLinked(ctx context.Context, children []digest.Digest) bool {
	for _, c := range children {
		if !r.linked(ctx, c) {
			return false
		}
	}
	return true
}

// errLost says that a Sync failed for some object while the repository was at
// work; which closures it belongs to is not known, so its tags wait.
var errLost = errors.New("an object could not be made durable")

// errUnlinked says that a link that a tag needs was not transferred.
var errUnlinked = errors.New("a revision link it needs is not at the destination")

// readAgain reads the link at the source once more.
func (r *repository) readAgain(ctx context.Context, t *tag) error {
	key := layout.TagKey(r.name, t.name)
	d, err := r.readLink(ctx, r.src, backends.Source, key)
	if isMissing(err) && errors.Is(t.none, errNoLink) {
		if gone, errGone := r.gone(ctx, t); errGone != nil || !gone {
			return errGone // still only index links
		}
	}
	t.none = err
	switch {
	case err == nil:
		t.want = d
	case !isMissing(err) && !errors.Is(err, layout.ErrLink):
		return r.failTag(ctx, key, err)
	}
	return nil
}

// gone says that nothing is left of a tag at the source.
func (r *repository) gone(ctx context.Context, t *tag) (bool, error) {
	prefix := layout.TagsPrefix(r.name) + t.name + "/"
	for _, err := range r.list(ctx, r.src, prefix, "") {
		if err != nil {
			return false, r.failTag(ctx, prefix, backends.At(backends.Source, err))
		}
		return false, nil
	}
	return true, nil
}

func (r *repository) failTag(ctx context.Context, key string, err error) error {
	return failed(r.fail(ctx, err, key), err)
}

// writeTag makes the tag visible.
func (r *repository) writeTag(ctx context.Context, t *tag) error {
	r.tally.count(func(t *Totals) { t.TagsProved++ })
	return r.putTag(ctx, t)
}

func (r *repository) putTag(ctx context.Context, t *tag) error {
	if t.have == t.want {
		return r.Watch.same(r.name, t.name, LinkSum(t.want))
	}
	if err := r.Watch.tag(ctx, r.name, t.name, t.have, t.want); err != nil {
		return err
	}
	key := layout.TagKey(r.name, t.name)
	if err := r.writeLink(ctx, key, t.want); err != nil {
		return r.hold(t, failed(r.fail(ctx, err, key), err))
	}
	t.have = t.want
	r.tally.count(func(t *Totals) { t.TagsWritten++ })
	r.mu.Lock()
	r.out.Written++
	r.mu.Unlock()
	return nil
}

// hold keeps a tag back because something it needs was not transferred.
func (r *repository) hold(t *tag, err error) error {
	if err := ignoreFailure(err); err != nil {
		return err
	}
	r.tally.count(func(t *Totals) { t.Held++ })
	r.mu.Lock()
	defer r.mu.Unlock()
	r.out.Held++
	return nil
}

func (r *repository) unsettled() {
	r.tally.count(func(t *Totals) { t.Unsettled++ })
	r.mu.Lock()
	defer r.mu.Unlock()
	r.out.Unsettled++
}

// brokenTag deals with a tag that cannot be pulled at the source either: it is
// copied as it is, but never over one that the destination has.
func (r *repository) brokenTag(ctx context.Context, t *tag, v verify.Verdict) error {
	r.tally.count(func(t *Totals) { t.TagsBroken++ })
	if err := r.doubt(r.name); err != nil {
		return err
	}
	r.brokenTags.Add(tagName(r.name, t.name))
	r.mu.Lock()
	r.out.Broken++
	r.mu.Unlock()
	f := report.Finding{
		Kind: report.TagIncomplete, Side: report.Source, Severity: report.Damage,
		Key: layout.TagKey(r.name, t.name), Repository: r.name, Tag: t.name, Digest: t.want,
		Advice: "push this tag again at the source, or delete it there",
	}
	switch {
	case t.none != nil:
		f.Kind, f.Expected, f.Found = report.LinkMalformed, "a digest", t.none.Error()
	default:
		m := v.Missing[0]
		f.Expected, f.Found, f.Chain = m.What+" "+string(m.Digest), m.Err.Error(), m.Chain
	}
	r.Recorder.Finding(f)
	switch {
	case t.none != nil || t.there:
		return nil
	case r.WithholdBroken:
		r.tally.count(func(t *Totals) { t.Withheld++ })
		return nil
	}
	return r.putTag(ctx, t)
}

// copyIndex writes the links of what the tag has named before.
func (r *repository) copyIndex(ctx context.Context, t *tag) error {
	for _, key := range t.index {
		if _, err := r.copyLink(ctx, key); err != nil {
			r.unsound()
			if err := r.fail(ctx, err, key); err != nil {
				return err
			}
		}
	}
	return nil
}
