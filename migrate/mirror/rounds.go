package mirror

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/checkpoint"
	"github.com/regferry/regferry/migrate"
)

// rounds makes rounds, and follows hints beside them, until Stop.
func (m *Mirror) rounds(ctx context.Context) error {
	if m.Once {
		return m.round(ctx, true)
	}
	g, ctx := errgroup.WithContext(ctx)
	ctx, done := context.WithCancel(ctx)
	g.Go(func() error { return m.followHints(ctx) })
	g.Go(func() error {
		defer done()
		return m.timed(ctx)
	})
	return g.Wait()
}

func (m *Mirror) timed(ctx context.Context) error {
	var lastFull time.Time
	for {
		began := m.now()
		full := lastFull.IsZero() || began.Sub(lastFull) >= m.FullEvery
		if err := m.round(ctx, full); err != nil {
			return err
		}
		if full {
			lastFull = began
		}
		wait := max(m.Interval-m.now().Sub(began), 0) + rand.N(m.Interval/10+1)
		m.show.wait(time.Now().Add(wait))
		if m.pause(ctx, wait) {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
}

// Kinds of rounds.
const (
	kindFull = "full"
	kindTags = "tags"
	kindHint = "hint"
)

// errEmpty says that a source that had blobs has none: a volume that is not
// mounted looks like that.
var errEmpty = errors.New("the source is empty, and it was not before")

// some says that only some repositories are mirrored: then no round sees all.
func (m *Mirror) some() bool { return len(m.Migrate.Repositories) > 0 }

// round makes one round. The error ends the session.
func (m *Mirror) round(ctx context.Context, full bool) error {
	if err := errors.Join(m.inPlace(ctx), m.notFinished(ctx)); err != nil {
		return err
	}
	kind, l := kindTags, m.newLook(full)
	o := m.Migrate
	o.Shared, o.Watch = m.shared, l.watch(ctx)
	o.Links = !full
	if full {
		kind = kindFull
		o.Checkpoint = m.state.path("checkpoint")
		if !m.NoSample {
			sample := m.Sample
			sample.Round = m.state.head.SampleRound
			o.Recheck = func(d digest.Digest) bool { return sample.Has(d) }
		}
	}
	m.state.head.Rounds++
	m.tags.begin(m.state.head.Rounds)
	m.show.round(kind)
	began, start := m.now(), time.Now()
	s, err := m.run(ctx, o, m.show.recorder())
	if damaged := (*checkpoint.CorruptError)(nil); errors.As(err, &damaged) {
		// It saves work and holds nothing that is needed.
		m.Log.Warn("the checkpoint is damaged and begun anew", "pair", m.Name, "reason", err)
		if err = stateError(os.Remove(o.Checkpoint)); err == nil {
			s, err = m.run(ctx, o, m.show.recorder())
		}
	}
	if err == nil && full && l.source == 0 && !m.some() && (len(m.landmarks) > 0 || l.all > 0) {
		err = &backends.Error{Side: backends.Source, Op: "list", Class: backends.Changed, Err: errEmpty}
	}
	if err == nil {
		err = m.inPlace(ctx)
	}
	if err == nil && full {
		err = m.settle()
	}
	r := roundOf(s, err)
	if err == nil && r.Complete {
		err = m.endRound(ctx, l, &r, began, start)
	}
	m.show.ended(r, err)
	if err != nil {
		return err
	}
	m.Log.Info("round", "pair", m.Name, "kind", kind, "complete", r.Complete, "took", m.now().Sub(began).Round(time.Millisecond),
		"blobs", r.Blobs, "tags", r.Tags, "links", r.Links, "undone", r.Undone, "deleted", r.Deleted)
	return nil
}

// run is one run of the engine, beside others but not beside deletions.
func (m *Mirror) run(ctx context.Context, o migrate.Options, rec *recorder) (migrate.Summary, error) {
	if err := m.work.Acquire(ctx, 1); err != nil {
		return migrate.Summary{}, context.Cause(ctx)
	}
	defer m.work.Release(1)
	o.Recorder, o.Progress, o.Workers = rec, new(migrate.Progress), int(m.workers.Load())
	m.show.progress(o.Progress)
	return migrate.Run(ctx, m.src, m.dst, o)
}

func roundOf(s migrate.Summary, err error) Round {
	t := s.Last()
	r := Round{Complete: err == nil && s.Complete && t.Undone() == 0, Undone: t.Undone(), Damage: t.SourceDamage(), Proved: t.Rechecked}
	for _, p := range s.Passes {
		r.Blobs, r.Bytes = r.Blobs+p.Copied+p.Replaced, r.Bytes+p.CopiedBytes
		r.Links, r.Tags = r.Links+p.Links, r.Tags+p.TagsWritten
	}
	if err != nil {
		r.Error = err.Error()
	}
	return r
}

// endRound keeps what a complete round has seen, and deletes what is due.
func (m *Mirror) endRound(ctx context.Context, l *look, r *Round, began, start time.Time) error {
	h := &m.state.head
	h.LastRound = start.UTC()
	if !l.full {
		return m.state.writeHead()
	}
	if m.some() {
		m.show.lastFull, h.LastFull = began, start.UTC()
		h.Full++
		return m.state.writeHead()
	}
	if !l.complete() {
		return fmt.Errorf("%d of %d parts of the registry were listed", l.listed, len(m.parts))
	}
	if last := m.show.lastFull; !last.IsZero() {
		// Not longer than rounds are apart when all is well: nothing grows old
		// while it cannot be looked at.
		h.Clock += min(began.Sub(last), 2*max(m.FullEvery, m.Interval))
	}
	m.show.lastFull = began
	h.Full, h.LastFull = h.Full+1, start.UTC()
	h.SampleRound++
	before, err := m.state.readAbsences()
	if err != nil {
		return err
	}
	gone := aged(before, l.gone, h.Clock)
	r.Absences = int64(len(gone)) + l.more
	if err := errors.Join(m.state.writeAbsences(gone), m.tags.compact(h.Rounds)); err != nil {
		return err
	}
	if err := m.state.writeHead(); err != nil {
		return err
	}
	m.written.turn()
	refused := m.changed(l)
	if m.Delete {
		if r.Deleted, err = m.delete(ctx, l, gone, refused); err != nil {
			return err
		}
	}
	if refused != "" && m.landmarks != nil && r.Deleted == 0 {
		return nil
	}
	return m.keepIdentity(ctx, l)
}

// changed says why the source is not what it was, nothing if it is.
func (m *Mirror) changed(l *look) string {
	switch {
	case l.blobs == 0:
		return "the source has no blobs"
	case m.landmarks == nil:
		return "the destination mirrored another source before, or does not say which"
	case 2*l.found < len(m.landmarks):
		return fmt.Sprintf("of %d blobs that the source is known by, %d are left: it may be another one, or one that is not mounted", len(m.landmarks), l.found)
	}
	return ""
}

func (m *Mirror) keepIdentity(ctx context.Context, l *look) error {
	if len(l.landmarks) == 0 {
		return nil
	}
	id := identity{Source: m.src.Location(), Landmarks: l.landmarks}
	same := m.landmarks != nil && len(id.Landmarks) == len(m.landmarks)
	for _, d := range id.Landmarks {
		same = same && m.landmarks[d]
	}
	if same && len(m.landmarks) > 0 {
		return nil
	}
	if err := writeSmall(ctx, m.dst, identityKey, id); err != nil {
		return err
	}
	m.landmarks = make(map[digest.Digest]bool)
	for _, d := range id.Landmarks {
		m.landmarks[d] = true
	}
	return nil
}

// Hints that are followed at once.
const (
	hintBatch = 32
)

// followHints brings repositories up to date as notifications name them, some at
// a time, while rounds go on.
func (m *Mirror) followHints(ctx context.Context) error {
	tick := time.NewTicker(hintAgain / 4)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil //nolint:nilerror // its end is the session's
		case <-m.Stop:
			return nil
		case <-m.hints.ring:
		case <-tick.C:
		}
		for more := true; more; {
			var err error
			if more, err = m.hint(ctx); err != nil {
				return err
			}
		}
	}
}

