//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/verify/layout/layouttest"
)

// TestLive migrates a registry that is pushed to, retagged and deleted from
// all the time. At no moment may the destination show a tag without all that a
// pull needs.
func TestLive(t *testing.T) {
	runs := times(t, "REGFERRY_LIVE_RUNS", 1)
	for _, c := range []struct {
		to      kind
		inPlace bool
	}{{directory, false}, {directory, true}, {versitygw, runs > 1}} {
		shape := layouttest.Shape{
			Repositories: 80, Tags: 6, Layers: 22, MaxLayer: 2000, Shared: 0.05, Indexes: 1, Artifacts: 1, Nested: true,
		}
		switch { // a short test has to be in good time with the race detector
		case c.to == versitygw && runs == 1: // which takes longer with small objects
			shape.Repositories, shape.Layers = 8, 4
		case c.to == versitygw:
			shape.Repositories, shape.Layers = 40, 5
		case runs == 1:
			shape.Layers = 5
		}
		for run := range runs {
			shape.Seed = uint64(run)
			inPlace := c.inPlace && (c.to == directory || run%2 == 0)
			t.Run(fmt.Sprintf("to %s, in place %v, %d", c.to, inPlace, run), func(t *testing.T) { live(t, shape, c.to, inPlace, min(1+runs, 3)) })
		}
	}
}

func live(t *testing.T, shape layouttest.Shape, to kind, inPlace bool, rounds int) {
	dir := fastDir(t, 1<<30)
	t.Setenv("TMPDIR", dir) // for the services
	from, destination := newPlaces(t, dir, directory, to)
	source, made := from.dir, from.fill(t, shape)
	enough := 200 // pushes
	if to != directory && rounds == 2 {
		enough = 25
	}
	run, least := launch, rounds-2 // a look at a bucket takes seconds, so a short test may have none in time
	if to == directory {           // where a program with the race detector is in time
		run, least = launchSelf, 2
	}
	// The limit makes the first run last, also on a fast machine.
	args := []string{"migrate", "--from", source, "--to", destination.location, "--checkpoint", filepath.Join(dir, "state"), "--bandwidth", "3MiB"}
	t.Logf("%d blobs, %d tags", len(made.Blobs), len(made.TagNames()))
	p := newPusher(source, made, inPlace, shape.Seed)
	if to != directory {
		p.every *= 5 // or a service that is slow with small objects never catches up
	}
	for range 500 {
		if err := p.step(); err != nil {
			t.Fatal(err)
		}
	}
	var all audit
	stop := make(chan struct{})
	var pushing errgroup.Group
	pushing.Go(func() error { return p.run(stop) })
	halt := sync.OnceValue(func() error { close(stop); return pushing.Wait() })
	defer halt()
	// The first run copies it all, the others what has come or moved.
	for round := range rounds {
		before := p.done()
		m := run(t, args...)
		looks := watch(t, m, destination)
		now := p.done().minus(before)
		// What moved until the end is left for the next run; damage there is none.
		m.end(t, exitDone, exitFailed)
		bad := unbroken(t, &all, destination, "after the run")
		t.Logf("meanwhile %+v and %d looks; exit %d, %d tags, %d broken", now, looks, m.exit, all.tags, bad)
		if round == 0 && (now.Pushes < enough || now.Moves < enough/4 || now.Deletes < enough/4 || looks < least) {
			t.Error("too few to prove anything")
		}
	}
	if err := halt(); err != nil {
		t.Fatal(err)
	}

	launch(t, args...).end(t, exitDone)
	p.same(t, destination)
	p.moveSome(t, 40)
	if got := migrateAgain(t, args); got.TagsWritten != 40 || got.Copied != 0 {
		t.Errorf("40 tags moved: %+v", got)
	}
	unbroken(t, &audit{hash: true}, destination, "at the end")
}

// watch looks at the destination all the time until the program ends, and
// says how often it saw tags.
func watch(t *testing.T, p *process, destination place) (looks int) {
	t.Helper()
	var a audit
	pause := 20 * time.Millisecond
	for p.running(pause) {
		start := time.Now()
		unbroken(t, &a, destination, "while it runs")
		took := time.Since(start)
		if destination.bucket == nil {
			took *= 2 // leave the processor to the program
		}
		pause = max(pause, took)
		if a.tags > 0 {
			looks++
		}
	}
	return looks
}

