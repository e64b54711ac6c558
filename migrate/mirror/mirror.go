package mirror

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/migrate"
	"github.com/regferry/regferry/verify/layout"
)

// Mirror keeps one destination equal to one source. Its methods may be called
// concurrently; Run is called once.
type Mirror struct {
	Options
	state     *state
	tags      *tags
	strangers strangers
	written   written
	parts     []string
	landmarks map[digest.Digest]bool
	shared    *migrate.Shared
	workers   atomic.Int64 // of the next round
	taking    atomic.Bool  // Takeover is given and not over
	finishing bool
	hints     *queue
	work      *semaphore.Weighted // of all: what copies holds one, what deletes holds all

	src   backends.ReadStore // of the session
	dst   backends.Store
	lease *lease

	lastSession string // that had the lease, or wanted it

	show show
}

// atWork is how many runs may copy at once.
const atWork = 4

// New opens the state of a mirror. Close frees it.
func New(o Options) (*Mirror, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	o = o.withDefaults()
	s, err := openState(o.State)
	if err != nil {
		return nil, err
	}
	m := &Mirror{Options: o, state: s, parts: migrate.Parts(), hints: newQueue(), work: semaphore.NewWeighted(atWork)}
	m.taking.Store(o.Takeover && s.head.Takeover.Done.IsZero())
	m.shared = migrate.NewShared(o.Migrate.Workers, o.Migrate.Memory, o.Migrate.Bandwidth)
	m.workers.Store(int64(o.Migrate.Workers))
	m.show.begin(o, s.head)
	if m.tags, err = openTags(s); err != nil {
		return nil, errors.Join(err, s.close())
	}
	known, err := s.readHashes("foreign")
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	m.strangers.known, m.strangers.new = make(map[uint64]bool, len(known)), !s.head.Settled
	for _, h := range known {
		m.strangers.known[h] = true
	}
	return m, nil
}

// Close frees the state.
func (m *Mirror) Close() error { return errors.Join(m.tags.close(), m.state.close()) }

// SetBandwidth changes the bytes a second that are read from the source, 0 for
// no limit, at once.
func (m *Mirror) SetBandwidth(n int64) { m.shared.SetBandwidth(n) }

// SetWorkers changes the requests in flight. It waits until those that are too
// many have ended.
func (m *Mirror) SetWorkers(ctx context.Context, n int) error {
	m.workers.Store(int64(n))
	return m.shared.SetWorkers(ctx, n)
}

// Hint says that a repository has changed. It is brought up to date at once; a
// hint for which there is no room is as good as lost: the next round does it.
func (m *Mirror) Hint(repository string) bool { return m.hints.add(repository) }

// Run makes rounds until Stop is closed, which is nil, or the context ends, or
// something happened that a human has to look at: [ErrGuard], a *[StateError]
// that is not Passing. Whatever else goes wrong, it backs off and tries again.
func (m *Mirror) Run(ctx context.Context) error {
	for try := 0; ; {
		began := m.now()
		err := m.usedUp(m.session(ctx, m.rounds))
		switch {
		case err == nil, m.stopped() && errors.Is(err, context.Canceled):
			m.show.state(Stopped, "")
			return nil
		case ctx.Err() != nil:
			m.show.state(Stopped, "interrupted")
			return context.Cause(ctx)
		case m.Once, final(err):
			m.show.state(Stopped, err.Error())
			return err
		}
		if m.now().Sub(began) > 10*time.Minute {
			try = 0 // it had worked
		}
		pause := min(time.Second<<min(try, 9), max(m.Interval, time.Second))
		try++
		m.Log.Error("the mirror backs off", "pair", m.Name, "for", pause, "reason", err)
		m.show.backOff(err, time.Now().Add(pause))
		if m.pause(ctx, pause) {
			m.show.state(Stopped, "")
			return nil
		}
	}
}

// final says that trying again would not help. A checkpoint holds nothing that
// is needed.
func final(err error) bool {
	var state *StateError
	return errors.Is(err, ErrGuard) || errors.As(err, &state) && !state.Passing()
}

func (m *Mirror) stopped() bool {
	select {
	case <-m.Stop:
		return true
	default:
		return false
	}
}

// pause says whether Stop was closed meanwhile.
func (m *Mirror) pause(ctx context.Context, d time.Duration) (stopped bool) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return false
	case <-m.Stop:
		return true
	case <-ctx.Done():
		return false
	}
}

