//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/layout/layouttest"
)

// TestKill kills one migration again and again, at random moments. After each
// kill every tag in sight must be served.
func TestKill(t *testing.T) {
	for _, c := range []struct {
		from, to     kind
		short, share int // kills in short, and of all in full
	}{
		{directory, directory, 6, 1},
		{directory, versitygw, 4, 1},
		{versitygw, directory, 9, 3},
	} {
		t.Run(fmt.Sprintf("%s to %s", c.from, c.to), func(t *testing.T) {
			killMany(t, c.from, c.to, max(3, times(t, "REGFERRY_KILLS", c.short)/c.share))
		})
	}
}

func killMany(t *testing.T, from, to kind, kills int) {
	servers.Tool(t, "registry")
	dir := fastDir(t, 3<<30)
	t.Setenv("TMPDIR", dir) // for the services
	repositories, images := 40+2*kills, 8
	if from != directory || to != directory {
		repositories = 14 + 2*kills // a service takes longer with small objects
	}
	distinct := float64(20 + 2*kills)
	k := killing{rng: rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0)), state: filepath.Join(dir, "state")}
	k.source, k.destination = newPlaces(t, dir, from, to)
	k.made = k.source.fill(t, layouttest.Shape{
		Seed: 21, Repositories: repositories, Tags: images - 2, Indexes: 1, Artifacts: 1, Layers: 3, Nested: true,
		MinLayer: 1 << 10, MaxLayer: 80 << 20, Shared: 1 - distinct/float64(3*images*repositories),
	})
	want := k.source.tree(t)
	once := k.undisturbed(t, newPlaceLike(k.destination, filepath.Join(dir, "clean")), want)

	for n := range kills {
		k.again(t, n, kills)
	}
	p := k.launch(t, "1GiB")
	p.end(t, exitDone)
	k.written += p.io.written
	sameTrees(t, want, k.destination.tree(t), "after the kills")
	sameTrees(t, want, k.source.tree(t), "the source")
	ratio := float64(k.written) / float64(once)
	t.Logf("%d kills, %d with some tags in sight and %d with none; %.3f of the bytes of an undisturbed run", kills, k.some, k.none, ratio)
	if ratio > 1.10 {
		t.Errorf("wrote %d bytes in all, %.3f of the %d of an undisturbed run", k.written, ratio, once)
	}
	if k.some == 0 || k.none == 0 {
		t.Errorf("%d kills with some tags in sight and %d with none: the test proves little", k.some, k.none)
	}
	if left := k.destination.leftovers(t); len(left) > 0 {
		t.Errorf("the leftovers of the killed runs are still there: %v", left)
	}
}

// killing is one migration that does not get far.
type killing struct {
	rng                 *rand.Rand
	made                *layouttest.Registry
	source, destination place
	state               string
	written             int64
	seen                map[string]bool // tags in sight
	some, none          int             // kills by whether tags were in sight
}

// undisturbed is how many bytes one run writes that nobody kills, to a disk or
// to a service.
func (k *killing) undisturbed(t *testing.T, clean place, want map[string]file) (written int64) {
	t.Helper()
	start := time.Now()
	p := launch(t, "migrate", "--from", k.source.location, "--to", clean.location, "--checkpoint", k.state+".clean")
	p.end(t, exitDone)
	t.Logf("%d objects, %d MB, %d tags; undisturbed in %v, %d MB written", k.made.Objects, k.made.Bytes>>20, len(k.made.TagNames()), time.Since(start), p.io.written>>20)
	sameTrees(t, want, clean.tree(t), "undisturbed")
	if p.io.written < k.made.Bytes {
		t.Errorf("%d bytes written, of %d: they are not all counted", p.io.written, k.made.Bytes)
	}
	if err := os.RemoveAll(clean.dir); err != nil {
		t.Fatal(err)
	}
	return p.io.written
}

func (k *killing) launch(t *testing.T, bandwidth string) *process {
	return launch(t, "migrate", "--from", k.source.location, "--to", k.destination.location, "--checkpoint", k.state,
		"--workers", "4", "--bandwidth", bandwidth)
}

// again goes on and is killed: in the first half of the kills, among the
// blobs, after a random time; later after a random number of tags.
func (k *killing) again(t *testing.T, n, kills int) {
	t.Helper()
	// A service on a busy machine must not be what limits the rate: then all parts
	// are on their way at once, and a kill in each second costs them all.
	rate, most := "60MiB", 1300
	if k.destination.bucket != nil {
		rate, most = "30MiB", 2600
	}
	p := k.launch(t, rate)
	all := k.made.TagNames()
	if n < kills/2 && k.tags() == 0 {
		wait := time.Duration(200+k.rng.IntN(most)) * time.Millisecond
		for end := time.Now().Add(wait); time.Now().Before(end) && k.tags() == 0 && p.running(5*time.Millisecond); {
		}
	} else {
		before := k.tags()
		target := before + k.rng.IntN(1+(len(all)-before)*3/2/(kills-n+1))
		for k.tags() <= min(target, len(all)-1) && p.running(time.Millisecond) {
		}
		p.running(time.Duration(k.rng.IntN(3000)) * time.Microsecond)
	}
	killed := p.kill()
	k.written += p.io.written
	if !killed {
		t.Fatalf("kill %d of %d: the migration had ended with %d:\n%s", n+1, kills, p.exit, p.out)
	}
	shown := k.shown(t, n%10 == 9 || n == kills-1)
	t.Logf("kill %d: %d of %d tags in sight", n+1, shown, len(all))
	switch {
	case shown == 0:
		k.none++
	case shown < len(all):
		k.some++
	}
}

// shown counts the tags in sight, each of which has to be whole. A bucket is
// read with a client of its service and at times by a registry, which takes
// long to read all blobs from one; a directory always by a registry.
func (k *killing) shown(t *testing.T, registry bool) int {
	t.Helper()
	if k.destination.bucket == nil {
		return served(t, k.destination)
	}
	var a audit
	broken, err := a.look(k.destination.view(t))
	if err != nil {
		t.Fatal(err)
	}
	for tag, why := range broken {
		t.Errorf("in sight but not to be pulled: %s: %v", tag, why)
	}
	if registry {
		if n := served(t, k.destination); n != a.tags {
			t.Errorf("a registry shows %d tags, there are %d", n, a.tags)
		}
	}
	return a.tags
}

// tags counts the tags in sight, also those of a bucket by the files behind
// its service. None ever goes away.
func (k *killing) tags() int {
	if k.seen == nil {
		k.seen = map[string]bool{}
	}
	if _, err := os.Stat(storage(k.destination.dir, layout.Root+"repositories")); err != nil {
		return 0
	}
	for _, r := range k.made.Repositories {
		for tag := range r.Tags {
			name := layout.TagKey(r.Name, tag)
			if k.seen[name] {
				continue
			}
			if _, err := os.Stat(storage(k.destination.dir, name)); err == nil {
				k.seen[name] = true
			}
		}
	}
	return len(k.seen)
}

// served pulls every tag that a real registry shows, and returns how many.
func served(t *testing.T, p place) int {
	t.Helper()
	if _, err := os.Stat(storage(p.dir, layout.Root+"repositories")); err != nil {
		return 0 // the registry calls that an error
	}
	s := servers.Registry(t, servers.Version3, p.config)
	defer s.Stop()
	broken, stats, err := servers.Checker{Client: s.Client}.All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range broken {
		t.Errorf("in sight but not to be pulled: %s", b)
	}
	return stats.Tags
}
