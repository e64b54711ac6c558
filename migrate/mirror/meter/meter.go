package meter

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/regferry/regferry/backends"
)

// Meter counts what is asked of stores. It is a prometheus.Collector.
type Meter struct {
	requests, listed, read, written, copied, retries *prometheus.CounterVec
	flying                                           *prometheus.GaugeVec

	sums sync.Map // of *sum by pair
}

// New makes a Meter that has counted nothing.
func New() *Meter {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, append([]string{"pair", "side"}, labels...))
	}
	return &Meter{
		requests: counter("regferry_store_requests_total", "Operations asked of a store, by how they ended; class ok for none.", "op", "class"),
		retries:  counter("regferry_retries_total", "Objects tried again, by the class of the error before.", "class"),
		listed:   counter("regferry_store_listed_objects_total", "Objects that listings named."),
		read:     counter("regferry_store_read_bytes_total", "Bytes read from a store."),
		written:  counter("regferry_store_written_bytes_total", "Bytes handed to a store, those of failed attempts too."),
		copied:   counter("regferry_store_copied_bytes_total", "Bytes that the service itself copied."),
		flying: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "regferry_store_requests_in_flight", Help: "Operations under way.",
		}, []string{"pair", "side"}),
	}
}

func (m *Meter) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.requests, m.retries, m.listed, m.read, m.written, m.copied, m.flying}
}

// Describe is of prometheus.Collector.
func (m *Meter) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.collectors() {
		c.Describe(ch)
	}
}

// Collect is of prometheus.Collector.
func (m *Meter) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.collectors() {
		c.Collect(ch)
	}
}

// Retried counts that an object of a pair is tried again after an error of a
// side.
func (m *Meter) Retried(pair string, err error) {
	m.retries.WithLabelValues(pair, string(backends.SideOf(err)), backends.ClassOf(err).Error()).Inc()
}

// Read returns a store that is counted as a side of a pair and has the powers of
// s.
func (m *Meter) Read(s backends.ReadStore, pair string, side backends.Side) backends.ReadStore {
	t := m.tally(pair, side)
	return &reads{ReadStore: s, t: t, powers: t.powers(backends.PowersOf(s))}
}

// Write is Read for a side that is written.
func (m *Meter) Write(s backends.Store, pair string, side backends.Side) backends.Store {
	t := m.tally(pair, side)
	return &store{reads{ReadStore: s, t: t, powers: t.powers(backends.PowersOf(s))}, s}
}

// tally is the part of a Meter that is for one side of one pair.
type tally struct {
	side                          backends.Side
	requests                      *prometheus.CounterVec
	listed, read, written, copied prometheus.Counter
	flying                        prometheus.Gauge
	sum                           *sum // of the pair's destination, whatever the side
}

func (m *Meter) tally(pair string, side backends.Side) *tally {
	s := string(side)
	return &tally{
		side:     side,
		requests: m.requests.MustCurryWith(prometheus.Labels{"pair": pair, "side": s}),
		listed:   m.listed.WithLabelValues(pair, s),
		read:     m.read.WithLabelValues(pair, s),
		written:  m.written.WithLabelValues(pair, s),
		copied:   m.copied.WithLabelValues(pair, s),
		flying:   m.flying.WithLabelValues(pair, s),
		sum:      m.sumOf(pair),
	}
}

// do counts one operation.
func (t *tally) do(op string, f func() error) error {
	t.flying.Inc()
	defer t.flying.Dec()
	err := f()
	t.ended(op, err)
	return err
}

func (t *tally) ended(op string, err error) {
	t.requests.WithLabelValues(op, t.class(err)).Inc()
}

// wrote counts bytes on their way to the side.
func (t *tally) wrote(n int, counter prometheus.Counter) {
	counter.Add(float64(n))
	if t.side == backends.Destination {
		t.sum.bytes.Add(int64(n))
	}
}

// stored counts an object that arrived.
func (t *tally) stored(err error) {
	if err == nil && t.side == backends.Destination {
		t.sum.objects.Add(1)
	}
}

// class is the label for an error. One that is no fault of this side, because
// it was cancelled or the other side failed in the middle of a Put, is none of
// its classes.
func (t *tally) class(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, context.Canceled):
		return "aborted"
	}
	if side := backends.SideOf(err); side != "" && side != t.side {
		return "aborted"
	}
	return backends.ClassOf(err).Error()
}

// Written is how many bytes and objects were written to the destination of a
// pair, by whatever way, those of failed attempts too: what the charts of
// package web show.
func (m *Meter) Written(pair string) (bytes, objects int64) {
	w := m.sumOf(pair)
	return w.bytes.Load(), w.objects.Load()
}

// sum is what was written to the destination of a pair.
type sum struct{ bytes, objects atomic.Int64 }

func (m *Meter) sumOf(pair string) *sum {
	w, _ := m.sums.LoadOrStore(pair, &sum{})
	return w.(*sum)
}
