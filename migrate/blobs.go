package migrate

import (
	"context"
	"errors"
	"iter"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/report"
)

// copyBlobs goes through the shards in parallel. With a choice of
// repositories it does nothing: their closures bring the blobs they need.
func (p *pass) copyBlobs(ctx context.Context) error {
	if p.globs.Some() || p.partial() {
		return nil
	}
	there, err := p.blobsThere(ctx)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(p.listers())
	for _, prefix := range layout.Shards() {
		g.Go(func() error { return p.copyShard(ctx, prefix, there) })
	}
	return g.Wait()
}

const blobsPrefix = layout.Root + "blobs/"

// lister lists one side.
type lister func(ctx context.Context, s backends.ReadStore, prefix, after string) iter.Seq2[backends.Object, error]

// blobsThere lists the destination's shards. Whether it has any blob is asked
// once, which saves a first copy a request for each shard. If that fails, the
// listings of the shards tell why.
func (p *pass) blobsThere(ctx context.Context) (lister, error) {
	for _, err := range p.list(ctx, p.dst, blobsPrefix, "") {
		if errors.As(err, new(*Fault)) {
			return nil, p.endOnFault(err)
		}
		return p.list, nil
	}
	return func(context.Context, backends.ReadStore, string, string) iter.Seq2[backends.Object, error] {
		return func(func(backends.Object, error) bool) {}
	}, nil
}

// copyShard merges both listings of one shard and has copied what is missing.
func (p *pass) copyShard(ctx context.Context, prefix string, there lister) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	st, err := p.journal.shard(prefix)
	if err != nil || st.Done {
		p.progress.shardListed()
		return err
	}
	sh := &shard{pass: p, name: prefix, before: st.Proved}
	sh.window = newWindow(func(cursor string) { p.journal.advance(prefix, cursor) })
	for pr, err := range verify.Merge(p.list(ctx, p.src, prefix, st.Cursor), there(ctx, p.dst, prefix, st.Cursor)) {
		if err == nil {
			err = errors.Join(p.Watch.pair(prefix, pr), sh.add(ctx, pr))
		} else {
			sh.torn, err = true, p.fail(ctx, err, prefix)
		}
		if err != nil {
			sh.keep(err)
			break
		}
	}
	p.progress.shardListed()
	sh.window.drain()
	if err := sh.failed(); err != nil || sh.torn {
		return err
	}
	p.journal.finishShard(prefix)
	if st.Cursor != "" {
		return nil
	}
	return p.Watch.listed(prefix)
}

// shard is one shard at work.
type shard struct {
	*pass
	name   string
	before provedSet // what this migration proved in earlier runs and passes
	window *window
	torn   bool // the listing did not go to its end

	once sync.Mutex
	err  error // what ends the run
}

func (s *shard) keep(err error) {
	s.once.Lock()
	defer s.once.Unlock()
	if s.err == nil {
		s.err = err
	}
	if errors.As(err, new(*Fault)) {
		s.end(err)
	}
}

func (s *shard) failed() error {
	s.once.Lock()
	defer s.once.Unlock()
	return s.err
}

// add decides about one key and starts what there is to do.
func (s *shard) add(ctx context.Context, pr verify.Pair) error {
	if err := s.failed(); err != nil {
		return err
	}
	if s.limits.stopped() {
		return errStopped
	}
	k := layout.Parse(pr.Key)
	if k.Kind != layout.Blob {
		return s.other(ctx, k, pr)
	}
	if pr.Src == nil {
		s.blobs.Add(k.Digest)
		s.tally.count(func(t *Totals) { t.BlobsExtra++ })
		return nil
	}
	s.progress.listed(pr.Src.Size)
	s.tally.count(func(t *Totals) { t.Blobs++; t.BlobBytes += max(pr.Src.Size, 0) })
	switch {
	case pr.Dst == nil:
	case unsizedPair(pr) && (!s.before.Has(k.Digest) || s.toRecheck(k.Digest)):
		s.start(pr.Key, func(ctx context.Context) error { return s.measure(ctx, k, pr) })
		return nil
	case unsizedPair(pr) || pr.Dst.Size == pr.Src.Size:
		return s.present(ctx, k, pr)
	case !verify.Provable(k.Digest):
		return s.fail(ctx, otherSize(pr.Key), pr.Key)
	}
	if s.dry() {
		s.wouldCopy(pr)
		return nil
	}
	s.start(pr.Key, func(ctx context.Context) error { return s.copyBlob(ctx, k, *pr.Src, pr.Dst != nil) })
	return nil
}

func (p *pass) wouldCopy(pr verify.Pair) {
	p.tally.count(func(t *Totals) {
		t.CopiedBytes += max(pr.Src.Size, 0)
		if pr.Dst != nil {
			t.Replaced++
		} else {
			t.Copied++
		}
	})
}

// start has do done by a worker, waiting for a free one, and keeps the shard's
// cursor before its key until then.
func (s *shard) start(key string, do func(context.Context) error) {
	slot := s.window.start(key)
	s.copies.Go(func() error {
		if err := do(s.ctx); err != nil {
			s.keep(err) // before the slot is closed: the cursor must not pass what is undone
			s.window.abandon()
			return nil
		}
		s.window.finish(slot)
		return nil
	})
}

// unsizedPair says that a listing does not tell the size of one of the two: an
// object in segments, on Swift.
func unsizedPair(pr verify.Pair) bool { return pr.Src.Size < 0 || pr.Dst.Size < 0 }

