package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/migrate/mirror"
	"github.com/regferry/regferry/migrate/mirror/meter"
	"github.com/regferry/regferry/migrate/mirror/web"
)

// daemon is the mirrors at work.
type daemon struct {
	*mirrors
	started time.Time
	flags   *pflag.FlagSet
	log     *slog.Logger
	meter   *meter.Meter

	mu      sync.Mutex // of pairs, whose flags a reload replaces
	pairs   []*pairFlags
	running []*mirror.Mirror
	rate    chan struct{} // rung by a reload: the bandwidth may be another
}

func (s *mirrors) run(ctx context.Context, flags *pflag.FlagSet, out, errOut io.Writer) (int, error) {
	pairs, err := s.read(flags)
	if err != nil {
		return exitUsage, err
	}
	log, err := s.log.logger(errOut)
	if err != nil {
		return exitUsage, err
	}
	if err := s.checkListen(); err != nil {
		return exitUsage, err
	}
	if s.check {
		for _, p := range pairs {
			from, to := p.redacted()
			if _, err := fmt.Fprintf(out, "%s: from %s to %s: right\n", p.name, from, to); err != nil {
				return exitFailed, err
			}
		}
		return exitDone, nil
	}
	for _, p := range pairs {
		if s.once && p.options.Delete {
			return exitUsage, usageError{errors.New("--once and --delete: for how long the source has not had an object is counted while the mirror runs, so one round never deletes; leave one of them out")}
		}
	}
	d := &daemon{mirrors: s, started: time.Now(), flags: flags, log: log, meter: meter.New(), pairs: pairs, rate: make(chan struct{}, 1)}
	if err = d.open(); err == nil {
		err = d.serve(ctx)
	}
	for _, m := range d.running {
		err = errors.Join(err, m.Close())
	}
	if err == nil && s.sig.code() != 0 {
		return s.sig.code(), nil
	}
	return exitDone, err
}

// checkListen refuses an address and files with which nobody could listen.
func (s *mirrors) checkListen() error {
	if s.listen == "none" || s.listen == "" {
		return nil
	}
	if _, _, err := net.SplitHostPort(s.listen); err != nil {
		return usageError{fmt.Errorf("--listen %q: %w; give HOST:PORT or :PORT, for example --listen %s", s.listen, err, defaultListen)}
	}
	for flag, path := range map[string]string{"--listen-cert": s.certFile, "--listen-key": s.keyFile, "--events-token-file": s.tokenFile} {
		if path == "" {
			continue
		}
		if _, err := os.ReadFile(path); err != nil {
			return usageError{fmt.Errorf("%s: %w", flag, err)}
		}
	}
	return nil
}

// read reads flags and configuration; nothing is opened.
func (s *mirrors) read(flags *pflag.FlagSet) ([]*pairFlags, error) {
	if s.config == "" {
		return []*pairFlags{&s.one}, s.one.check()
	}
	only := pflag.NewFlagSet("", pflag.ContinueOnError)
	new(pairFlags).add(only)
	var err error
	flags.Visit(func(f *pflag.Flag) {
		if only.Lookup(f.Name) != nil && f.Name != "state" {
			err = usageError{fmt.Errorf("--%s and --config: write it into the configuration", f.Name)}
		}
	})
	if err != nil {
		return nil, err
	}
	return s.readConfig(s.config, flags)
}

// open makes the mirrors, of which each holds its state.
func (d *daemon) open() error {
	for _, p := range d.pairs {
		o := p.options
		state, err := p.stateOf()
		if err != nil {
			return err
		}
		o.State, o.Once, o.Owner, o.Stop, o.Log = state, d.once, hostName(), d.sig.stop, d.log
		p.at.notice(func(text string) { d.log.Warn(text, "pair", p.name) })
		o.Open = d.opener(p)
		o.Retried = func(err error) { d.meter.Retried(p.name, err) }
		o.Migrate.Bandwidth, _ = p.bandwidth.At(time.Now())
		m, err := mirror.New(o)
		if err != nil {
			return err
		}
		d.running = append(d.running, m)
	}
	return nil
}

// opener opens both sides of a pair, counted.
func (d *daemon) opener(p *pairFlags) mirror.Open {
	open := opened(p)
	return func(ctx context.Context) (backends.ReadStore, backends.Store, error) {
		src, dst, err := open(ctx)
		if err != nil {
			return nil, nil, err
		}
		return d.meter.Read(src, p.name, backends.Source), d.meter.Write(dst, p.name, backends.Destination), nil
	}
}

// opened opens both sides of a pair.
func opened(p *pairFlags) mirror.Open {
	return func(ctx context.Context) (backends.ReadStore, backends.Store, error) {
		src, err := p.at.from.Source(ctx, p.from)
		if err != nil {
			return nil, nil, sideError("--from", p.from, backends.Source, err)
		}
		dst, err := p.at.to.Destination(ctx, p.to)
		if err != nil {
			return nil, nil, errors.Join(sideError("--to", p.to, backends.Destination, err), src.Close())
		}
		return src, dst, nil
	}
}

// serve runs the mirrors, and all that goes with them, until they end. One that
// stops for good does not end the others; its error is the outcome.
func (d *daemon) serve(ctx context.Context) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP) // before anybody can know that this runs
	defer signal.Stop(hup)
	manager, err := newSystemd()
	if err != nil {
		d.log.Warn(err.Error())
	}
	g, inner := errgroup.WithContext(ctx)
	beside, enough := context.WithCancel(inner)
	defer enough()
	if d.listen != "none" && d.listen != "" {
		server, err := web.Listen(web.Options{
			Listen: d.listen, CertFile: d.certFile, KeyFile: d.keyFile, TokenFile: d.tokenFile, OpenEvents: d.openEvents, Pprof: d.pprof,
			Source: d, Registry: meter.Registry(d.meter, d.Status), Written: d.meter.Written, Log: d.log,
		})
		if err != nil {
			return usageError{fmt.Errorf("--listen: %w", err)}
		}
		d.log.Info("listening", "url", server.URL())
		g.Go(func() error { return server.Run(beside) })
	}
	g.Go(func() error { d.pace(beside); return nil })
	g.Go(func() error { return d.reloads(beside, hup, manager) })
	g.Go(func() error { manager.watch(beside, d.alive); return nil })
	if err := manager.notifyReady(); err != nil {
		d.log.Warn(err.Error())
	}
	ended := make([]error, len(d.running))
	var running sync.WaitGroup
	for i, m := range d.running {
		running.Go(func() {
			if ended[i] = m.Run(inner); ended[i] != nil && ctx.Err() == nil {
				d.log.Error("the mirror has stopped", "pair", m.Name, "reason", ended[i])
			}
		})
	}
	g.Go(func() error {
		running.Wait()
		enough()
		return nil
	})
	err = g.Wait()
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	_ = manager.notifyStopping()
	return errors.Join(append(ended, err)...)
}

// pace sets the bandwidth by the time of day.
func (d *daemon) pace(ctx context.Context) {
	for {
		wait := time.Hour // clocks are set
		d.mu.Lock()
		for i, m := range d.running {
			n, until := d.pairs[i].bandwidth.At(time.Now())
			m.SetBandwidth(n)
			if !until.IsZero() {
				wait = min(wait, time.Until(until)+time.Millisecond)
			}
		}
		d.mu.Unlock()
		t := time.NewTimer(max(wait, time.Millisecond))
		select {
		case <-t.C:
		case <-d.rate:
		case <-ctx.Done():
			t.Stop()
			return
		}
		t.Stop()
	}
}

// reloads reads the configuration again at each SIGHUP.
func (d *daemon) reloads(ctx context.Context, hup <-chan os.Signal, manager systemd) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hup:
		}
		_ = manager.notifyReloading()
		if err := d.reload(ctx); err != nil {
			d.log.Error("the configuration was not reloaded, the old one holds", "reason", err)
		}
		_ = manager.notifyReady()
	}
}

