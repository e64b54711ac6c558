package meter

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/regferry/regferry/migrate/mirror"
)

var (
	roundsTotal  = prometheus.NewDesc("regferry_rounds_total", "Rounds that ended, by kind and result.", []string{"pair", "kind", "result"}, nil)
	roundSeconds = prometheus.NewDesc("regferry_round_duration_seconds", "How long the last round of a kind took.", []string{"pair", "kind"}, nil)
	objectsTotal = prometheus.NewDesc("regferry_objects_total", "Objects that rounds dealt with, counted when a round ends.", []string{"pair", "phase", "result"}, nil)
	bytesTotal   = prometheus.NewDesc("regferry_bytes_total", "Bytes of blobs that rounds wrote, counted when a round ends.", []string{"pair", "phase", "result"}, nil)

	roundDescs = []*prometheus.Desc{roundsTotal, roundSeconds, objectsTotal, bytesTotal}
)

var (
	kinds   = []string{"full", "tags", "hint", "other"}
	results = []string{"complete", "incomplete", "failed"}
)

// objects are the series of regferry_objects_total.
var objects = []struct {
	phase, result string
	of            func(mirror.Round) int64
}{
	{"blobs", "written", func(r mirror.Round) int64 { return r.Blobs }},
	{"links", "written", func(r mirror.Round) int64 { return r.Links }},
	{"tags", "written", func(r mirror.Round) int64 { return r.Tags }},
	{"proofs", "proved", func(r mirror.Round) int64 { return r.Proved }},
	{"deletions", "deleted", func(r mirror.Round) int64 { return r.Deleted }},
	{"all", "undone", func(r mirror.Round) int64 { return r.Undone }},
	{"all", "damaged", func(r mirror.Round) int64 { return r.Damage }},
}

// rounds sums up the rounds of a pair, of which a status holds only the last
// ones: each is counted when it is first seen.
type rounds struct {
	last    uint64 // number of the newest one counted
	ended   map[[2]string]int64
	seconds map[string]float64
	objects []int64 // as in objects
	bytes   int64
}

// newRounds has all series from the start, at 0, so that a rate sees the first
// round.
func newRounds() *rounds {
	r := &rounds{ended: map[[2]string]int64{}, seconds: map[string]float64{}, objects: make([]int64, len(objects))}
	for _, k := range kinds[:3] {
		for _, result := range results {
			r.ended[[2]string{k, result}] = 0
		}
	}
	return r
}

// add takes rounds as a status has them, newest first.
func (r *rounds) add(list []mirror.Round) {
	for _, one := range slices.Backward(list) {
		if one.Number <= r.last {
			continue
		}
		r.last = one.Number
		kind := kindOf(one.Kind)
		r.ended[[2]string{kind, resultOf(one)}]++
		r.seconds[kind] = one.Seconds
		for i, o := range objects {
			r.objects[i] += max(o.of(one), 0)
		}
		r.bytes += max(one.Bytes, 0)
	}
}

// kindOf keeps the label to the words it may have.
func kindOf(kind string) string {
	if slices.Contains(kinds, kind) {
		return kind
	}
	return "other"
}

func resultOf(r mirror.Round) string {
	switch {
	case r.Error != "":
		return "failed"
	case r.Complete:
		return "complete"
	}
	return "incomplete"
}

func (r *rounds) collect(ch chan<- prometheus.Metric, p mirror.PairStatus) {
	for k, n := range r.ended {
		ch <- prometheus.MustNewConstMetric(roundsTotal, prometheus.CounterValue, float64(n), p.Name, k[0], k[1])
	}
	for kind, s := range r.seconds {
		ch <- prometheus.MustNewConstMetric(roundSeconds, prometheus.GaugeValue, s, p.Name, kind)
	}
	for i, o := range objects {
		ch <- prometheus.MustNewConstMetric(objectsTotal, prometheus.CounterValue, float64(r.objects[i]), p.Name, o.phase, o.result)
	}
	ch <- prometheus.MustNewConstMetric(bytesTotal, prometheus.CounterValue, float64(r.bytes), p.Name, "blobs", "written")
}
