package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/cheggaaa/pb/v3"
	"github.com/dustin/go-humanize"
	"golang.org/x/term"

	"github.com/regferry/regferry/migrate"
	"github.com/regferry/regferry/verify"
)

// display shows how far a run is: bars on a terminal, elsewhere a line every
// ten seconds.
type display struct {
	to   io.Writer
	log  *slog.Logger
	look func() moment
	bars bool

	mu      sync.Mutex
	drawing bool
	waiting []string // notices, at most maxWaiting
}

// maxWaiting bounds the notices that wait for the bars to end.
const maxWaiting = 100

const (
	lineEvery = 10 * time.Second
	barEvery  = 200 * time.Millisecond
)

// moment is one look at a run.
type moment struct {
	migrate.Snapshot
	findings int64
	noBytes  bool // they are not counted
}

func newDisplay(to io.Writer, log *slog.Logger, look func() moment) *display {
	f, ok := to.(*os.File)
	return &display{to: to, log: log, look: look, bars: ok && term.IsTerminal(int(f.Fd()))}
}

func migrating(p *migrate.Progress) func() moment {
	return func() moment { return moment{Snapshot: p.Snapshot()} }
}

// verifying has bytes only where blobs are read.
func verifying(p *verify.Progress, l verify.Level) func() moment {
	return func() moment {
		s := p.Snapshot()
		m := moment{findings: s.Findings, noBytes: l != verify.Content}
		m.Phase, m.Objects, m.TotalObjects = s.Phase, s.Blobs, s.ListedBlobs
		m.Repositories, m.Retries = s.Repositories, s.Retries
		if !m.noBytes {
			m.Bytes, m.TotalBytes = s.Bytes, s.ListedBytes
		}
		return m
	}
}

// start shows until the function it returns is called.
func (d *display) start() (stop func()) {
	show, every := d.line(), lineEvery
	if d.bars {
		show, every = d.barsOn(), barEvery
	}
	d.draw(d.bars)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		t := time.NewTicker(every)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				show(d.look(), false)
			case <-done:
				show(d.look(), true)
				return
			}
		}
	})
	return func() {
		close(done)
		wg.Wait()
		d.draw(false)
	}
}

// notice logs what a store does not do and that is done without. While bars
// are drawn it waits: a line among them would be drawn over.
func (d *display) notice(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case !d.drawing:
		d.log.Warn(text)
	case len(d.waiting) < maxWaiting:
		d.waiting = append(d.waiting, text)
	}
}

func (d *display) draw(on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.drawing = on
	for _, text := range d.waiting {
		d.log.Warn(text)
	}
	d.waiting = nil
}

// line logs one line at a time, with the rate since the last.
func (d *display) line() func(moment, bool) {
	var last moment
	at := time.Now()
	return func(s moment, end bool) {
		if end {
			return
		}
		seconds := time.Since(at).Seconds()
		moved := s.Bytes - last.Bytes
		if s.Pass != last.Pass {
			moved = s.Bytes
		}
		at, last = time.Now(), s
		var args []any
		if s.Pass > 0 {
			args = append(args, "pass", s.Pass)
		}
		args = append(args,
			"phase", s.Phase, "blobs", s.Objects, "bytes", bytesOf(s.Bytes),
			"rate", bytesOf(int64(float64(max(moved, 0))/seconds))+"/s")
		if s.TotalObjects > 0 {
			args = append(args, "of", s.TotalObjects, "of_bytes", bytesOf(s.TotalBytes))
		}
		if s.Repositories > 0 {
			args = append(args, "repositories", s.Repositories)
		}
		if s.Retries+s.Failures > 0 {
			args = append(args, "retries", s.Retries, "failures", s.Failures)
		}
		if s.findings > 0 {
			args = append(args, "findings", s.findings)
		}
		d.log.Info("progress", args...)
	}
}

// barsOn draws a bar for blobs and one for bytes, each with rate and time
// left. Totals are estimates until everything is listed.
func (d *display) barsOn() func(moment, bool) {
	const objects = `{{string . "phase"}} {{counters . }} {{bar . }} {{percent . }} {{speed . "%s blobs/s" "-"}}`
	const bytes = `  bytes {{counters . }} {{bar . }} {{percent . }} {{speed . "%s/s" "-"}} {{rtime . "%s left" "in %s" ""}}`
	a := pb.New64(0).SetTemplateString(objects).SetWriter(d.to)
	b := pb.New64(0).SetTemplateString(bytes).SetWriter(d.to).Set(pb.Bytes, true)
	all := []*pb.ProgressBar{a, b}
	if d.look().noBytes {
		all = all[:1]
	}
	pool := pb.NewPool(all...)
	pool.Output = d.to
	if err := pool.Start(); err != nil {
		d.log.Debug("no bars", "reason", err)
		return d.line()
	}
	return func(s moment, end bool) {
		phase := s.Phase
		if s.Repositories > 0 {
			phase = fmt.Sprintf("%s (%d repositories)", phase, s.Repositories)
		}
		if s.findings > 0 {
			phase += fmt.Sprintf(", %d findings", s.findings)
		}
		a.Set("phase", phase)
		a.SetTotal(s.TotalObjects).SetCurrent(s.Objects)
		b.SetTotal(s.TotalBytes).SetCurrent(s.Bytes)
		if end {
			for _, bar := range all {
				bar.Finish()
			}
			if err := pool.Stop(); err != nil {
				d.log.Debug("bars", "reason", err)
			}
		}
	}
}

func bytesOf(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }
