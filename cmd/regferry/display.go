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
)

// display shows how far a run is: two bars on a terminal, elsewhere a line
// every ten seconds.
type display struct {
	to       io.Writer
	log      *slog.Logger
	progress *migrate.Progress
	bars     bool
}

const (
	lineEvery = 10 * time.Second
	barEvery  = 200 * time.Millisecond
)

func newDisplay(to io.Writer, log *slog.Logger, p *migrate.Progress) *display {
	f, ok := to.(*os.File)
	return &display{to: to, log: log, progress: p, bars: ok && term.IsTerminal(int(f.Fd()))}
}

// start shows until the function it returns is called.
func (d *display) start() (stop func()) {
	show, every := d.line(), lineEvery
	if d.bars {
		show, every = d.barsOn(), barEvery
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		t := time.NewTicker(every)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				show(d.progress.Snapshot(), false)
			case <-done:
				show(d.progress.Snapshot(), true)
				return
			}
		}
	})
	return func() { close(done); wg.Wait() }
}

// line logs one line at a time, with the rate since the last.
func (d *display) line() func(migrate.Snapshot, bool) {
	var last migrate.Snapshot
	at := time.Now()
	return func(s migrate.Snapshot, end bool) {
		if end {
			return
		}
		seconds := time.Since(at).Seconds()
		moved := s.Bytes - last.Bytes
		if s.Pass != last.Pass {
			moved = s.Bytes
		}
		at, last = time.Now(), s
		args := []any{
			"pass", s.Pass, "phase", s.Phase, "blobs", s.Objects, "bytes", bytesOf(s.Bytes),
			"rate", bytesOf(int64(float64(max(moved, 0))/seconds)) + "/s",
		}
		if s.TotalObjects > 0 {
			args = append(args, "of", s.TotalObjects, "of_bytes", bytesOf(s.TotalBytes))
		}
		if s.Repositories > 0 {
			args = append(args, "repositories", s.Repositories)
		}
		if s.Retries+s.Failures > 0 {
			args = append(args, "retries", s.Retries, "failures", s.Failures)
		}
		d.log.Info("progress", args...)
	}
}

// barsOn draws a bar for blobs and one for bytes, each with rate and time
// left. Totals are estimates until everything is listed.
func (d *display) barsOn() func(migrate.Snapshot, bool) {
	const objects = `{{string . "phase"}} {{counters . }} {{bar . }} {{percent . }} {{speed . "%s blobs/s" "-"}}`
	const bytes = `  bytes {{counters . }} {{bar . }} {{percent . }} {{speed . "%s/s" "-"}} {{rtime . "%s left" "in %s" ""}}`
	a := pb.New64(0).SetTemplateString(objects).SetWriter(d.to)
	b := pb.New64(0).SetTemplateString(bytes).SetWriter(d.to).Set(pb.Bytes, true)
	pool := pb.NewPool(a, b)
	pool.Output = d.to
	if err := pool.Start(); err != nil {
		d.log.Debug("no bars", "reason", err)
		return d.line()
	}
	return func(s migrate.Snapshot, end bool) {
		phase := s.Phase
		if s.Repositories > 0 {
			phase = fmt.Sprintf("%s (%d repositories)", phase, s.Repositories)
		}
		a.Set("phase", phase)
		a.SetTotal(s.TotalObjects).SetCurrent(s.Objects)
		b.SetTotal(s.TotalBytes).SetCurrent(s.Bytes)
		if end {
			a.Finish()
			b.Finish()
			if err := pool.Stop(); err != nil {
				d.log.Debug("bars", "reason", err)
			}
		}
	}
}

func bytesOf(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }
