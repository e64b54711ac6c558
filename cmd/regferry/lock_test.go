//go:build linux

package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/regferry/regferry/verify/layout/layouttest"
)

// Two runs of one migration at a time would undo each other's checkpoint: the
// second is refused, says who has it, and disturbs nothing.
func TestLockedCheckpoint(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the program")
	}
	dir := fastDir(t, 200<<20)
	from, to, state := filepath.Join(dir, "from"), filepath.Join(dir, "to"), filepath.Join(dir, "state")
	if _, err := layouttest.WriteDir(from, layouttest.Shape{Seed: 3, Repositories: 2, Tags: 5, Layers: 3, MinLayer: 1_000_000, MaxLayer: 2_000_000}); err != nil {
		t.Fatal(err)
	}
	first := slow(t, from, to, state)
	second := launch(t, "migrate", "--from", from, "--to", to, "--checkpoint", state)
	second.end(t, exitCheckpoint)
	if text := second.out.String(); !strings.Contains(text, "in use") || !strings.Contains(text, fmt.Sprint(first.cmd.Process.Pid)) || !strings.Contains(text, "--checkpoint") {
		t.Errorf("%s", text)
	}
	if !first.running(0) {
		t.Fatalf("the first has ended:\n%s", first.out)
	}
	if err := first.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	first.end(t, 143)
	third := launch(t, "migrate", "--from", from, "--to", to, "--checkpoint", state)
	third.end(t, exitDone)
	sameTrees(t, tree(t, from), tree(t, to), "after the refusal")
}
