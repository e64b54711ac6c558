package verify

import (
	"context"
	"errors"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify/report"
)

// run is what lasts a run.
type run struct {
	Options
	ctx         context.Context // of the proofs, which outlive the listing that found them
	mine, other side            // who is judged, and the source when two are compared
	comparing   bool

	requests *semaphore.Weighted
	rate     *rate.Limiter
	works    errgroup.Group // proofs of blobs; its tasks keep their errors for failed
	fails    context.CancelCauseFunc

	single   singleflight.Group // blobs that are looked at on demand, by digest
	loose    Set                // blobs of mine that nothing was seen to refer to
	lacking  Set                // blobs that mine was asked for and has not
	missed   Set                // blobs that were reported missing
	told     Set                // blobs that were reported corrupt, of either side
	cut      Set                // blobs of mine that were reported to have another size than at the source
	blind    atomic.Bool        // something in the tree could not be looked at
	extra    atomic.Int64       // blobs that only the destination has
	looks    atomic.Int64       // blobs that were read at the source to see whose damage it is
	doubts   atomic.Int64       // things that were asked for once more
	inARow   atomic.Int64       // reads that failed, one after the other
	results  results
	wantedMu sync.Mutex
	wanted   map[string][]Image        // of Options.Tags, by repository, until its repository was judged
	before   func() (ProvedSet, error) // of the shard chosen; it is read once
	waiting  []*repository             // whose listed tags cannot be judged before all is listed

	seenRevisions, seenTags atomic.Int64 // links of the judged side, in all repositories
}

// side is one store and what is known of it. It takes 16 bytes a blob, and up
// to as much again for room to grow.
type side struct {
	backends.ReadStore
	name    report.Side
	present Set // blobs
	sizes   Set // blobs with their sizes in bytes, as sizeOf writes them
	bad     Set // blobs whose content was read and is wrong
	unread  Set // blobs that could not be read or asked for

	unsaid atomic.Int64 // answers in a row that the service cannot say what digest it keeps
}

// has notes a blob that is there, and its size if that is known.
func (s *side) has(d digest.Digest, size int64) {
	s.present.Add(d)
	if size >= 0 {
		s.sizes.Add(sizeOf(d, size))
	}
}

// told says that what is wrong with a blob was reported.
func (s *side) told(d digest.Digest) bool { return s.bad.Has(d) || s.unread.Has(d) }

func (s *side) at(err error) error { return backends.At(backends.Side(s.name), err) }

// Run audits one store, or compares two. The error is nil whatever was found:
// the Summary has it. It names its side when a store cannot be listed or read
// at all, and is ErrStopped or the context's cause for an interruption. The
// Summary then holds what was seen so far.
//
// Memory: for each side 16 bytes a blob, and 8 more for those of the judged
// side to which nothing was seen to refer yet, each with up to as much again
// for room to grow; for each repository at hand, of which there are as many as
// workers, some 150 bytes a revision and tag.
func Run(ctx context.Context, o Options) (Summary, error) {
	if err := o.Check(); err != nil {
		return Summary{}, err
	}
	r := newRun(o.withDefaults())
	ctx, r.fails = context.WithCancelCause(ctx)
	r.ctx = ctx
	defer r.fails(nil)
	done := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-r.Stop:
			r.fails(ErrStopped)
		case <-done:
		}
	})
	err := r.phases(ctx)
	close(done)
	watch.Wait()
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause // not what the end of the context did to a request
	}
	r.Inventory.finish()
	s := r.summary()
	s.Complete = err == nil
	return s, err
}

func newRun(o Options) *run {
	r := &run{
		Options: o, comparing: o.Destination != nil,
		requests: semaphore.NewWeighted(int64(o.Workers)), rate: NewRate(o.Bandwidth),
		wanted: make(map[string][]Image),
	}
	r.mine.ReadStore, r.mine.name = o.Source, report.Source
	if r.comparing {
		r.other.ReadStore, r.other.name = o.Source, report.Source
		r.mine.ReadStore, r.mine.name = o.Destination, report.Destination
	}
	for _, i := range o.Tags {
		if o.Repositories.Match(i.Repository) {
			r.wanted[i.Repository] = append(r.wanted[i.Repository], i)
		}
	}
	r.before = sync.OnceValues(func() (ProvedSet, error) { return r.Journal.Proved(r.shardName(chosen)) })
	r.works.SetLimit(o.Workers)
	return r
}

// phases go from blobs to what needs them.
func (r *run) phases(ctx context.Context) error {
	steps := []struct {
		name string
		do   func(context.Context) error
	}{
		{"blobs", r.blobs},
		{"other objects", r.gaps},
		{"repositories", r.repositories},
		{"unreferenced blobs", r.unreferenced},
		{"verdict", r.nothingProved},
	}
	for _, s := range steps {
		r.Progress.phase.Store(s.name)
		err := s.do(ctx)
		_ = r.works.Wait()
		if err != nil {
			return err
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
	}
	return nil
}

// start has do done by a worker, waiting for a free one.
func (r *run) start(do func(context.Context)) {
	r.works.Go(func() error {
		if r.ctx.Err() == nil {
			do(r.ctx)
		}
		return nil
	})
}

// ended says that err came of the run's own end and is no finding.
func (r *run) ended(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, context.Canceled)
}

// listers is how many listings run at once.
func (r *run) listers() int { return max(1, min(r.Workers, 16)) }

// maxInARow is how many reads may fail one after the other, each tried several
// times, before it is the store that has failed and not its objects.
const maxInARow = 50

// went counts how the reading of an object went, and ends the run when none
// goes well any more.
func (r *run) went(s *side, err error) {
	class := backends.ClassOf(err)
	if err == nil || class == backends.Corrupt || class == backends.NotFound {
		r.inARow.Store(0)
		return
	}
	if r.inARow.Add(1) >= maxInARow {
		r.fails(s.at(err))
	}
}

// pairs lists both sides, or the only one, below prefix.
func (r *run) pairs(ctx context.Context, prefix, after string) iter.Seq2[Pair, error] {
	if r.comparing {
		return Merge(
			List(ctx, r.other.ReadStore, prefix, after, r.pause),
			List(ctx, r.mine.ReadStore, prefix, after, r.pause))
	}
	return r.alone(ctx, prefix, after)
}

// alone lists the judged side, as if it were the only one.
func (r *run) alone(ctx context.Context, prefix, after string) iter.Seq2[Pair, error] {
	return func(yield func(Pair, error) bool) {
		for o, err := range List(ctx, r.mine.ReadStore, prefix, after, r.pause) {
			if !yield(Pair{Key: o.Key, Src: &o}, r.mine.at(err)) || err != nil {
				return
			}
		}
	}
}

// of is the object of the side that is judged, nil if it has none.
func (r *run) of(p Pair) *backends.Object {
	if r.comparing {
		return p.Dst
	}
	return p.Src
}

// differ says that both have it with sizes that are known and not the same.
func (r *run) differ(p Pair) bool {
	return r.comparing && p.Src != nil && p.Dst != nil && p.Src.Size >= 0 && p.Dst.Size >= 0 && p.Src.Size != p.Dst.Size
}
