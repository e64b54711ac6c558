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

// A signal ends an audit at once: the summary and the report say that they are
// partial, the code says which signal it was, and the same command goes on
// without reading again what was proved.
func TestVerifySignal(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the program")
	}
	dir := fastDir(t, 60<<20)
	from, state, file := filepath.Join(dir, "from"), filepath.Join(dir, "state"), filepath.Join(dir, "r.json")
	if _, err := layouttest.WriteDir(from, layouttest.Shape{Seed: 3, Repositories: 2, Tags: 10, Layers: 3, MinLayer: 100_000, MaxLayer: 900_000}); err != nil {
		t.Fatal(err)
	}
	p := launch(t, "verify", "--on", from, "--level", "content", "--checkpoint", state, "--bandwidth", "8MiB", "--workers", "2", "--report", file)
	if !p.running(1500 * time.Millisecond) {
		t.Fatalf("it ended before it was interrupted:\n%s", p.out)
	}
	start := time.Now()
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	p.end(t, 130)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	if text := p.out.String(); !strings.Contains(text, "PARTIAL") || !strings.Contains(text, "read and hashed now") {
		t.Errorf("it says:\n%s", text)
	}
	report, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(report), `"complete": false`) || !strings.Contains(string(report), `"exit_code": 130`) {
		t.Errorf("%v: %.600s", err, report)
	}
	p = launch(t, "verify", "--on", from, "--level", "content", "--checkpoint", state)
	p.end(t, exitDone)
	if text := p.out.String(); !strings.Contains(text, "by the part of this audit that was interrupted") || !strings.Contains(text, "\nsound\n") {
		t.Errorf("it says:\n%s", text)
	}
	if _, err := os.Stat(state); !os.IsNotExist(err) {
		t.Errorf("the checkpoint is left: %v", err)
	}
}