// hint follows some hints. They wait in the queue until nothing is deleted any
// more, which gives way to what waits there.
func (m *Mirror) hint(ctx context.Context) (more bool, err error) {
	if err := m.work.Acquire(ctx, 1); err != nil {
		return false, nil //nolint:nilerror // the end of the context is the session's
	}
	defer m.work.Release(1)
	names := m.hints.take(hintBatch, time.Now())
	if len(names) == 0 {
		return false, nil
	}
	if err := errors.Join(m.inPlace(ctx), m.notFinished(ctx)); err != nil {
		return false, err
	}
	o := m.Migrate
	o.Shared, o.Watch, o.Named = m.shared, m.newLook(false).watch(ctx), names
	start := time.Now()
	o.Recorder, o.Progress, o.Workers = new(recorder), new(migrate.Progress), int(m.workers.Load())
	m.show.hinting(o.Progress)
	s, err := migrate.Run(ctx, m.src, m.dst, o)
	if ctx.Err() != nil || m.stopped() {
		return false, nil
	}
	r := roundOf(s, err)
	r.Kind, r.Started, r.Seconds = kindHint, start.UTC(), time.Since(start).Seconds()
	m.show.hinted(r)
	m.Log.Debug("round", "pair", m.Name, "kind", kindHint, "repositories", len(names), "took", time.Since(start).Round(time.Millisecond), "tags", r.Tags, "undone", r.Undone)
	return true, err
}