// reload takes over what can change while mirrors run: bandwidth and workers.
// What cannot is named.
func (d *daemon) reload(ctx context.Context) error {
	if d.config == "" {
		return errors.New("there is no --config to read again")
	}
	again := &mirrors{config: d.config}
	again.one.state = d.one.state // of the command line
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	again.addCommon(set)
	pairs, err := again.readConfig(d.config, set)
	if err != nil {
		return err
	}
	if len(pairs) != len(d.pairs) {
		return fmt.Errorf("it has %d mirrors now, and had %d: restart to have others", len(pairs), len(d.pairs))
	}
	d.mu.Lock()
	for i, p := range pairs {
		old := d.pairs[i]
		if p.name != old.name || p.from != old.from || p.to != old.to || p.state != old.state {
			d.mu.Unlock()
			return fmt.Errorf("mirrors[%d]: name, from, to and state cannot change while it runs: restart", i)
		}
	}
	for i, p := range pairs {
		old := d.pairs[i]
		if rest := otherChanges(old, p); rest != "" {
			d.log.Warn("a change takes effect after a restart only", "pair", p.name, "changed", rest)
		}
		old.bandwidth = p.bandwidth
		old.options.Migrate.Workers = p.options.Migrate.Workers
	}
	d.mu.Unlock()
	select {
	case d.rate <- struct{}{}:
	default:
	}
	for i, p := range pairs {
		if err := d.running[i].SetWorkers(ctx, p.options.Migrate.Workers); err != nil {
			return err
		}
	}
	d.log.Info("the configuration was reloaded")
	return nil
}

// otherChanges names flags that changed and are not taken over.
func otherChanges(old, now *pairFlags) string {
	taken := map[string]bool{"bandwidth": true, "workers": true}
	before := pflag.NewFlagSet("", pflag.ContinueOnError)
	after := pflag.NewFlagSet("", pflag.ContinueOnError)
	// add binds the flags to copies, whose values it then overwrites with defaults.
	a, b := *old, *now
	values := func(set *pflag.FlagSet, p *pairFlags, from pairFlags) map[string]string {
		p.add(set)
		*p = from
		all := make(map[string]string)
		set.VisitAll(func(f *pflag.Flag) { all[f.Name] = f.Value.String() })
		return all
	}
	x, y := values(before, new(pairFlags), a), values(after, new(pairFlags), b)
	var changed []string
	for name, v := range x {
		if !taken[name] && y[name] != v {
			changed = append(changed, name)
		}
	}
	slices.Sort(changed)
	return strings.Join(changed, " ")
}

// Status is of all mirrors.
func (d *daemon) Status() mirror.Status {
	s := mirror.Status{Program: "regferry", Version: version(), Now: time.Now().UTC(), Started: d.started.UTC()}
	for _, m := range d.running {
		s.Pairs = append(s.Pairs, m.Status())
	}
	return s
}

// Hint is for every mirror: which of them has the repository, its source knows.
func (d *daemon) Hint(repository string) bool {
	room := true
	for _, m := range d.running {
		room = m.Hint(repository) && room
	}
	return room
}

// alive says that no mirror hangs. One that waits for a side to come back does
// not: to start anew would not help.
func (d *daemon) alive() bool {
	return d.Alive() == nil
}

// Alive is the first that is not.
func (d *daemon) Alive() error { return d.first((*mirror.Mirror).Alive) }

// Healthy is the first that is not.
func (d *daemon) Healthy() error { return d.first((*mirror.Mirror).Healthy) }

// Ready is the first that is not.
func (d *daemon) Ready() error { return d.first((*mirror.Mirror).Ready) }

func (d *daemon) first(of func(*mirror.Mirror) error) error {
	for _, m := range d.running {
		if err := of(m); err != nil {
			return err
		}
	}
	return nil
}
