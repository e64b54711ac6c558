//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/regferry/regferry/verify/layout/layouttest"
)

// slow begins a migration that the test has time to interrupt, and waits until
// it has copied something.
func slow(t *testing.T, from, to, state string) *process {
	t.Helper()
	p := launch(t, "migrate", "--from", from, "--to", to, "--checkpoint", state, "--bandwidth", "8MiB", "--workers", "4")
	for unfinished(to) == 0 && len(blobsOf(to)) == 0 {
		if !p.running(10 * time.Millisecond) {
			t.Fatalf("it ended before it was interrupted:\n%s", p.out)
		}
	}
	return p
}

func blobsOf(dir string) []string {
	found, _ := filepath.Glob(filepath.Join(dir, "docker/registry/v2/blobs/sha256/*/*/data"))
	return found
}

// The first signal drains and says what to do, the code says which it was, and
// the same command goes on.
func TestSignal(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the program")
	}
	dir := fastDir(t, 200<<20)
	from := filepath.Join(dir, "from")
	if _, err := layouttest.WriteDir(from, layouttest.Shape{Seed: 3, Repositories: 4, Tags: 10, Layers: 3, MinLayer: 100_000, MaxLayer: 1_000_000}); err != nil {
		t.Fatal(err)
	}
	want := tree(t, from)
	for signal, code := range map[syscall.Signal]int{syscall.SIGTERM: 143, syscall.SIGINT: 130} {
		t.Run(signal.String(), func(t *testing.T) {
			to, state := filepath.Join(dir, "to-"+signal.String()), filepath.Join(dir, "state-"+signal.String())
			p := slow(t, from, to, state)
			if err := p.cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			p.end(t, code)
			text := p.out.String()
			for _, says := range []string{"once more to stop at once", "NOT DONE", "the same command goes on from here"} {
				if !strings.Contains(text, says) {
					t.Errorf("it does not say %q:\n%s", says, text)
				}
			}
			if strings.Contains(text, "could not be transferred") {
				t.Errorf("an interruption is called a failure:\n%s", text)
			}
			a := &audit{}
			if bad, err := a.broken(to); err != nil || len(bad) > 0 {
				t.Errorf("broken: %v, %v", bad, err)
			}
			done := len(blobsOf(to))
			p = launch(t, "migrate", "--from", from, "--to", to, "--checkpoint", state)
			p.end(t, exitDone)
			sameTrees(t, want, tree(t, to), "after the signal")
			if done == 0 || done == len(blobsOf(to)) {
				t.Errorf("%d blobs of %d were there", done, len(blobsOf(to)))
			}
			if _, err := os.Stat(filepath.Join(to, ".regferry")); !os.IsNotExist(err) {
				t.Errorf("scratch is left: %v", err)
			}
		})
	}
}

// A large blob takes long to finish: the second signal cuts it off, and it is
// gone on with where it was.
func TestSecondSignal(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the program")
	}
	dir := fastDir(t, 200<<20)
	from, to, state := filepath.Join(dir, "from"), filepath.Join(dir, "to"), filepath.Join(dir, "state")
	if _, err := layouttest.WriteDir(from, layouttest.Shape{Seed: 3, Repositories: 1, Tags: 1, Layers: 1, MinLayer: 60 << 20, MaxLayer: 60<<20 + 1}); err != nil {
		t.Fatal(err)
	}
	p := slow(t, from, to, state)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if !p.running(700 * time.Millisecond) {
		t.Fatalf("the first signal cut it off:\n%s", p.out)
	}
	start := time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.end(t, 143)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	p = launch(t, "migrate", "--from", from, "--to", to, "--checkpoint", state)
	p.end(t, exitDone)
	sameTrees(t, tree(t, from), tree(t, to), "after two signals")
}