func unbroken(t *testing.T, a *audit, p place, when string) int {
	t.Helper()
	broken, err := a.look(p.view(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(broken)) {
		t.Errorf("%s: %s cannot be pulled: %v", when, name, broken[name])
	}
	return len(broken)
}

// same compares the trees: only what was deleted at the source may be more.
func (p *pusher) same(t *testing.T, destination place) {
	t.Helper()
	source := onDisk(strings.TrimSuffix(p.root, "/docker/registry/v2"))
	for _, name := range differences(t, source, destination) {
		if !p.wasDeleted(strings.TrimPrefix(name, "/registry/v2")) {
			t.Errorf("source and destination differ in %s", name)
		}
	}
}

// differences compares two registries and returns the names, as in a tree, of
// what is not the same.
func differences(t *testing.T, a, b place) []string {
	t.Helper()
	different := map[string]bool{}
	here, there := a.tree(t), b.tree(t)
	for name, f := range here {
		if g, ok := there[name]; !ok || f.sum != g.sum {
			different[name] = true
		}
	}
	for name := range there {
		if _, ok := here[name]; !ok {
			different[name] = true
		}
	}
	return slices.Sorted(maps.Keys(different))
}

func (p *pusher) wasDeleted(name string) bool {
	for ; name != "/"; name = filepath.Dir(name) {
		if p.gone[name] {
			return true
		}
	}
	return false
}

// moveSome moves n tags, one to a repository first.
func (p *pusher) moveSome(t *testing.T, n int) {
	t.Helper()
	for i := 0; n > 0; i++ {
		name := p.names[i%len(p.names)]
		repo := p.repos[name]
		tags := slices.Sorted(maps.Keys(repo.tags))
		if i/len(p.names) >= len(tags) {
			continue
		}
		tag := tags[i/len(p.names)]
		other := slices.IndexFunc(repo.images, func(d string) bool { return d != repo.tags[tag] })
		if other < 0 {
			continue
		}
		if err := p.tag(name, repo, tag, repo.images[other]); err != nil {
			t.Fatal(err)
		}
		n--
	}
}

// migrateAgain is one more run, which must end with 0.
func migrateAgain(t *testing.T, args []string) summary {
	t.Helper()
	path := filepath.Join(t.TempDir(), "report.json")
	launch(t, append(args, "--report", path)...).end(t, exitDone)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var document struct{ Totals summary }
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	return document.Totals
}

// TestLiveRegistry is the same with real registries at the source, pushed to
// over HTTP while one run follows the other.
func TestLiveRegistry(t *testing.T) {
	times(t, "", 1)
	for _, v := range []servers.Version{servers.Version3, servers.Version2} {
		t.Run(string(v), func(t *testing.T) {
			dir := fastDir(t, 1<<30)
			source, destination := filepath.Join(dir, "source"), onDisk(filepath.Join(dir, "destination"))
			made, err := layouttest.WriteDir(source, layouttest.Shape{Repositories: 20, Tags: 5, Layers: 4, Shared: 0.2, Indexes: 1, Nested: true})
			if err != nil {
				t.Fatal(err)
			}
			from := servers.Registry(t, v, source)
			c := client{Client: from.Client, made: made, rng: rand.New(rand.NewPCG(1, 1)), own: map[string][]digest.Digest{}}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var pushing errgroup.Group
			pushing.Go(func() error { return c.run(ctx) })

			args := []string{"migrate", "--from", source, "--to", destination.location, "--checkpoint", filepath.Join(dir, "state")}
			runs := 0
			for end := time.Now().Add(3 * time.Second); time.Now().Before(end); runs++ {
				p := launch(t, args...)
				watch(t, p, destination)
				p.end(t, exitDone, exitFailed)
			}
			cancel()
			if err := pushing.Wait(); err != nil {
				t.Fatal(err)
			}
			launch(t, args...).end(t, exitDone)
			all := audit{hash: true}
			unbroken(t, &all, destination, "at the end")
			t.Logf("%d pushes, %d moved tags and %d deletions during %d runs; %d tags", c.pushes, c.moves, c.deletes, runs, all.tags)
			if c.pushes < 20 || c.moves < 5 || c.deletes < 5 {
				t.Error("too few to prove anything")
			}
			from.Stop()
			to := servers.Registry(t, v, destination.config)
			broken, _, err := servers.Checker{Client: to.Client}.All(t.Context())
			if err != nil || len(broken) > 0 {
				t.Errorf("broken %v, error %v", broken, err)
			}
			for _, name := range differences(t, onDisk(source), destination) {
				if _, err := os.Stat(storage(source, "docker"+name)); err == nil {
					t.Errorf("source and destination differ in %s", name)
				}
			}
		})
	}
}

// client pushes, retags and deletes over HTTP.
type client struct {
	servers.Client
	made                   *layouttest.Registry
	rng                    *rand.Rand
	own                    map[string][]digest.Digest // images pushed here and not deleted, by repository
	pushes, moves, deletes int
}

func (c *client) run(ctx context.Context) error {
	for {
		err := c.step(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (c *client) step(ctx context.Context) error {
	r := c.made.Repositories[c.rng.IntN(len(c.made.Repositories))]
	own := c.own[r.Name]
	old := slices.Sorted(maps.Keys(r.Tags))
	tag := old[c.rng.IntN(len(old))]
	switch n := c.rng.IntN(6); {
	case n == 0 && len(own) > 1:
		c.own[r.Name] = own[1:]
		c.deletes++
		return c.DeleteManifest(ctx, r.Name, own[0])
	case n < 3 && len(own) > 0:
		c.moves++
		body, d, err := c.Manifest(ctx, r.Name, own[len(own)-1].String())
		if err != nil {
			return err
		}
		_, err = c.PutManifest(ctx, r.Name, tag, d.MediaType, body)
		return err
	}
	if c.rng.IntN(2) == 0 {
		tag = fmt.Sprintf("new-%d", c.pushes)
	}
	d, err := pushTo(ctx, c.Client, r.Name, tag, fmt.Sprintf("push %d", c.pushes))
	if err != nil {
		return err
	}
	c.own[r.Name] = append(c.own[r.Name], d)
	c.pushes++
	return nil
}