func otherSize(key string) error {
	err := errors.New("the destination has it with another size, and which of the two is right cannot be computed for its algorithm; delete one of them")
	return &backends.Error{Side: backends.Destination, Op: "put", Key: key, Class: backends.Unsupported, Err: err}
}

// measure asks for the sizes that no listing tells, of a blob that both sides
// have and that this migration did not prove or is to prove again, and does what
// they call for.
func (s *shard) measure(ctx context.Context, k layout.Key, pr verify.Pair) error {
	listed := pr.Src.Size
	pr, err := s.sizedPair(ctx, pr)
	if err != nil {
		return s.blobFailed(ctx, k, err)
	}
	if listed < 0 {
		s.tally.count(func(t *Totals) { t.BlobBytes += max(pr.Src.Size, 0) })
	}
	switch same := pr.Dst != nil && (unsizedPair(pr) || pr.Src.Size == pr.Dst.Size); {
	case same && s.toRecheck(k.Digest):
		return s.recheck(ctx, k, pr)
	case same:
		s.there(k, pr)
		return nil
	case pr.Dst != nil && !verify.Provable(k.Digest):
		return s.fail(ctx, otherSize(pr.Key), pr.Key)
	case s.dry():
		s.wouldCopy(pr)
		return nil
	}
	return s.copyBlob(ctx, k, *pr.Src, pr.Dst != nil)
}

// sizedPair is the pair with its sizes, which are asked for where the listings
// did not tell, and without the destination's object if that is gone.
func (e *engine) sizedPair(ctx context.Context, pr verify.Pair) (verify.Pair, error) {
	if pr.Dst == nil || !unsizedPair(pr) {
		return pr, nil
	}
	src, err := e.sized(ctx, e.src, backends.Source, *pr.Src)
	if err != nil {
		return pr, err
	}
	dst, err := e.sized(ctx, e.dst, backends.Destination, *pr.Dst)
	switch {
	case isMissing(err):
		return verify.Pair{Key: pr.Key, Src: &src}, nil
	case err != nil:
		return pr, err
	}
	return verify.Pair{Key: pr.Key, Src: &src, Dst: &dst}, nil
}

// sized is the object with its size, which is asked for if it is not known.
func (e *engine) sized(ctx context.Context, store backends.ReadStore, side backends.Side, o backends.Object) (backends.Object, error) {
	if o.Size >= 0 {
		return o, nil
	}
	return e.ask(ctx, store, side, o.Key)
}

// present deals with a blob that the destination has, with the right size.
func (s *shard) present(ctx context.Context, k layout.Key, pr verify.Pair) error {
	if s.toRecheck(k.Digest) {
		s.start(pr.Key, func(ctx context.Context) error { return s.recheck(ctx, k, pr) })
		return nil
	}
	s.there(k, pr)
	s.window.finish(s.window.start(pr.Key))
	return nil
}

// there counts a blob that the destination has.
func (s *shard) there(k layout.Key, pr verify.Pair) {
	s.blobs.Add(k.Digest)
	s.tally.count(func(t *Totals) {
		t.Present++
		if s.before.Has(k.Digest) {
			t.ProvedBefore++
		} else {
			t.OnTrust++
		}
	})
	s.progress.moved(max(pr.Src.Size, 0))
	s.progress.done()
}

// recheck reads and hashes a blob that somebody else put there, and replaces
// it when it is not what its name says.
func (s *shard) recheck(ctx context.Context, k layout.Key, pr verify.Pair) error {
	err := s.proveThere(ctx, *pr.Dst, k.Digest)
	switch {
	case err == nil:
		s.blobs.Add(k.Digest)
		s.rechecked.Add(k.Digest)
		s.tally.count(func(t *Totals) { t.Present++; t.Rechecked++ })
		s.progress.moved(max(pr.Src.Size, 0))
		s.progress.done()
		s.journal.proved(s.name, k.Digest)
		return nil
	case backends.ClassOf(err) == backends.Corrupt:
		s.rotten(k, err)
		return s.copyBlob(ctx, k, *pr.Src, true)
	case errors.Is(err, backends.NotFound):
		return s.copyBlob(ctx, k, *pr.Src, true)
	}
	return s.fail(ctx, err, pr.Key)
}

// rotten records a blob of the destination whose bytes are not those of its
// name, before it is replaced.
func (s *shard) rotten(k layout.Key, err error) {
	s.Recorder.Finding(report.Finding{
		Kind: report.ContentCorrupt, Side: report.Destination, Severity: report.Warning,
		Key: k.String(), Digest: k.Digest, Expected: string(k.Digest), Found: err.Error(),
		Advice: "it is copied anew from the source; if this happens again, look at the destination's disks",
	})
}

// copyBlob copies one blob of the shard and counts how it went.
func (s *shard) copyBlob(ctx context.Context, k layout.Key, o backends.Object, replace bool) error {
	n, err := s.copy(ctx, o, k.Digest)
	if err != nil {
		return s.blobFailed(ctx, k, err)
	}
	s.tally.count(func(t *Totals) {
		if o.Size < 0 { // the listing did not tell
			t.BlobBytes += n
		}
		t.CopiedBytes += n
		if replace {
			t.Replaced++
		} else {
			t.Copied++
		}
	})
	s.progress.done()
	s.copied(s.name, k)
	return nil
}
