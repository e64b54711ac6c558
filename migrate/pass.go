package migrate

import (
	"context"
	"errors"
	"sync"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/report"
)

// pass looks at everything once.
type pass struct {
	*engine
	ctx   context.Context         // of the copies, which outlive the listing that found them
	end   context.CancelCauseFunc // ends it
	tally tally
	blobs verify.Set         // at the destination, as far as this pass has seen or put them there
	spot  singleflight.Group // copies outside the blob pass, by digest

	mu         sync.Mutex
	bad        map[string]error // blobs found corrupt at the source, by digest; at most maxBad
	brokenTags verify.Set       // at the source, see tagName
	undone     verify.Set       // keys that failed in this pass, by their digest
	copies     errgroup.Group   // of the blob pass and of unknown objects
}

const maxBad = 1 << 16

// run makes the pass: blobs first, since then almost every closure is answered
// from memory, and other objects, since a tag may need them in a way we do not
// know; the repositories do not depend on it.
func (p *pass) run(ctx context.Context) error {
	p.ctx, p.end = context.WithCancelCause(ctx)
	defer p.end(nil)
	p.copies.SetLimit(p.Workers)
	defer p.copies.Wait() //nolint:errcheck // its tasks keep their errors for their shards
	steps := []struct {
		name string
		do   func(context.Context) error
	}{
		{"blobs", p.copyBlobs},
		{"other objects", p.copyOthers},
		{"repositories", p.copyRepositories},
	}
	for _, s := range steps {
		p.progress.enter(s.name)
		if err := s.do(ctx); err != nil {
			return err
		}
		if err := p.sync(ctx); err != nil {
			return err
		}
	}
	return nil
}

// dry says that nothing is to be done but to count.
func (p *pass) dry() bool { return p.out == nil }

// listers is how many listings run at once: enough to hide their latency, few
// enough to leave requests for the copies.
func (p *pass) listers() int { return max(1, min(p.Workers/2, 16)) }

// sync makes durable and visible what was put before. Objects for which that
// failed are recorded, and no reason to stop.
func (p *pass) sync(ctx context.Context) error {
	err := p.syncStore(ctx)
	if some := (*backends.SyncError)(nil); errors.As(err, &some) && !errors.As(err, new(*Fault)) {
		return nil
	}
	return err
}

// syncStore is what both a pass and the checkpoint call: it records the
// objects that were lost, takes them out of what is known to be at the
// destination, and returns the error.
func (e *engine) syncStore(ctx context.Context) error {
	if e.syncer == nil {
		return nil
	}
	return e.Shared.sync(ctx, e.syncer)
}

// lose takes an object that a Sync could not make visible out of what is known
// to be at the destination.
func (e *engine) lose(ctx context.Context, f *backends.Error) error {
	p := e.now.Load()
	if p == nil {
		return nil // it has put and asked nothing yet
	}
	// Failed first, and then taken out: see copied, which goes the other way round.
	err := p.fail(ctx, backends.At(backends.Destination, f), f.Key)
	if k := layout.Parse(f.Key); k.Kind == layout.Blob {
		p.forget(k.Digest)
	}
	e.lost.Add(1)
	return err
}

func (p *pass) forget(d digest.Digest) {
	p.blobs.Remove(d)
	p.rechecked.Remove(d)
	p.journal.unprove()
}

// fail records that one object could not be transferred. It returns a *Fault
// when that is no longer the fault of the object, and the context's error when
// the run is being interrupted, which is no failure of anything.
func (p *pass) fail(ctx context.Context, err error, key string) error {
	var fault *Fault
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case cancelled(ctx, err), errors.As(err, &fault):
		return p.endOnFault(err)
	}
	var e *backends.Error
	f := report.Failure{Key: key, Class: backends.ClassOf(err).Error(), Side: string(backends.SideOf(err)), Message: err.Error()}
	if errors.As(err, &e) {
		f.Op = e.Op
	}
	p.tally.count(func(t *Totals) { t.Failed++ })
	p.undone.Add(digest.FromString(key))
	p.progress.failed()
	p.Recorder.Failure(f)
	p.journal.fail(f)
	return p.endOnFault(p.breaker.failed(err))
}

// failedBefore is the answer for what failed in this pass already: one failure
// is said once, and its retries are not waited for by each tag that needs it.
func (p *pass) failedBefore(key string) error {
	if p.undone.Has(digest.FromString(key)) {
		return notTransferred{errFailedBefore}
	}
	return nil
}

var errFailedBefore = errors.New("it failed before in this pass")
