package web

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/regferry/regferry/migrate/mirror"
)

// What the charts go back to: two hours.
const (
	step    = 10 * time.Second
	samples = 720
)

// Series is what is kept of a pair, oldest first, one value a sample.
type Series struct {
	Name    string     `json:"name"`
	Times   []int64    `json:"times"`   // seconds since 1970
	Bytes   []float64  `json:"bytes"`   // a second
	Objects []float64  `json:"objects"` // a second
	Lag     []*float64 `json:"lag"`     // seconds; null before the first complete round
}

// history is the samples of all pairs there are. The zero value is ready.
type history struct {
	mu    sync.Mutex
	pairs []*past
}

// past is a Series and what the next rate is reckoned from.
type past struct {
	Series
	at             time.Time
	bytes, objects int64
	round          time.Time
}

// record takes samples until ctx ends.
func (s *Server) record(ctx context.Context) {
	t := time.NewTicker(step)
	defer t.Stop()
	for {
		s.history.add(s.o.Source.Status(), time.Now(), s.o.Written)
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// add takes one sample of each pair and forgets pairs that are gone.
func (h *history) add(s mirror.Status, now time.Time, written Written) {
	h.mu.Lock()
	defer h.mu.Unlock()
	pairs := make([]*past, 0, len(s.Pairs))
	for _, p := range s.Pairs {
		i := slices.IndexFunc(h.pairs, func(known *past) bool { return known.Name == p.Name })
		kept := &past{Series: Series{Name: p.Name}}
		if i >= 0 {
			kept = h.pairs[i]
		}
		kept.add(p, now, written)
		pairs = append(pairs, kept)
	}
	h.pairs = pairs
}

// add has no sample for the first look: a rate needs two. Where it is not known
// what was written, it is reckoned from the round; when that is another one, it
// began at 0.
func (k *past) add(p mirror.PairStatus, now time.Time, written Written) {
	var bytes, objects int64
	var round time.Time
	if written != nil {
		bytes, objects = written(p.Name)
	} else if p.Now != nil {
		bytes, objects, round = p.Now.Bytes, p.Now.Objects, p.Now.Started
		if !round.Equal(k.round) {
			k.bytes, k.objects = 0, 0
		}
	} else {
		k.bytes, k.objects = 0, 0
	}
	if seconds := now.Sub(k.at).Seconds(); !k.at.IsZero() && seconds > 0 {
		k.Times = last(append(k.Times, now.Unix()))
		k.Bytes = last(append(k.Bytes, float64(max(bytes-k.bytes, 0))/seconds))
		k.Objects = last(append(k.Objects, float64(max(objects-k.objects, 0))/seconds))
		var lag *float64
		if p.Lag >= 0 {
			lag = &p.Lag
		}
		k.Lag = last(append(k.Lag, lag))
	}
	k.at, k.bytes, k.objects, k.round = now, bytes, objects, round
}

// last keeps the newest samples, in place.
func last[T any](s []T) []T {
	if len(s) <= samples {
		return s
	}
	return append(s[:0], s[len(s)-samples:]...)
}

// answered is what /history says.
type answered struct {
	Step  float64  `json:"step_seconds"`
	Pairs []Series `json:"pairs"`
}

// since copies the samples after a time.
func (h *history) since(after int64) answered {
	h.mu.Lock()
	defer h.mu.Unlock()
	a := answered{Step: step.Seconds(), Pairs: []Series{}}
	for _, k := range h.pairs {
		i, _ := slices.BinarySearch(k.Times, after+1)
		a.Pairs = append(a.Pairs, Series{
			Name: k.Name, Times: tail(k.Times, i), Bytes: tail(k.Bytes, i), Objects: tail(k.Objects, i), Lag: tail(k.Lag, i),
		})
	}
	return a
}

// tail is a copy, and never nil: JSON has an empty array for it.
func tail[T any](s []T, from int) []T { return append([]T{}, s[from:]...) }
