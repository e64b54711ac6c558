package meter

import (
	"runtime"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/regferry/regferry/migrate/mirror"
)

// Status is a prometheus.Collector of what a mirror says of itself. It calls
// status once each time it is collected.
func Status(status func() mirror.Status) prometheus.Collector {
	return &collector{status: status, rounds: map[string]*rounds{}}
}

type collector struct {
	status func() mirror.Status

	mu     sync.Mutex
	rounds map[string]*rounds // by pair
}

var build = prometheus.NewDesc("regferry_build_info", "1, with the version of regferry and of Go.", []string{"version", "goversion"}, nil)

// A figure is a metric of a pair that is read from its status. It is left out
// where of says false, since there is nothing to tell yet.
type figure struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	of   func(mirror.PairStatus) (float64, bool)
}

func gauge(name, help string, of func(mirror.PairStatus) (float64, bool)) figure {
	return figure{prometheus.NewDesc(name, help, []string{"pair"}, nil), prometheus.GaugeValue, of}
}

// always is a figure that there is at any time.
func always(of func(mirror.PairStatus) float64) func(mirror.PairStatus) (float64, bool) {
	return func(p mirror.PairStatus) (float64, bool) { return of(p), true }
}

// flag is 1 or 0.
func flag(of func(mirror.PairStatus) bool) func(mirror.PairStatus) (float64, bool) {
	return always(func(p mirror.PairStatus) float64 {
		if of(p) {
			return 1
		}
		return 0
	})
}

// latest is a figure of the newest round of which ok holds.
func latest(ok func(mirror.Round) bool, of func(mirror.Round) float64) func(mirror.PairStatus) (float64, bool) {
	return func(p mirror.PairStatus) (float64, bool) {
		i := slices.IndexFunc(p.Rounds, ok)
		if i < 0 {
			return 0, false
		}
		return of(p.Rounds[i]), true
	}
}

func whole(r mirror.Round) bool { return r.Complete && r.Kind == "full" }

// through is a full round that went to its end, also where it had to leave
// something undone.
func through(r mirror.Round) bool { return r.Error == "" && r.Kind == "full" }

var figures = []figure{
	gauge("regferry_lag_seconds", "Since when the destination may lack something.",
		func(p mirror.PairStatus) (float64, bool) { return p.Lag, p.Lag >= 0 }),
	gauge("regferry_last_complete_round_timestamp_seconds", "When the last complete round ended.",
		func(p mirror.PairStatus) (float64, bool) {
			return float64(p.LastRound.UnixMilli()) / 1000, !p.LastRound.IsZero()
		}),
	gauge("regferry_overdue", "Whether no round went to its end for longer than it may take.",
		flag(func(p mirror.PairStatus) bool { return p.Overdue })),
	gauge("regferry_leader", "Whether this process holds the lease of the destination.", flag(leads)),
	gauge("regferry_standby", "Whether another mirror holds the lease of the destination.",
		flag(func(p mirror.PairStatus) bool { return p.State == mirror.Standby })),
	gauge("regferry_backing_off", "Whether a side failed and the next round is later than usual.",
		flag(func(p mirror.PairStatus) bool { return p.State == mirror.BackOff })),
	gauge("regferry_stopped", "Whether the mirror stopped for good.",
		flag(func(p mirror.PairStatus) bool { return p.State == mirror.Stopped })),
	gauge("regferry_hints_queued", "Repositories that a notification named and that wait.",
		always(func(p mirror.PairStatus) float64 { return float64(p.Hints) })),
	{
		prometheus.NewDesc("regferry_hints_dropped_total", "Notifications for which there was no room.", []string{"pair"}, nil), prometheus.CounterValue,
		always(func(p mirror.PairStatus) float64 { return float64(p.HintsLost) }),
	},
	{
		prometheus.NewDesc("regferry_deletions_done_total", "Objects of the destination deleted.", []string{"pair"}, nil), prometheus.CounterValue,
		always(func(p mirror.PairStatus) float64 { return float64(p.Deleted) }),
	},
	gauge("regferry_deletions_planned", "Objects of the destination that the source did not have in the last complete full round.",
		latest(whole, func(r mirror.Round) float64 { return float64(r.Absences) })),
	gauge("regferry_deletions_refused", "Objects in the plan of deletions that a guard refused and nobody approved; 0 for none.",
		always(func(p mirror.PairStatus) float64 {
			if p.Refused == nil {
				return 0
			}
			return float64(p.Refused.Objects)
		})),
	gauge("regferry_source_damage", "Damage at the source in the last full round that went to its end.",
		latest(through, func(r mirror.Round) float64 { return float64(r.Damage) })),
	gauge("regferry_undone_objects", "Objects that the last round, of any kind, left undone.",
		latest(func(mirror.Round) bool { return true }, func(r mirror.Round) float64 { return float64(r.Undone) })),
	gauge("regferry_repositories_behind", "Repositories that the last round could not bring up to date, at most 100.",
		always(func(p mirror.PairStatus) float64 { return float64(len(p.Behind)) })),
	gauge("regferry_round_running", "Whether a round is under way.",
		flag(func(p mirror.PairStatus) bool { return p.Now != nil })),
	gauge("regferry_round_start_timestamp_seconds", "When the round under way began.",
		func(p mirror.PairStatus) (float64, bool) {
			if p.Now == nil {
				return 0, false
			}
			return float64(p.Now.Started.UnixMilli()) / 1000, true
		}),
}

// leads says whether a state is one in which the destination may be written.
func leads(p mirror.PairStatus) bool {
	switch p.State {
	case mirror.Running, mirror.Waiting, mirror.BackOff, mirror.Finishing:
		return true
	}
	return false
}

// Describe is of prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	ch <- build
	for _, f := range figures {
		ch <- f.desc
	}
	for _, d := range roundDescs {
		ch <- d
	}
}

// Collect is of prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock() // scrapes may overlap, and a round is counted once
	defer c.mu.Unlock()
	s := c.status()
	ch <- prometheus.MustNewConstMetric(build, prometheus.GaugeValue, 1, s.Version, runtime.Version())
	for _, p := range s.Pairs {
		for _, f := range figures {
			if v, ok := f.of(p); ok {
				ch <- prometheus.MustNewConstMetric(f.desc, f.kind, v, p.Name)
			}
		}
		r := c.rounds[p.Name]
		if r == nil {
			r = newRounds()
			c.rounds[p.Name] = r
		}
		r.add(p.Rounds)
		r.collect(ch, p)
	}
}
