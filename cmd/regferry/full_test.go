//go:build linux

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/regferry/regferry/verify/layout/layouttest"
)

// tmpfs mounts one of that many MB; the returned function changes its size.
func tmpfs(t *testing.T, size string) (dir string, resize func(size string)) {
	t.Helper()
	dir = t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		if os.Getenv("REGFERRY_CI") != "" {
			t.Fatalf("mount: %v", err)
		}
		t.Skipf("mount: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir, func(size string) {
		if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, "size="+size); err != nil {
			t.Fatal(err)
		}
	}
}

// A destination that gets full ends the run at once with its own code; nothing
// wrong is to be seen there, and with more room the same command goes on.
func TestFull(t *testing.T) {
	if testing.Short() {
		t.Skip("mounts a file system")
	}
	for name, shape := range map[string]layouttest.Shape{
		"large blobs": {Seed: 4, Repositories: 3, Tags: 10, Layers: 3, MinLayer: 200_000, MaxLayer: 2_000_000},
		"one blob":    {Seed: 4, Repositories: 1, Tags: 1, Layers: 1, MinLayer: 30 << 20, MaxLayer: 30<<20 + 1},
		"small ones":  {Seed: 4, Repositories: 3, Tags: 600, Layers: 2, MinLayer: 100, MaxLayer: 200},
	} {
		t.Run(name, func(t *testing.T) {
			at, resize := tmpfs(t, "20m")
			dir := fastDir(t, 100<<20)
			from, to, report := filepath.Join(dir, "from"), filepath.Join(at, "to"), filepath.Join(dir, "report.json")
			if _, err := layouttest.WriteDir(from, shape); err != nil {
				t.Fatal(err)
			}
			args := []string{"migrate", "--from", from, "--to", to, "--checkpoint", filepath.Join(dir, "state"), "--report", report}
			for range 2 { // full it stays
				p := launch(t, args...)
				p.end(t, exitSide)
				if text := p.out.String(); !strings.Contains(text, "full") || !strings.Contains(text, "NOT DONE") {
					t.Errorf("%s", text)
				}
				var d struct {
					Complete bool   `json:"complete"`
					Class    string `json:"error_class"`
					Error    string `json:"error"`
				}
				b, err := os.ReadFile(report)
				if err == nil {
					err = json.Unmarshal(b, &d)
				}
				if err != nil || d.Complete || d.Class != "full" || d.Error == "" {
					t.Errorf("%+v, %v", d, err)
				}
				if bad, err := new(audit).broken(to); err != nil || len(bad) > 0 {
					t.Errorf("broken: %v, %v", bad, err)
				}
				want := tree(t, from)
				for key, f := range existing(t, to) {
					if want[key].sum != f.sum {
						t.Errorf("%s is not what it is at the source", key)
					}
				}
			}
			p := launch(t, append(args, "--dry-run")...)
			p.end(t, exitDone)
			if text := p.out.String(); !strings.Contains(text, "too little") {
				t.Errorf("a dry run does not say that the room is too little:\n%s", text)
			}
			resize("200m")
			p = launch(t, args...)
			p.end(t, exitDone)
			sameTrees(t, tree(t, from), tree(t, to), "with more room")
			if _, err := os.Stat(filepath.Join(to, ".regferry")); !os.IsNotExist(err) {
				t.Errorf("scratch is left: %v", err)
			}
		})
	}
}

// existing is tree of what may have nothing yet.
func existing(t *testing.T, dir string) map[string]file {
	t.Helper()
	if _, err := os.Stat(filepath.Join(dir, "docker")); err != nil {
		return nil
	}
	return tree(t, dir)
}
