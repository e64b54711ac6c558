package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/regferry/regferry/migrate"
	"github.com/regferry/regferry/migrate/mirror"
	"github.com/regferry/regferry/migrate/mirror/meter"
	"github.com/regferry/regferry/migrate/mirror/web"
	"github.com/regferry/regferry/verify/report"
)

// job is a migration as the page of a mirror shows it: one round, which ends.
type job struct {
	from, to string
	started  time.Time
	progress *migrate.Progress
	migrate.Recorder

	mu     sync.Mutex
	found  []report.Finding
	failed []report.Failure
	behind []string
	ended  bool
}

// Reset begins a new pass.
func (j *job) Reset() {
	j.Recorder.Reset()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.found, j.failed, j.behind = nil, nil, nil
}

// Finding passes a finding on and keeps the first ones.
func (j *job) Finding(f report.Finding) {
	j.Recorder.Finding(f)
	j.mu.Lock()
	defer j.mu.Unlock()
	if f.Severity != report.Notice && len(j.found) < mirror.MaxFound {
		j.found = append(j.found, f)
	}
}

// Failure passes a failure on and keeps the first ones.
func (j *job) Failure(f report.Failure) {
	j.Recorder.Failure(f)
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.failed) < mirror.MaxFound {
		j.failed = append(j.failed, f)
	}
}

// Repository passes a repository on and keeps the first that are behind.
func (j *job) Repository(r report.Repository) {
	j.Recorder.Repository(r)
	j.mu.Lock()
	defer j.mu.Unlock()
	if r.Held+r.Unsettled > 0 && len(j.behind) < mirror.MaxBehind {
		j.behind = append(j.behind, r.Name)
	}
}

// Status is that of one pair.
func (j *job) Status() mirror.Status {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.progress.Snapshot()
	p := mirror.PairStatus{
		Name: "migration", Source: j.from, Destination: j.to, State: mirror.Running, Lag: -1,
		Found: j.found, Failed: j.failed, Behind: j.behind,
		Now: &mirror.Progress{
			Kind: "full", Started: j.started.UTC(), Phase: s.Phase, Objects: s.Objects, Bytes: s.Bytes, TotalObjects: s.TotalObjects,
			TotalBytes: s.TotalBytes, Repositories: s.Repositories, Retries: s.Retries, Failures: s.Failures,
		},
	}
	if j.ended {
		p.State, p.Now = mirror.Done, nil
	}
	return mirror.Status{Program: "regferry", Version: version(), Now: time.Now().UTC(), Started: j.started.UTC(), Pairs: []mirror.PairStatus{p}}
}

// Hint has nobody who would follow it.
func (j *job) Hint(string) bool { return false }

// Healthy is nil: a job that does not go on ends by itself.
func (j *job) Healthy() error { return nil }

// Alive is nil likewise.
func (j *job) Alive() error { return nil }

// Ready is nil when the job has ended.
func (j *job) Ready() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.ended {
		return nil
	}
	return errors.New("the migration goes on")
}

// lingering is how long the end of a job is shown.
const lingering = 2 * time.Second

// serve shows the job until the function that it returns is called.
func (j *job) serve(ctx context.Context, listen string, log *slog.Logger) (stop func() error, err error) {
	server, err := web.Listen(web.Options{Listen: listen, Source: j, Registry: meter.Registry(meter.New(), j.Status), Log: log})
	if err != nil {
		return nil, usageError{fmt.Errorf("--listen: %w", err)}
	}
	log.Info("listening", "url", server.URL())
	ctx, cancel := context.WithCancel(ctx)
	var g errgroup.Group
	g.Go(func() error { return server.Run(ctx) })
	return func() error {
		defer cancel()
		j.mu.Lock()
		j.ended = true
		j.mu.Unlock()
		t := time.AfterFunc(lingering, cancel)
		defer t.Stop()
		return g.Wait()
	}, nil
}
