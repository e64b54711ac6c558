package migrate

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/semaphore"
	"golang.org/x/time/rate"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify"
)

// Shared is what runs from one source to one destination have in common when
// they go on at the same time, as the rounds and the hints of a mirror do: one
// budget, one worker for a repository at a time, what was proved, and the Sync
// of the destination. Each run without one has its own.
//
// It holds 8 bytes for each repository, with up to as much again for room to
// grow.
type Shared struct {
	requests *semaphore.Weighted // of MaxWorkers; what may not be used is held by SetWorkers
	bytes    *semaphore.Weighted
	memory   int64
	rate     *rate.Limiter

	resizing sync.Mutex
	workers  int

	proved   verify.Set // repositories whose every closure was proved by these runs
	doubted  verify.Set // proved ones where damage was seen
	doubting sync.Mutex

	turns turns

	syncing sync.Mutex
	running map[*engine]struct{} // under syncing
}

// MaxWorkers is how many requests may be in flight at most.
const MaxWorkers = 1024

// NewShared makes the budget: requests in flight, bytes in buffers, and bytes a
// second read from the source, 0 for no limit.
func NewShared(workers int, memory, bandwidth int64) *Shared {
	workers = min(max(workers, 1), MaxWorkers)
	s := &Shared{
		requests: semaphore.NewWeighted(MaxWorkers), bytes: semaphore.NewWeighted(memory),
		memory: memory, rate: verify.NewRate(bandwidth), workers: workers,
		running: make(map[*engine]struct{}),
	}
	s.requests.TryAcquire(int64(MaxWorkers - workers))
	return s
}

// SetBandwidth changes the bytes a second, 0 for no limit, for what is under
// way, too.
func (s *Shared) SetBandwidth(bandwidth int64) { verify.SetRate(s.rate, bandwidth) }

// SetWorkers changes how many requests may be in flight. Fewer takes effect as
// requests end, and SetWorkers waits for that. The goroutines of a run under way
// do not become more; the next run has them.
func (s *Shared) SetWorkers(ctx context.Context, n int) error {
	if n < 1 || n > MaxWorkers {
		return fmt.Errorf("%d workers: from 1 to %d there may be", n, MaxWorkers)
	}
	s.resizing.Lock()
	defer s.resizing.Unlock()
	for s.workers > n {
		if err := s.requests.Acquire(ctx, 1); err != nil {
			return err
		}
		s.workers--
	}
	s.requests.Release(int64(n - s.workers))
	s.workers = n
	return nil
}

func (s *Shared) enter(e *engine) {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	s.running[e] = struct{}{}
}

func (s *Shared) leave(e *engine) {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	delete(s.running, e)
}

// sync makes durable what all runs have put. One at a time: another Sync may be
// told of what was put for this caller, or for another run, and has to have
// noted it before this one says that all is well. Who waited finds the work
// done.
func (s *Shared) sync(ctx context.Context, syncer backends.Syncer) error {
	s.syncing.Lock()
	defer s.syncing.Unlock()
	err := backends.At(backends.Destination, syncer.Sync(ctx))
	var some *backends.SyncError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &some):
		// Told once: every run has to know, also when this one is being interrupted.
		var fault error
		for e := range s.running {
			for _, f := range some.Failed {
				fault = errors.Join(fault, e.lose(context.WithoutCancel(ctx), f))
			}
		}
		return errors.Join(fault, err)
	case cancelled(ctx, err):
		return err
	}
	return &Fault{err}
}

// turns lets one run at a time work on a repository. There are as many at most
// as repositories at work.
type turns struct {
	mu    sync.Mutex
	taken map[string]chan struct{} // closed when it is free again
}

// take waits for a repository, and says so to p.
func (t *turns) take(ctx context.Context, repository string, p *Progress) (leave func(), err error) {
	for {
		t.mu.Lock()
		busy := t.taken[repository]
		if busy == nil {
			if t.taken == nil {
				t.taken = make(map[string]chan struct{})
			}
			mine := make(chan struct{})
			t.taken[repository] = mine
			t.mu.Unlock()
			return func() { t.free(repository, mine) }, nil
		}
		t.mu.Unlock()
		over := p.waiting()
		select {
		case <-busy:
			over()
		case <-ctx.Done():
			over()
			return nil, context.Cause(ctx)
		}
	}
}

func (t *turns) free(repository string, mine chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.taken, repository)
	close(mine)
}
