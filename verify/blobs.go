package verify

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/report"
)

// blobs goes through the shards in parallel: presence and size by listings
// alone, and what the level asks beyond. With a choice of repositories it does
// nothing: their closures ask for the blobs they need.
func (r *run) blobs(ctx context.Context) error {
	if r.Repositories.Some() {
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(r.listers())
	for _, prefix := range layout.Shards() {
		g.Go(func() error { return r.shard(ctx, prefix) })
	}
	return g.Wait()
}

func (r *run) shard(ctx context.Context, prefix string) error {
	before, err := r.Journal.Proved(r.shardName(prefix))
	if err != nil {
		return err
	}
	doubted := doubtedBlobs{run: r}
	for p, err := range r.pairs(ctx, prefix, "") {
		if err != nil {
			return err
		}
		k := layout.Parse(p.Key)
		r.Inventory.object(k, r.of(p))
		if k.Kind != layout.Blob {
			r.object(ctx, k, p)
			continue
		}
		if err := doubted.blob(ctx, blob{Key: k, Pair: p, shard: r.shardName(prefix), before: before}); err != nil {
			return err
		}
	}
	return doubted.again(ctx)
}

// shardName keeps apart what was proved in different ways.
func (r *run) shardName(prefix string) string { return string(r.Level) + "/" + prefix }

// blob is one that is looked at.
type blob struct {
	layout.Key
	Pair
	shard  string
	before ProvedSet
	now    bool // it is waited for
}

// blob counts one and starts what there is to do about it.
func (r *run) blob(ctx context.Context, b blob) {
	r.countBlob(b)
	mine := r.of(b.Pair)
	switch {
	case mine == nil:
		r.lacking.Add(b.Digest)
		r.do(ctx, b, func(ctx context.Context) { r.absentBlob(ctx, b) })
		return
	case r.comparing && b.Src == nil:
		r.extra.Add(1)
		r.find(r.about(b.Key, report.Finding{Kind: report.Extra, Severity: report.Warning, Found: byteCount(mine.Size)}))
	}
	if mine.Size < 0 {
		r.do(ctx, b, func(ctx context.Context) { r.unsized(ctx, b) })
		return
	}
	r.sized(ctx, b, *mine)
}

// unsized asks for what the listing does not know: an object in segments, or
// on a volume what is no file.
func (r *run) unsized(ctx context.Context, b blob) {
	o, err := r.stat(ctx, &r.mine, b.Pair.Key)
	switch {
	case err == nil && o.Size >= 0:
		r.Progress.size.Add(o.Size)
		r.mine.has(b.Digest, o.Size)
		r.results.side(r.mine.name, func(t *report.Totals) { t.Bytes += o.Size })
		b.now = true // in a worker
		if r.comparing {
			b.Dst = &o
		} else {
			b.Src = &o
		}
		r.sized(ctx, b, o)
	case err == nil:
		r.prove(ctx, b, o)
	case r.ended(ctx, err):
	case backends.ClassOf(err) == backends.NotFound:
		r.mine.present.Remove(b.Digest)
	default:
		r.mine.unread.Add(b.Digest)
		r.unreadable(&r.mine, b.Key, err)
	}
}

// sized judges one that is there with a size.
func (r *run) sized(ctx context.Context, b blob, mine backends.Object) {
	r.Inventory.blob(b.Digest, mine)
	switch {
	case r.differ(b.Pair):
		r.do(ctx, b, func(ctx context.Context) { r.otherSize(ctx, b) })
	case mine.Size == 0 && Provable(b.Digest) && b.Digest != b.Digest.Algorithm().FromBytes(nil):
		r.do(ctx, b, func(ctx context.Context) { r.corrupt(ctx, b.Key, errEmpty, b.Src) })
	default:
		r.prove(ctx, b, mine)
	}
}

// do does it by a worker, or here and now where it is waited for.
func (r *run) do(ctx context.Context, b blob, f func(context.Context)) {
	if b.now {
		f(ctx)
		return
	}
	r.start(f)
}

func (r *run) countBlob(b blob) {
	mine := r.of(b.Pair)
	if mine != nil {
		r.Progress.listed.Add(1)
		r.Progress.size.Add(max(mine.Size, 0))
		r.mine.has(b.Digest, mine.Size)
		if r.mayBeLoose() {
			r.loose.Add(b.Digest)
		}
		r.results.side(r.mine.name, func(t *report.Totals) { t.Blobs++; t.Bytes += max(mine.Size, 0) })
	}
	if r.comparing && b.Src != nil {
		r.other.has(b.Digest, b.Src.Size)
		r.results.side(report.Source, func(t *report.Totals) { t.Blobs++; t.Bytes += max(b.Src.Size, 0) })
	}
}

// prove proves what is there as far as the level says.
func (r *run) prove(ctx context.Context, b blob, o backends.Object) {
	switch {
	case r.Level == Presence || !r.Sample.Has(b.Digest):
		r.proved(Presence, o)
	case b.before.Has(b.Digest):
		r.results.add(&r.results.before, 1)
		r.proved(earlier, o)
	case !Provable(b.Digest):
		r.unproved(b.Key)
		r.proved(Presence, o)
	default:
		r.do(ctx, b, func(ctx context.Context) { r.proveNow(ctx, b, o) })
	}
}

func (r *run) proveNow(ctx context.Context, b blob, o backends.Object) {
	how, err := Content, error(nil)
	if r.Level == Checksum {
		how, err = r.checksum(ctx, &r.mine, o, b.Digest)
	} else {
		err = r.hash(ctx, &r.mine, o.Key, o.Size, b.Digest)
	}
	switch {
	case err == nil:
		if how == r.Level {
			r.Journal.Prove(b.shard, b.Digest)
		}
		r.proved(how, o)
	case r.ended(ctx, err):
	case backends.ClassOf(err) == backends.Corrupt:
		r.corrupt(ctx, b.Key, err, b.Src)
	case backends.ClassOf(err) == backends.NotFound:
		r.mine.present.Remove(b.Digest) // a registry in use has collected it; who needs it will ask again
	default:
		r.unreadable(&r.mine, b.Key, err)
	}
}

// earlier is the level of what an interrupted run of this audit has proved.
const earlier Level = report.ByEarlier

func (r *run) proved(how Level, o backends.Object) {
	r.Progress.done.Add(1)
	r.results.proved(r.mine.name, how, max(o.Size, 0))
}

// has says whether a side has a blob that was not seen to be wrong. What was
// not listed is asked for: it may have been pushed since, or nothing was.
func (r *run) has(ctx context.Context, s *side, d digest.Digest) error {
	if !s.present.Has(d) && s == &r.mine && r.Repositories.Some() {
		if err := r.fetch(ctx, d); err != nil {
			return err
		}
	}
	key := layout.BlobKey(d)
	switch {
	case s.bad.Has(d):
		return &backends.Error{Op: "read", Key: key, Class: backends.NotFound, Err: errWrong}
	case s.unread.Has(d):
		return &backends.Error{Op: "read", Key: key, Class: backends.NotFound, Err: errUnread}
	case s.present.Has(d):
		return nil
	case s == &r.mine && r.lacking.Has(d):
		return &backends.Error{Op: "stat", Key: key, Class: backends.NotFound}
	}
	o, err := r.stat(ctx, s, key)
	switch {
	case err == nil:
		s.has(d, o.Size)
	case s == &r.mine && backends.ClassOf(err) == backends.NotFound:
		r.lacking.Add(d)
	}
	return err
}

var (
	errWrong  = errors.New("its content is not what its name says")
	errUnread = errors.New("it could not be read")
)

// sizeOf is a blob with its size, for a Set.
func sizeOf(d digest.Digest, size int64) digest.Digest {
	return d + digest.Digest("/"+strconv.FormatInt(size, 10))
}

// opSize is the operation of an error that a blob has another size.
const opSize = "size"

// asLarge answers whether a blob that is there has the size that a manifest
// says, and else as if it were not: clients refuse it.
func (r *run) asLarge(ctx context.Context, s *side, d digest.Digest, size int64) error {
	if s.sizes.Has(sizeOf(d, size)) {
		return nil
	}
	o, err := r.stat(ctx, s, layout.BlobKey(d)) // to say what it has, and where no listing told
	switch {
	case err != nil:
		return err
	case o.Size < 0 || o.Size == size:
		s.sizes.Add(sizeOf(d, size))
		return nil
	}
	return &backends.Error{Op: opSize, Key: o.Key, Class: backends.NotFound, Err: fmt.Errorf("it has %s, and the manifest says %d", byteCount(o.Size), size)}
}

// chosen is the shard of the blobs of a choice of repositories.
const chosen = "chosen"

// fetch looks at one blob of a choice of repositories, on both sides, once,
// however many ask for it.
func (r *run) fetch(ctx context.Context, d digest.Digest) error {
	_, err, _ := r.single.Do(string(d), func() (any, error) {
		if r.mine.present.Has(d) || r.lacking.Has(d) {
			return nil, nil
		}
		key := layout.BlobKey(d)
		b := blob{Key: layout.Parse(key), Pair: Pair{Key: key}, shard: r.shardName(chosen), now: true}
		var err error
		if b.before, err = r.before(); err != nil {
			return nil, err
		}
		src := &r.mine
		if r.comparing {
			src = &r.other
			if b.Dst, err = r.objectOf(ctx, &r.mine, key); err != nil {
				return nil, err
			}
		}
		if b.Src, err = r.objectOf(ctx, src, key); err != nil {
			return nil, err
		}
		if b.Src == nil && b.Dst == nil {
			r.lacking.Add(d)
			return nil, nil
		}
		r.blob(ctx, b)
		return nil, context.Cause(ctx)
	})
	return err
}

// objectOf is nil without an error for what is not there.
func (r *run) objectOf(ctx context.Context, s *side, key string) (*backends.Object, error) {
	o, err := r.stat(ctx, s, key)
	if backends.ClassOf(err) == backends.NotFound {
		return nil, nil
	}
	return &o, err
}
