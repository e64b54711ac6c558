//go:build linux

package main

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/layout/layouttest"
)

// TestKill kills one migration again and again, at random moments. After each
// kill a real registry must serve every tag it shows.
func TestKill(t *testing.T) {
	kills := times(t, "REGFERRY_KILLS", 6)
	servers.Tool(t, "registry")
	dir := fastDir(t, 3<<30)
	source := filepath.Join(dir, "source")
	repositories, images := 40+2*kills, 8
	distinct := float64(20 + 2*kills)
	made, err := layouttest.WriteDir(source, layouttest.Shape{
		Seed: 21, Repositories: repositories, Tags: images - 2, Indexes: 1, Artifacts: 1, Layers: 3, Nested: true,
		MinLayer: 1 << 10, MaxLayer: 80 << 20, Shared: 1 - distinct/float64(3*images*repositories),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := tree(t, source)

	clean := filepath.Join(dir, "clean")
	start := time.Now()
	p := launch(t, "migrate", "--from", source, "--to", clean, "--checkpoint", filepath.Join(dir, "clean.state"))
	p.end(t, exitDone)
	once := p.io.written
	t.Logf("%d objects, %d MB, %d tags; undisturbed in %v, %d MB written", made.Objects, made.Bytes>>20, len(made.TagNames()), time.Since(start), once>>20)
	sameTrees(t, want, tree(t, clean), "undisturbed")
	if err := os.RemoveAll(clean); err != nil {
		t.Fatal(err)
	}

	k := killing{
		rng: rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0)), made: made,
		source: source, destination: filepath.Join(dir, "destination"), state: filepath.Join(dir, "state"),
	}
	for n := range kills {
		k.again(t, n, kills)
	}
	p = k.launch(t, "1GiB")
	p.end(t, exitDone)
	k.written += p.io.written
	sameTrees(t, want, tree(t, k.destination), "after the kills")
	sameTrees(t, want, tree(t, source), "the source")
	ratio := float64(k.written) / float64(once)
	t.Logf("%d kills, %d with some tags in sight and %d with none; %.3f of the bytes of an undisturbed run", kills, k.some, k.none, ratio)
	if ratio > 1.10 {
		t.Errorf("wrote %d bytes in all, %.3f of the %d of an undisturbed run", k.written, ratio, once)
	}
	if k.some == 0 || k.none == 0 {
		t.Errorf("%d kills with some tags in sight and %d with none: the test proves little", k.some, k.none)
	}
	if _, err := os.Stat(filepath.Join(k.destination, ".regferry")); err == nil {
		t.Error("the leftovers of the killed runs are still there")
	}
}

// killing is one migration that does not get far.
type killing struct {
	rng                        *rand.Rand
	made                       *layouttest.Registry
	source, destination, state string
	written                    int64
	seen                       map[string]bool // tags in sight
	some, none                 int             // kills by whether tags were in sight
}

func (k *killing) launch(t *testing.T, bandwidth string) *process {
	return launch(t, "migrate", "--from", k.source, "--to", k.destination, "--checkpoint", k.state,
		"--workers", "4", "--bandwidth", bandwidth)
}

