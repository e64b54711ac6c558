package migrate

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify"
	"github.com/regferry/regferry/verify/layout"
)

// copyBlobs goes through the shards in parallel. With a choice of
// repositories it does nothing: their closures bring the blobs they need.
func (p *pass) copyBlobs(ctx context.Context) error {
	if p.globs.some() {
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(p.listers())
	for _, prefix := range layout.Shards() {
		g.Go(func() error { return p.copyShard(ctx, prefix) })
	}
	return g.Wait()
}

// copyShard merges both listings of one shard and has copied what is missing.
func (p *pass) copyShard(ctx context.Context, prefix string) error {
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
	for pr, err := range merge(p.list(ctx, p.src, prefix, st.Cursor), p.list(ctx, p.dst, prefix, st.Cursor)) {
		if err == nil {
			err = sh.add(ctx, pr)
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
	return nil
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
func (s *shard) add(ctx context.Context, pr pair) error {
	if err := s.failed(); err != nil {
		return err
	}
	if s.limits.stopped() {
		return errStopped
	}
	k := layout.Parse(pr.key)
	if k.Kind != layout.Blob {
		return s.other(ctx, k, pr)
	}
	if pr.src == nil {
		s.blobs.Add(k.Digest)
		s.tally.count(func(t *Totals) { t.BlobsExtra++ })
		return nil
	}
	s.progress.listed(pr.src.Size)
	s.tally.count(func(t *Totals) { t.Blobs++; t.BlobBytes += max(pr.src.Size, 0) })
	if pr.dst != nil && (pr.dst.Size == pr.src.Size || pr.dst.Size < 0 || pr.src.Size < 0) {
		return s.present(ctx, k, pr)
	}
	if pr.dst != nil && !verify.Provable(k.Digest) {
		err := errors.New("the destination has it with another size, and which of the two is right cannot be computed for its algorithm; delete one of them")
		return s.fail(ctx, &backends.Error{Side: backends.Destination, Op: "put", Key: pr.key, Class: backends.Unsupported, Err: err}, pr.key)
	}
	if s.dry() {
		s.wouldCopy(pr)
		return nil
	}
	s.start(pr.key, func(ctx context.Context) error { return s.copyBlob(ctx, k, *pr.src, pr.dst != nil) })
	return nil
}

func (p *pass) wouldCopy(pr pair) {
	p.tally.count(func(t *Totals) {
		t.CopiedBytes += max(pr.src.Size, 0)
		if pr.dst != nil {
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

// present deals with a blob that the destination has, with the right size.
func (s *shard) present(ctx context.Context, k layout.Key, pr pair) error {
	if s.RecheckExisting && !s.dry() && !s.before.Has(k.Digest) {
		s.start(pr.key, func(ctx context.Context) error { return s.recheck(ctx, k, pr) })
		return nil
	}
	s.blobs.Add(k.Digest)
	s.tally.count(func(t *Totals) {
		t.Present++
		if s.before.Has(k.Digest) {
			t.ProvedBefore++
		} else {
			t.OnTrust++
		}
	})
	s.progress.moved(max(pr.src.Size, 0))
	s.progress.done()
	s.window.finish(s.window.start(pr.key))
	return nil
}

// recheck reads and hashes a blob that somebody else put there, and replaces
// it when it is not what its name says.
func (s *shard) recheck(ctx context.Context, k layout.Key, pr pair) error {
	err := s.hashAt(ctx, s.dst, backends.Destination, *pr.dst, k.Digest)
	switch {
	case err == nil:
		s.blobs.Add(k.Digest)
		s.tally.count(func(t *Totals) { t.Present++; t.Rechecked++ })
		s.progress.moved(max(pr.src.Size, 0))
		s.progress.done()
		s.journal.proved(s.name, k.Digest)
		return nil
	case backends.ClassOf(err) == backends.Corrupt || errors.Is(err, backends.NotFound):
		return s.copyBlob(ctx, k, *pr.src, true)
	}
	return s.fail(ctx, err, pr.key)
}

// copyBlob copies one blob of the shard and counts how it went.
func (s *shard) copyBlob(ctx context.Context, k layout.Key, o backends.Object, replace bool) error {
	n, err := s.copy(ctx, o, k.Digest)
	if err != nil {
		return s.blobFailed(ctx, k, err)
	}
	s.tally.count(func(t *Totals) {
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
