//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/verify/layout/layouttest"
)

// TestCompareVerify compares two equal trees, by reading, with regferry and
// with rclone in turn, and prints ratios of medians. regferry hashes the
// destination's blobs and follows each link and manifest; rclone reads both
// sides and compares their bytes. In memory, where reading costs nothing, the
// hashing of large blobs is all there is, and nothing is asked of the ratio.
func TestCompareVerify(t *testing.T) {
	if os.Getenv("REGFERRY_BENCH") != "full" {
		t.Skip("REGFERRY_BENCH=full compares with other programs")
	}
	program, rclone := built(t), servers.Tool(t, "rclone")
	const large = "2.7 GB in 570 blobs"
	for _, c := range []struct {
		name, shape string
		disk        bool // read from it, not from the page cache
		least       float64
	}{
		{smallOnes + ", in memory", smallOnes, false, 2},
		{large + ", in memory", large, false, 0},
		{large + ", from disk", large, true, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, before := t.TempDir(), func() {}
			if c.disk {
				before = func() { forget(t) }
			} else {
				dir = inMemory(t)
			}
			from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
			if _, err := layouttest.WriteDir(from, compared[c.shape]); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			var ours, theirs []time.Duration
			for range rounds {
				before()
				took, _ := timed(t, program, "verify", "--from", from, "--to", to, "--level", "content")
				ours = append(ours, took)
				before()
				took, _ = timed(t, rclone, "check", "--config", "/dev/null", "--download", "--checkers", "16", from, to)
				theirs = append(theirs, took)
			}
			t.Logf("medians of %d rounds: regferry verify --level content %v, rclone check --download %v, %.1f times as long",
				rounds, median(ours).Round(time.Millisecond), median(theirs).Round(time.Millisecond), ratio(theirs, ours))
			if ratio(theirs, ours) < c.least {
				t.Error("rclone is too fast")
			}
		})
	}
}

// forget empties the page cache, which only root may.
func forget(t *testing.T) {
	t.Helper()
	if out, err := exec.Command("sync").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0); err != nil {
		t.Skip(err)
	}
}
