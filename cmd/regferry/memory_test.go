//go:build linux

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/layout/layouttest"
)

// inMemory is a directory on a tmpfs where there is one, so that disks do not
// blur what is measured.
func inMemory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "regferry")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// timed runs a program and returns how long it took and its peak memory in
// bytes. That is what its status says every few milliseconds: the kernel hands
// the peak of a child's rusage down from the parent, which is this test.
func timed(t *testing.T, program string, args ...string) (took time.Duration, peak int64) {
	t.Helper()
	var out lines
	c := exec.Command(program, args...)
	c.Stdout, c.Stderr = &out, &out
	start := time.Now()
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("%s %q: %v\n%s", program, args, err, &out)
			}
			return time.Since(start), peak
		case <-tick.C:
			peak = max(peak, highWater(c.Process.Pid))
		}
	}
}

// highWater is the most memory a process has had so far, 0 if it has ended.
func highWater(pid int) (bytes int64) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &bytes); err == nil {
			return bytes << 10
		}
	}
	return 0
}

const mebi = 1 << 20

// objectsEach is what one repository holds, about: as many repositories are at
// work at the same time in the small registry as in the big one.
const objectsEach = 1000

// TestMemory holds the promise that memory does not grow with a registry but
// for 8 bytes a blob, and as much again for room to grow.
func TestMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program and makes registries")
	}
	few, many, large := 16_000, 64_000, int64(256*mebi)
	if os.Getenv("REGFERRY_MEMORY") == "full" {
		few, many, large = 20_000, 400_000, 4<<30
	}
	program := built(t)
	small, _ := peakOf(t, program, "", few)
	big, blobs := peakOf(t, program, "", many)
	t.Logf("%d objects: %d MiB, %d objects: %d MiB", few, small/mebi, many, big/mebi)
	if limit := small*13/10 + 16*blobs; big > limit {
		t.Errorf("%d objects took %d MiB, more than the %d MiB that 1.3 times the %d MiB of %d objects and 16 bytes a blob are", many, big/mebi, limit/mebi, small/mebi, few)
	}
	one := peakOfBlob(t, program, "", large)
	t.Logf("one blob of %d MiB: %d MiB", large/mebi, one/mebi)
	for _, peak := range []int64{small, big, one} {
		if peak > 200*mebi {
			t.Errorf("%d MiB are more than 200 MiB", peak/mebi)
		}
	}
}

// TestMemoryS3 holds the same with a bucket for the destination, where parts
// of large objects are kept until they are sent.
func TestMemoryS3(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program and starts a server")
	}
	many, large := 8_000, int64(256*mebi)
	if os.Getenv("REGFERRY_MEMORY") == "full" {
		many, large = 400_000, 4<<30
	}
	program := built(t)
	t.Setenv("TMPDIR", inMemory(t))
	gw := servers.VersityGW(t)
	gw.Credentials(t)
	gw.Bucket(t, "objects")
	gw.Bucket(t, "blob")
	all, _ := peakOf(t, program, locationOf(gw.Endpoint, "objects", ""), many)
	one := peakOfBlob(t, program, locationOf(gw.Endpoint, "blob", ""), large)
	t.Logf("%d objects: %d MiB, one blob of %d MiB: %d MiB", many, all/mebi, large/mebi, one/mebi)
	if all > 256*mebi || one > 256*mebi {
		t.Error("more than 256 MiB")
	}
}

// peakOf migrates a registry of about n objects, to a directory unless a
// location is given.
func peakOf(t *testing.T, program, to string, n int) (peak, blobs int64) {
	dir := inMemory(t)
	if to == "" {
		to = dir + "/to"
	}
	// An image is a manifest, a config, two layers and seven links.
	r, err := layouttest.WriteDir(dir+"/from", layouttest.Shape{Seed: 1, Repositories: n / objectsEach, Tags: objectsEach / 11, Layers: 2})
	if err != nil {
		t.Fatal(err)
	}
	_, peak = timed(t, program, "migrate", "--from", dir+"/from", "--to", to, "--checkpoint", dir+"/checkpoint")
	blobs = int64(len(r.Blobs))
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	return peak, blobs
}

// peakOfBlob migrates one sparse blob, with a checkpoint that is kept up.
func peakOfBlob(t *testing.T, program, to string, size int64) int64 {
	dir := t.TempDir()
	onDisk := to == ""
	if onDisk {
		to = dir + "/to"
	}
	hash := sha256.New()
	if _, err := io.CopyN(hash, zeros{}, size); err != nil {
		t.Fatal(err)
	}
	d := digest.NewDigestFromEncoded(digest.SHA256, hex.EncodeToString(hash.Sum(nil)))
	path := filepath.Join(dir, "from", layout.BlobKey(d))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	_, peak := timed(t, program, "migrate", "--from", dir+"/from", "--to", to, "--checkpoint", dir+"/checkpoint")
	if info, err := os.Stat(filepath.Join(to, layout.BlobKey(d))); onDisk && (err != nil || info.Size() != size) {
		t.Errorf("the blob did not arrive: %v", err)
	}
	return peak
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
