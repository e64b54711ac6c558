package migrate

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify"
	"github.com/regferry/regferry/verify/report"
)

// Options say how to migrate. The zero value migrates a whole registry with
// the defaults and without a checkpoint.
type Options struct {
	Checkpoint   string        // path of the file that an interrupted run goes on from; empty: none
	Version      string        // of the program, for the checkpoint
	Workers      int           // requests in flight; default DefaultWorkers
	Memory       int64         // bytes in buffers; default DefaultMemory
	Bandwidth    int64         // bytes a second read from the source; 0: no limit
	Patience     time.Duration // how long a side may give no answer before the run ends; default DefaultPatience
	Repositories []string      // globs; only these repositories, and the blobs they need
	Also         []string      // prefixes of keys beside the registry's root, copied byte for byte

	RecheckExisting bool                     // read and hash blobs that are at the destination, whoever put them there, once a run
	Recheck         func(digest.Digest) bool // likewise, those that it chooses; may be nil
	WithholdBroken  bool                     // keep back tags and revisions that are broken at the source
	Final           bool                     // passes until one finds nothing to do, then every closure is checked at the destination

	Progress *Progress       // may be nil
	Stop     <-chan struct{} // closed: what is under way is finished, nothing is started; may be nil
	Recorder Recorder        // may be nil

	Metadata Metadata // where the source keeps its tags; default MetadataAuto

	Shared *Shared  // with other runs between the same sides, instead of Memory and Bandwidth; may be nil
	Watch  Watch    // is told what a pass sees; not in a dry run
	Named  []string // only these repositories, by their names: nothing else is listed
	Links  bool     // only repositories are listed; the blobs that they lack come with them

	sleep func(context.Context, time.Duration) error // instead of sleeping, in tests
}

// Defaults of Options.
const (
	DefaultWorkers = 16
	DefaultMemory  = 64 << 20
)

// Recorder is told everything that is found. Reset begins a new pass: what was
// recorded before is superseded. It is called concurrently.
type Recorder interface {
	Reset()
	Finding(report.Finding)
	Failure(report.Failure)
	Repository(report.Repository)
}

// Summary is how a run went.
type Summary struct {
	Passes   []Totals // one for each pass, the last one complete unless the run ended early
	Complete bool     // the last pass began in this process and went to its end
	Database bool     // the source keeps its metadata in a database: see MetadataIn
}

// Last is the pass that counts for the outcome: what an earlier one left
// undone, it did or counted again.
func (s Summary) Last() Totals {
	if len(s.Passes) == 0 {
		return Totals{}
	}
	return s.Passes[len(s.Passes)-1]
}

// Fault is a fault of the whole run, which ended it: a side that cannot be
// reached or written.
type Fault struct{ Err error }

// Error says what it is.
func (f *Fault) Error() string { return f.Err.Error() }

// Unwrap gives the cause.
func (f *Fault) Unwrap() error { return f.Err }

// maxPasses ends a final migration whose source does not come to rest.
const maxPasses = 10

// ErrRestless says that a final migration found something new in every pass.
var ErrRestless = errors.New("the source keeps changing")

// engine is what lasts a run.
type engine struct {
	Options
	src, dst      backends.ReadStore
	out           backends.Store // nil in a dry run
	syncer        backends.Syncer
	copier        backends.ServerSideCopier // may be nil
	reporter      backends.ChecksumReporter // of the destination; may be nil
	limits        *limits
	journal       journal
	progress      *Progress
	globs         verify.Globs
	rechecked     verify.Set // blobs that were read, or written, in this run, of those to be rechecked
	before        provedSet  // repositories whose every closure was proved by earlier runs
	doubtedBefore provedSet  // proved ones where earlier runs saw damage
	noted         verify.Set // those whose doubt this run's checkpoint has
	breaker       breaker
	lost          atomic.Int64         // objects that a Sync could not make visible
	now           atomic.Pointer[pass] // the pass under way
}

// Run migrates src to dst. The error is nil also when objects failed: the
// Summary has them. It is a *[Fault] for a fault of the whole run, the
// context's cause for an interruption.
func Run(ctx context.Context, src backends.ReadStore, dst backends.Store, o Options) (Summary, error) {
	e, err := newEngine(src, dst, o)
	if err != nil {
		return Summary{}, err
	}
	powers := backends.PowersOf(dst)
	e.out, e.syncer, e.copier, e.reporter = dst, powers.Syncer, powers.ServerSideCopier, powers.ChecksumReporter
	if e.journal, err = openJournal(e.Options, src.Location(), dst.Location(), e.syncStore); err != nil {
		return Summary{}, err
	}
	s, err := e.run(ctx)
	return s, errors.Join(err, e.journal.close(outcome(s, err)))
}

// outcome says in a word how a run ended.
func outcome(s Summary, err error) string {
	switch {
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case err != nil:
		return "stopped by a fault"
	case s.Last().Undone() > 0:
		return "some objects left undone"
	}
	return "done"
}

// Plan finds out what Run would do, and does nothing of it: it is not given
// anything that writes.
func Plan(ctx context.Context, src, dst backends.ReadStore, o Options) (Summary, error) {
	o.Checkpoint, o.Final = "", false
	e, err := newEngine(src, dst, o)
	if err != nil {
		return Summary{}, err
	}
	return e.run(ctx)
}

// Check refuses options that cannot be meant.
func (o Options) Check() error {
	return errors.Join(verify.Globs(o.Repositories).Check(), checkAlso(o.Also))
}

func newEngine(src, dst backends.ReadStore, o Options) (*engine, error) {
	if o.Workers <= 0 {
		o.Workers = DefaultWorkers
	}
	if o.Memory <= 0 {
		o.Memory = DefaultMemory
	}
	if o.Patience <= 0 {
		o.Patience = DefaultPatience
	}
	if o.Progress == nil {
		o.Progress = new(Progress)
	}
	if o.Recorder == nil {
		o.Recorder = nobody{}
	}
	if err := o.Check(); err != nil {
		return nil, err
	}
	if o.Shared == nil {
		o.Shared = NewShared(o.Workers, o.Memory, o.Bandwidth)
	}
	return &engine{
		Options: o, src: src, dst: dst, globs: o.Repositories,
		limits:   &limits{o.Shared, o.Stop, o.Progress},
		progress: o.Progress, breaker: breaker{patience: o.Patience},
	}, nil
}

// run makes passes until the outcome is sure. A pass that went on where an
// interrupted one stopped has not looked at everything, so another follows
// that begins at the beginning.
func (e *engine) run(ctx context.Context) (Summary, error) {
	var s Summary
	var err error
	e.Shared.enter(e)
	defer e.Shared.leave(e)
	if e.before, e.doubtedBefore, err = e.journal.provedBefore(); err != nil {
		return s, err
	}
	for n := 1; ; n++ {
		resumed, err := e.journal.begin(n == 1)
		if err != nil {
			return s, err
		}
		p := &pass{engine: e}
		e.now.Store(p)
		e.Recorder.Reset()
		e.Watch.begin()
		e.progress.begin(n)
		err = p.run(ctx)
		s.Passes = append(s.Passes, p.tally.totals())
		t := p.tally.totals()
		s.Database = e.Metadata.Database(t.Blobs, t.Revisions, t.Tags)
		if err != nil {
			return s, err
		}
		if err := e.journal.finish(); err != nil {
			return s, err
		}
		s.Complete = !resumed
		e.journal.add(p.tally.totals())
		switch {
		case resumed:
		case !e.Final || s.Last().Undone() > 0:
			return s, e.clean(ctx)
		case s.Last().Work() == 0:
			var cleaning errgroup.Group // beside it, since nobody may push meanwhile
			cleaning.Go(func() error { return e.clean(ctx) })
			err := errors.Join(p.checkClosures(ctx), cleaning.Wait())
			s.Passes[len(s.Passes)-1] = p.tally.totals()
			return s, err
		case n >= maxPasses:
			return s, fmt.Errorf("%w: each of %d passes found something to do; set the registry read-only and run again", ErrRestless, n)
		}
	}
}

// partial says that the run does not look at everything, on purpose. A whole one
// may be under way beside it, whose unfinished uploads it does not know.
func (o Options) partial() bool { return o.Links || len(o.Named) > 0 }

// clean removes what dead runs left in the scratch of the destination. It
// comes last, since an interrupted upload may be gone on with in this run.
func (e *engine) clean(ctx context.Context) error {
	c := backends.PowersOf(e.dst).Cleaner
	if e.out == nil || c == nil || e.partial() {
		return nil
	}
	keep, err := e.journal.uploads()
	if err != nil {
		return err
	}
	_, err = c.Clean(ctx, keep)
	return backends.At(backends.Destination, err)
}

// nobody is a Recorder that forgets.
type nobody struct{}

func (nobody) Reset()                       {}
func (nobody) Finding(report.Finding)       {}
func (nobody) Failure(report.Failure)       {}
func (nobody) Repository(report.Repository) {}
