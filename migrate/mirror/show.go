package mirror

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/regferry/regferry/migrate"
	"github.com/regferry/regferry/verify/report"
)

// movement is how something goes on that rounds may have to wait for.
type movement struct {
	now   *migrate.Progress // nil: nothing is under way
	seen  migrate.Snapshot
	moved time.Time
}

// look says whether what is under way was seen to go on.
func (v *movement) look(now time.Time) {
	if v.now == nil {
		return
	}
	if snap := moving(v.now.Snapshot()); snap != v.seen {
		v.seen, v.moved = snap, now
	}
}

// moving is what of a snapshot says that objects are being done.
func moving(snap migrate.Snapshot) migrate.Snapshot {
	snap.Retries, snap.Failures, snap.Waiting = 0, 0, 0
	return snap
}

// show is what a mirror says of itself.
type show struct {
	o        Options
	lastFull time.Time // begin of the last complete full round of this process, with a monotonic reading; of the rounds' goroutine

	mu      sync.Mutex
	p       PairStatus
	started time.Time         // of the process, monotonic, as are the next ones
	last    time.Time         // when a round last went to its end, or started
	through bool              // one has, or had in an earlier process
	upTo    time.Time         // begin of the last complete round, before any of the first that went to its end
	moved   time.Time         // when the round under way was last seen to go on
	took    time.Duration     // by the last that went to its end
	seen    migrate.Snapshot  // when it moved
	now     *migrate.Progress // of the round under way
	waits   bool              // it waits for what hints copy
	hint    movement          // of the hints that are being followed
	kind    string
	number  uint64
	began   time.Time
	over    string // phase after the engine's
	rec     *recorder
	command string
}

func (s *show) begin(o Options, h head) {
	s.o = o
	s.started, s.last, s.moved = o.now(), o.now(), o.now()
	s.p = PairStatus{Name: o.Name, State: Starting, LastRound: h.LastRound, Deleting: o.Delete, Lag: -1}
	s.upTo, s.through = h.LastRound, !h.LastRound.IsZero()
	s.command = "regferry mirror approve --state " + o.State
}

func (s *show) approve() string { return s.command }

func (s *show) state(st State, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.p.State, s.p.Reason, s.p.NextRound = st, why, time.Time{}
	s.now = nil
}

func (s *show) sides(src, dst string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.p.Source, s.p.Destination = src, dst
}

func (s *show) standBy(holder string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.p.State, s.p.LeaseHolder = Standby, holder
	s.p.Reason = "another mirror writes the destination: " + holder
	s.last, s.moved = s.o.now(), s.o.now()
}

func (s *show) holds(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.p.LeaseHolder = name
}

func (s *show) backOff(err error, next time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.p.State, s.p.Reason, s.p.NextRound, s.now = BackOff, err.Error(), next, nil
}

func (s *show) round(kind string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.p.State, s.p.Reason, s.p.NextRound = Running, "", time.Time{}
	if s.o.Migrate.Final {
		s.p.State = Finishing
	}
	s.kind, s.began, s.over = kind, time.Now(), ""
	s.moved, s.seen = s.o.now(), migrate.Snapshot{}
}

func (s *show) recorder() *recorder {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rec = new(recorder)
	return s.rec
}

func (s *show) progress(p *migrate.Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = p
}

func (s *show) phase(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over, s.moved, s.waits = name, s.o.now(), false
}

// waitForHints says that the round does nothing until hints were followed.
func (s *show) waitForHints() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waits = true
}

// hinting says that hints are being followed. A round does not go on by that.
func (s *show) hinting(p *migrate.Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hint = movement{now: p, moved: s.o.now()}
}

// touch says that something goes on that no snapshot shows.
func (s *show) touch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moved = s.o.now()
}

func (s *show) ended(r Round, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.Kind, r.Started, r.Seconds = s.kind, s.began.UTC(), time.Since(s.began).Seconds()
	if err != nil && r.Error == "" {
		r.Error, r.Complete = err.Error(), false
	}
	s.add(r)
	s.p.Found, s.p.Failed, s.p.Behind = s.rec.lists()
	s.now, s.waits = nil, false
	if err == nil { // what it had to leave undone, a restart would, too
		s.last, s.took, s.through = s.o.now(), time.Since(s.began), true
	}
	if r.Complete {
		s.p.LastRound, s.upTo = time.Now().UTC(), r.Started
	}
	if err == nil && s.upTo.IsZero() {
		s.upTo = r.Started // from its first moment it lacked what was left undone
	}
}

// hinted shows what followed hints, if it did anything.
func (s *show) hinted(r Round) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Blobs+r.Links+r.Tags+r.Undone > 0 || r.Error != "" {
		s.add(r)
	}
	s.hint.now = nil
}

func (s *show) add(r Round) {
	s.number++
	r.Number = s.number
	s.p.Rounds = latest(append([]Round{r}, s.p.Rounds...))
}

// latest drops a round, the oldest, where there are too many; but neither the last
// full one that went to its end nor the last complete one: hints come by the
// hundred, and what full rounds find is asked for until the next.
func latest(all []Round) []Round {
	if len(all) <= MaxRounds {
		return all
	}
	ended := slices.IndexFunc(all, func(r Round) bool { return r.Kind == kindFull && r.Error == "" })
	whole := slices.IndexFunc(all, func(r Round) bool { return r.Kind == kindFull && r.Complete })
	for i := len(all) - 1; ; i-- {
		if i != ended && i != whole {
			return slices.Delete(all, i, i+1)
		}
	}
}

func (s *show) wait(next time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.p.State, s.p.Reason, s.p.NextRound, s.now = Waiting, "", next.UTC(), nil
}

func (s *show) refused(p *Plan) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.p.Refused = p
}

func (s *show) deletedObjects(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.p.Deleted += n
}

// quietMost is how long a round may go on without any object being done: a
// large one may take that long.
const quietMost = 15 * time.Minute

// Status looks.
func (m *Mirror) Status() PairStatus {
	s := &m.show
	waiting, lost := m.hints.counts()
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.p
	p.Hints, p.HintsLost = waiting, lost
	if !s.upTo.IsZero() {
		p.Lag = time.Since(s.upTo).Seconds()
	}
	if s.now != nil {
		snap := s.now.Snapshot()
		p.Now = &Progress{
			Kind: s.kind, Started: s.began.UTC(), Phase: snap.Phase, Objects: snap.Objects, Bytes: snap.Bytes,
			TotalObjects: snap.TotalObjects, TotalBytes: snap.TotalBytes, Repositories: snap.Repositories,
			Retries: snap.Retries, Failures: snap.Failures,
		}
		if s.over != "" {
			p.Now.Phase = s.over
		}
		s.hint.look(s.o.now())
		if seen := moving(snap); seen != s.seen {
			s.seen, s.moved = seen, s.o.now()
		}
		if (s.waits || snap.Waiting > 0) && s.hint.now != nil && s.hint.moved.After(s.moved) {
			s.moved = s.hint.moved
		}
	}
	p.Overdue = s.overdue() != ""
	return p
}

// overdue says what is late.
func (s *show) overdue() string {
	now := s.o.now()
	silent := now.Sub(s.last)
	most := 2*s.o.Interval + s.took + max(s.o.Interval, time.Minute)
	switch {
	case s.p.State == Stopped, s.p.State == Done, silent <= most:
		return ""
	case s.now != nil && now.Sub(s.moved) <= quietMost:
		return "" // a long round that goes on
	}
	return fmt.Sprintf("no round went to its end for %v, and one is due every %v", silent.Round(time.Second), s.o.Interval)
}

// Healthy is nil unless a round is overdue. A mirror that has stopped for good
// is not ready; to start it again would not help, and harm others of the process.
func (m *Mirror) Healthy() error {
	p := m.Status()
	m.show.mu.Lock()
	defer m.show.mu.Unlock()
	if why := m.show.overdue(); why != "" {
		if p.Reason != "" {
			why += ": " + p.Reason
		}
		return fmt.Errorf("%s: %s", p.Name, why)
	}
	return nil
}

// Alive is nil unless a round hangs, which a new process may not. Whoever waits
// for a side would wait there, too.
func (m *Mirror) Alive() error {
	if s := m.Status().State; s == Starting || s == BackOff {
		return nil
	}
	return m.Healthy()
}

// Ready is nil when a round has gone to its end, whatever it had to leave undone,
// or when the mirror stands by: then it may be sent hints.
func (m *Mirror) Ready() error {
	p := m.Status()
	m.show.mu.Lock()
	defer m.show.mu.Unlock()
	switch {
	case p.State == Standby:
		return nil
	case p.State == Stopped:
		return fmt.Errorf("%s: stopped: %s", p.Name, p.Reason)
	case !m.show.through:
		return fmt.Errorf("%s: no round has gone to its end yet", p.Name)
	}
	return nil
}

// recorder keeps the first of what a round finds.
type recorder struct {
	mu     sync.Mutex
	found  []report.Finding
	failed []report.Failure
	behind []string
}

// Reset begins a new pass.
func (r *recorder) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.found, r.failed, r.behind = nil, nil, nil
}

// Finding keeps what is worse than a notice.
func (r *recorder) Finding(f report.Finding) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.Severity != report.Notice && len(r.found) < MaxFound {
		r.found = append(r.found, f)
	}
}

// Failure keeps a failure.
func (r *recorder) Failure(f report.Failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.failed) < MaxFound {
		r.failed = append(r.failed, f)
	}
}

// Repository keeps the name of one that is not up to date.
func (r *recorder) Repository(v report.Repository) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if v.Held+v.Unsettled > 0 && len(r.behind) < MaxBehind {
		r.behind = append(r.behind, v.Name)
	}
}

func (r *recorder) lists() ([]report.Finding, []report.Failure, []string) {
	if r == nil {
		return nil, nil, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.found, r.failed, r.behind
}
