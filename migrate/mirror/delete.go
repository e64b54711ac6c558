package mirror

import (
	"cmp"
	"context"
	"crypto/md5"
	"errors"
	"io/fs"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify/layout"
)

// delete deletes what is due, after a complete full round. Nothing is copied
// meanwhile. refused says why nothing may be, if so.
func (m *Mirror) delete(ctx context.Context, l *look, gone []absence, refused string) (deleted int64, err error) {
	keys := m.due(gone)
	approved, rest, err := m.allowed(keys)
	if err != nil {
		return 0, err
	}
	reason := refused
	if reason == "" {
		reason = m.MaxDelete.exceeded(int64(len(rest)), l.all)
	}
	switch {
	case len(keys) == 0 || reason == "":
		if err := m.noPlan(); err != nil {
			return 0, err
		}
	case refused != "" && (l.blobs == 0 || m.landmarks == nil):
		// What was let through was so for the source that it was.
		return 0, errors.Join(m.approvedOnce(), m.refuse(keys, reason, ""))
	default:
		if err := m.refuse(rest, reason, m.show.approve()); err != nil {
			return 0, err
		}
		keys = approved
	}
	if len(keys) == 0 {
		return 0, nil
	}
	if backends.PowersOf(m.dst).Deleter == nil {
		return 0, m.refuse(keys, "the destination's store cannot delete", "")
	}
	m.show.waitForHints()
	if err := m.work.Acquire(ctx, atWork); err != nil {
		return 0, context.Cause(ctx)
	}
	defer m.work.Release(atWork)
	if err := m.notFinished(ctx); err != nil {
		return 0, err
	}
	m.show.phase("deletions")
	d, err := m.newDeletion(keys)
	if err != nil {
		return 0, err
	}
	if len(l.landmarks) > 0 {
		d.landmark = layout.BlobKey(l.landmarks[0])
	}
	err = errors.Join(d.run(ctx), d.journal.close())
	if err == nil {
		err = m.approvedOnce()
	}
	m.show.deletedObjects(d.done)
	if errors.Is(err, errGiveWay) {
		err = nil // the next full round goes on
	}
	return d.done, err
}

// leastAtOnce is how many objects are deleted before a hint that waits is given
// way to, so that a busy registry does not put deletions off for ever.
const leastAtOnce = 100

// errGiveWay ends deletions for a hint that waits, or for Stop. They are planned
// anew.
var errGiveWay = errors.New("something else is to be done first")

// deletion is one plan at work. Its memory is that of the plan, and of the
// references of one repository at a time.
type deletion struct {
	*Mirror
	from     backends.Deleter
	journal  *deletions
	landmark string               // a blob that this round saw at the source; empty: none
	tags     map[string][]absence // by repository:tag, index links first
	links    map[string][]absence // revisions and layers by repository
	blobs    map[string]absence   // by digest
	done     int64
}

func (m *Mirror) newDeletion(keys []absence) (*deletion, error) {
	j, err := openDeletions(m.state.path("deletions.jsonl"))
	if err != nil {
		return nil, err
	}
	d := &deletion{
		Mirror: m, from: backends.PowersOf(m.dst).Deleter, journal: j,
		tags: make(map[string][]absence), links: make(map[string][]absence), blobs: make(map[string]absence),
	}
	for _, a := range keys {
		switch k := layout.Parse(a.Key); k.Kind {
		case layout.TagIndexLink:
			name := tagName(k.Repository, k.Tag)
			d.tags[name] = append([]absence{a}, d.tags[name]...)
		case layout.TagLink:
			name := tagName(k.Repository, k.Tag)
			d.tags[name] = append(d.tags[name], a)
		case layout.Blob:
			d.blobs[string(k.Digest)] = a
		default:
			d.links[k.Repository] = append(d.links[k.Repository], a)
		}
	}
	return d, nil
}