// session does do between opening both sides and closing them, while it holds
// the lease.
func (m *Mirror) session(ctx context.Context, do func(context.Context) error) (err error) {
	m.show.state(Starting, "")
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if m.src, m.dst, err = m.Open(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.src.Close(), m.dst.Close()) }()
	if err := errors.Join(m.tags.mend(), m.state.belong(m.src.Location(), m.dst.Location())); err != nil {
		return err
	}
	m.show.sides(m.src.Location(), m.dst.Location())
	if err := errors.Join(m.rearm(), m.notFinished(ctx)); err != nil {
		return err
	}
	m.lease = m.newLease(m.dst)
	if err := m.waitForLease(ctx, cancel); err != nil {
		return err
	}
	m.show.holds(m.lease.name)
	defer m.show.holds("")
	defer m.lease.release(ctx)
	if err := errors.Join(m.beginTakeover(ctx), m.readIdentity(ctx)); err != nil {
		return err
	}
	g, inner := errgroup.WithContext(ctx)
	keeping, enough := context.WithCancel(inner)
	g.Go(func() error { return m.lease.keep(keeping) })
	g.Go(func() error {
		defer enough()
		return do(inner)
	})
	err = g.Wait()
	if lost := context.Cause(inner); errors.Is(lost, errLeaseLost) {
		return lost
	}
	return err
}

// inPlace says that both sides are still those that were opened.
func (m *Mirror) inPlace(ctx context.Context) error {
	for side, s := range map[backends.Side]backends.ReadStore{backends.Source: m.src, backends.Destination: m.dst} {
		if p := backends.PowersOf(s).Placer; p != nil {
			if err := p.InPlace(ctx); err != nil {
				return backends.At(side, err)
			}
		}
	}
	return nil
}

// waitForLease stands by until the destination is ours to write.
func (m *Mirror) waitForLease(ctx context.Context, cancel context.CancelCauseFunc) error {
	done := make(chan struct{})
	var g errgroup.Group
	g.Go(func() error {
		select {
		case <-m.Stop:
			cancel(errStop)
		case <-done:
		}
		return nil
	})
	standing := ""
	err := m.lease.acquire(ctx, m.mayTakeOver(), m.Once || m.finishing, func(holder string) {
		if holder != standing {
			m.Log.Info("standing by", "pair", m.Name, "lease_of", holder)
		}
		standing = holder
		m.show.standBy(holder)
	})
	close(done)
	_ = g.Wait()
	if err == nil && m.Once && standing != "" {
		m.Log.Info("the lease is ours", "pair", m.Name)
	}
	return err
}

var errStop = fmt.Errorf("the mirror is stopping: %w", context.Canceled)

// mayWriteTag is asked before a tag of the destination gets another link. What
// the tag holds there has to be what this mirror wrote or saw; of a tag that it
// knows nothing of, what the source had once.
func (m *Mirror) mayWriteTag(ctx context.Context, repository, tag string, _, want digest.Digest) error {
	if err := m.lease.check(ctx); err != nil {
		return err
	}
	if !m.takesOver() {
		if err := m.checkTag(ctx, repository, tag, want); err != nil {
			return err
		}
	}
	if err := m.tags.note(repository, tag, migrate.LinkSum(want)); err != nil {
		return err
	}
	return m.tags.sync()
}

func (m *Mirror) checkTag(ctx context.Context, repository, tag string, want digest.Digest) error {
	key := layout.TagKey(repository, tag)
	data, err := readObject(ctx, m.dst, key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return backends.At(backends.Destination, err)
	}
	have, err := layout.ParseLink(data)
	if err != nil || have == want {
		return nil //nolint:nilerror // no link, which nobody can pull by
	}
	ours, known := m.tags.ours(repository, tag, md5.Sum(data))
	if !ours && !known {
		_, err := m.src.Stat(ctx, layout.RevisionKey(repository, have))
		ours = err == nil
	}
	if ours {
		// Lest two writes that failed push out what is there.
		return m.tags.note(repository, tag, md5.Sum(data))
	}
	return otherWriter("what the tag "+backends.Printable(tagName(repository, tag))+" names", key)
}

func (m *Mirror) readIdentity(ctx context.Context) error {
	var id identity
	found, err := readSmall(ctx, m.dst, identityKey, &id)
	if err != nil {
		return err
	}
	m.landmarks = nil
	if !found && m.state.head.Full > 0 {
		m.Log.Warn("the destination does not say any more which source it mirrors; nothing is deleted until this one was seen whole", "pair", m.Name)
		return nil
	}
	if found && id.Source != m.src.Location() {
		m.Log.Warn("the destination mirrored another source before; nothing is deleted until this one was seen whole", "pair", m.Name, "before", id.Source)
		return nil
	}
	m.landmarks = make(map[digest.Digest]bool)
	for _, d := range id.Landmarks {
		m.landmarks[d] = true
	}
	return nil
}