// again goes on and is killed: in the first half of the kills, among the
// blobs, after a random time; later after a random number of tags.
func (k *killing) again(t *testing.T, n, kills int) {
	t.Helper()
	p := k.launch(t, "60MiB")
	all := k.made.TagNames()
	if n < kills/2 && k.tags() == 0 {
		wait := time.Duration(200+k.rng.IntN(1300)) * time.Millisecond
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
	shown := served(t, k.destination)
	t.Logf("kill %d: %d of %d tags in sight", n+1, shown, len(all))
	switch {
	case shown == 0:
		k.none++
	case shown < len(all):
		k.some++
	}
}

// tags counts the tags in sight. None ever goes away.
func (k *killing) tags() int {
	if k.seen == nil {
		k.seen = map[string]bool{}
	}
	if _, err := os.Stat(storage(k.destination, layout.Root+"repositories")); err != nil {
		return 0
	}
	for _, r := range k.made.Repositories {
		for tag := range r.Tags {
			name := layout.TagKey(r.Name, tag)
			if k.seen[name] {
				continue
			}
			if _, err := os.Stat(storage(k.destination, name)); err == nil {
				k.seen[name] = true
			}
		}
	}
	return len(k.seen)
}

// served pulls every tag that a real registry shows, and returns how many.
func served(t *testing.T, dir string) int {
	t.Helper()
	if _, err := os.Stat(storage(dir, layout.Root+"repositories")); err != nil {
		return 0 // the registry calls that an error
	}
	s := servers.Registry(t, servers.Version3, dir)
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

// TestKillLargeLayer is killed near the end of a large layer, and goes on there.
func TestKillLargeLayer(t *testing.T) {
	times(t, "", 1)
	const size = 300 << 20
	dir := fastDir(t, 3*size)
	source, destination, state := filepath.Join(dir, "source"), filepath.Join(dir, "destination"), filepath.Join(dir, "state")
	made, err := layouttest.WriteDir(source, layouttest.Shape{Repositories: 1, Tags: 1, Layers: 1, MinLayer: size, MaxLayer: size})
	if err != nil {
		t.Fatal(err)
	}
	var layer digest.Digest
	for d, n := range made.Blobs {
		if n == size {
			layer = d
		}
	}
	args := []string{"migrate", "--from", source, "--to", destination, "--checkpoint", state, "--bandwidth", "120MiB"}
	p := launch(t, args...)
	for unfinished(destination) < size/10*9 && p.running(time.Millisecond) {
	}
	if !p.kill() {
		t.Fatalf("it had ended with %d:\n%s", p.exit, p.out)
	}
	left, claimed := unfinished(destination), claim(t, state, layout.BlobKey(layer))
	if left < size/10*9 || left >= size {
		t.Fatalf("killed with %d bytes of %d", left, size)
	}

	p = launch(t, args...)
	p.end(t, exitDone)
	// What lies beyond the claim is read on both sides and compared.
	read := p.io.read - (left - claimed)
	t.Logf("killed at %.1f %%, went on at %.1f %%; read %d MB and wrote %d MB after that", 100*float64(left)/size, 100*float64(claimed)/size, read>>20, p.io.written>>20)
	if claimed < size/10*8 || read > size/5 || p.io.written > size/5 {
		t.Errorf("killed at %d of %d bytes; the checkpoint says %d, and then %d were read and %d written", left, size, claimed, read, p.io.written)
	}
	sameTrees(t, tree(t, source), tree(t, destination), "after the kill")
}

// unfinished is the size of the one unfinished upload at a destination.
func unfinished(dir string) int64 {
	names, _ := filepath.Glob(filepath.Join(dir, ".regferry", "partial", "*"))
	if len(names) != 1 {
		return 0
	}
	info, err := os.Stat(names[0])
	if err != nil {
		return 0
	}
	return info.Size()
}

// claim is how far the checkpoint says an upload is durable.
func claim(t *testing.T, state, key string) int64 {
	t.Helper()
	cmd := exec.Command(os.Args[0], "checkpoint", "show", "--json", state)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var shown struct {
		Uploads []struct {
			Key    string
			Offset int64
		}
	}
	if err := json.Unmarshal(out, &shown); err != nil {
		t.Fatal(err)
	}
	for _, u := range shown.Uploads {
		if u.Key == key {
			return u.Offset
		}
	}
	return 0
}

// TestKillThenPush pushes to a repository that the killed run had passed and
// takes a blob away that it had copied.
func TestKillThenPush(t *testing.T) {
	times(t, "", 1)
	servers.Tool(t, "registry")
	dir := fastDir(t, 1<<30)
	source, destination, state := filepath.Join(dir, "source"), filepath.Join(dir, "destination"), filepath.Join(dir, "state")
	made, err := layouttest.WriteDir(source, layouttest.Shape{Seed: 5, Repositories: 60, Tags: 4, Layers: 3, Shared: 0.2, Indexes: 1, Nested: true})
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"migrate", "--from", source, "--to", destination, "--checkpoint", state, "--workers", "3"}
	k := killing{made: made, destination: destination}
	p := launch(t, args...)
	for k.tags() < len(made.TagNames())/2 && p.running(time.Millisecond) {
	}
	if !p.kill() || k.tags() == len(made.TagNames()) {
		t.Fatalf("it was not killed half-way: %d tags of %d, exit %d:\n%s", k.tags(), len(made.TagNames()), p.exit, p.out)
	}
	passed := slices.IndexFunc(made.Repositories, func(r layouttest.Repository) bool { return k.whole(r) })
	if passed < 0 {
		t.Fatal("no repository was passed")
	}
	r := made.Repositories[passed]
	t.Logf("killed with %d of %d tags; %s was passed", len(k.seen), len(made.TagNames()), r.Name)

	from := servers.Registry(t, servers.Version3, source)
	pushed := push(t, from.Client, r.Name, "pushed", "after it was passed")
	from.Stop()
	lost := storage(destination, strings.TrimSuffix(layout.BlobKey(made.Needs[r.Tags["latest"]][0]), "/data"))
	if err := os.RemoveAll(lost); err != nil {
		t.Fatal(err)
	}

	p = launch(t, args...)
	p.end(t, exitDone)
	sameTrees(t, tree(t, source), tree(t, destination), "after the push")
	to := servers.Registry(t, servers.Version3, destination)
	if _, d, err := to.Manifest(t.Context(), r.Name, "pushed"); err != nil || d.Digest != pushed {
		t.Errorf("the pushed tag is %s, want %s, error %v", d.Digest, pushed, err)
	}
	to.Stop()
	if n := served(t, destination); n != len(made.TagNames())+1 {
		t.Errorf("%d tags, want %d", n, len(made.TagNames())+1)
	}
}

// whole says whether all tags of a repository are in sight.
func (k *killing) whole(r layouttest.Repository) bool {
	for tag := range r.Tags {
		if !k.seen[layout.TagKey(r.Name, tag)] {
			return false
		}
	}
	return true
}

// push pushes an image with one layer of its own.
func push(t *testing.T, c servers.Client, repository, tag, content string) digest.Digest {
	t.Helper()
	d, err := pushTo(t.Context(), c, repository, tag, content)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func pushTo(ctx context.Context, c servers.Client, repository, tag, content string) (digest.Digest, error) {
	layer, err := c.PutBlob(ctx, repository, []byte(content))
	if err != nil {
		return "", err
	}
	d, err := c.PutImage(ctx, repository, tag, "", nil, layer)
	return d.Digest, err
}