// run deletes tags, then links, then blobs: the reverse of the order of writing.
func (d *deletion) run(ctx context.Context) error {
	for _, name := range sortedKeys(d.tags) {
		if err := d.tag(ctx, d.tags[name]); err != nil {
			return err
		}
	}
	for _, repository := range sortedKeys(d.links) {
		if err := d.repository(ctx, repository, d.links[repository]); err != nil {
			return err
		}
	}
	if len(d.blobs) == 0 {
		return nil
	}
	if err := d.referenced(ctx); err != nil {
		return err
	}
	var blobs []absence
	for _, name := range sortedKeys(d.blobs) {
		blobs = append(blobs, d.blobs[name])
	}
	return d.all(ctx, blobs)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// tag deletes the links of one tag, what makes it a tag last. It has to hold
// what this mirror wrote.
func (d *deletion) tag(ctx context.Context, keys []absence) error {
	last := layout.Parse(keys[len(keys)-1].Key)
	if last.Kind == layout.TagLink {
		data, err := readObject(ctx, d.dst, keys[len(keys)-1].Key)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return backends.At(backends.Destination, err)
		default:
			if ours, _ := d.Mirror.tags.ours(last.Repository, last.Tag, md5.Sum(data)); !ours {
				return otherWriter("what the tag "+backends.Printable(tagName(last.Repository, last.Tag))+" names", last.String())
			}
		}
		if back, err := d.returned(ctx, last.String()); err != nil || back {
			return err
		}
	}
	if last.Kind != layout.TagLink {
		return d.all(ctx, keys)
	}
	n := len(keys) - 1
	if err := d.all(ctx, keys[:n]); err != nil {
		return err
	}
	return d.all(ctx, keys[n:])
}

// returned asks the source once more.
func (d *deletion) returned(ctx context.Context, key string) (bool, error) {
	_, err := d.src.Stat(ctx, key)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, backends.At(backends.Source, err)
}

// atOnce is how many objects one line of intent, and one reading of the lease,
// is good for.
const atOnce = 64

// all deletes objects that do not need each other, but for those that the
// source has again.
func (d *deletion) all(ctx context.Context, keys []absence) error {
	for chunk := range slices.Chunk(keys, atOnce) {
		if err := d.chunk(ctx, chunk); err != nil {
			return err
		}
	}
	return nil
}

func (d *deletion) chunk(ctx context.Context, keys []absence) error {
	if waiting, _ := d.hints.counts(); waiting > 0 && d.done >= leastAtOnce || d.stopped() {
		return errGiveWay
	}
	back := make([]bool, len(keys))
	err := d.each(ctx, len(keys), func(ctx context.Context, i int) (err error) {
		back[i], err = d.returned(ctx, keys[i].Key)
		return err
	})
	if err != nil {
		return err
	}
	if away, err := d.away(ctx); err != nil || away {
		return cmp.Or(err, errGiveWay)
	}
	d.show.touch()
	var still []absence
	for i, a := range keys {
		if !back[i] {
			still = append(still, a)
		}
	}
	if err := d.journal.intend(still); err != nil {
		return err
	}
	if err := d.lease.check(ctx); err != nil {
		return err
	}
	deleted := make([]bool, len(still))
	err = d.each(ctx, len(still), func(ctx context.Context, i int) error {
		if err := d.lease.checkDelete(ctx); err != nil {
			return err
		}
		err := d.from.Delete(ctx, still[i].Key)
		deleted[i] = err == nil
		return backends.At(backends.Destination, err)
	})
	for i, a := range still {
		if deleted[i] {
			d.done++
			err = errors.Join(err, d.journal.did(a))
		}
	}
	return err
}

// away says that the source, asked for what it had a moment ago, has not even
// that: a volume that was unmounted has nothing.
func (d *deletion) away(ctx context.Context) (bool, error) {
	if err := d.inPlace(ctx); err != nil || d.landmark == "" {
		return false, err
	}
	back, err := d.returned(ctx, d.landmark)
	return !back, err
}

// each calls f for 0..n-1, some at a time.
func (d *deletion) each(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(1, d.Migrate.Workers))
	for i := range n {
		g.Go(func() error { return f(ctx, i) })
	}
	return g.Wait()
}

// repository deletes links of one repository, but for those that something
// that stays there needs.
func (d *deletion) repository(ctx context.Context, name string, gone []absence) error {
	need, err := d.needs(ctx, name, gone)
	if err != nil {
		return err
	}
	// Revisions before layers: what a revision needs goes after it.
	var byRank [3][]absence
	for _, a := range gone {
		k := layout.Parse(a.Key)
		if k.Kind == layout.RevisionLink && need.revisions[k.Digest] || k.Kind == layout.LayerLink && need.layers[k.Digest] ||
			k.Kind == layout.SignatureLink && need.revisions[k.Digest] {
			continue
		}
		byRank[rank(k.Kind)] = append(byRank[rank(k.Kind)], a)
	}
	for _, keys := range byRank {
		if err := d.all(ctx, keys); err != nil {
			return err
		}
	}
	return nil
}

func rank(k layout.Kind) int {
	switch k {
	case layout.SignatureLink:
		return 0
	case layout.RevisionLink:
		return 1
	}
	return 2
}
