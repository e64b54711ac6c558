//go:build linux

package main

import (
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/layout/layouttest"
)

// TestPowerCut takes the power from a machine in the middle of a migration,
// again and again, and looks at what its disk holds.
func TestPowerCut(t *testing.T) {
	cuts := times(t, "REGFERRY_POWERCUTS", 2)
	servers.Tool(t, "registry")
	l := newLab(t, 1<<30)
	l.source, l.flags = filepath.Join(l.dir, "source"), "--bandwidth,15MiB,--workers,4"
	distinct := float64(30 + 4*cuts)
	repositories := 30 + 4*cuts
	made, err := layouttest.WriteDir(l.source, layouttest.Shape{
		Seed: 3, Repositories: repositories, Tags: 4, Layers: 2, MinLayer: 1 << 10, MaxLayer: 16 << 20,
		Shared: 1 - distinct/float64(2*4*repositories),
	})
	if err != nil {
		t.Fatal(err)
	}
	all := len(made.TagNames())
	t.Logf("%d objects, %d MB, %d tags", made.Objects, made.Bytes>>20, all)
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	shown, some, none := 0, 0, 0
	for n := range cuts {
		m := l.boot(t)
		if n < cuts/2 { // among the blobs
			wait := time.Now().Add(time.Duration(500+rng.IntN(2000)) * time.Millisecond)
			m.until(t, func() bool { return time.Now().After(wait) || m.tags() > 0 })
		} else {
			// Some come with each sync, and the last may not be on the disk yet.
			step := (all - shown) / (cuts - n + 1)
			target := shown + step/5 + rng.IntN(step+1)
			m.until(t, func() bool { return m.tags() > target || m.says("EXIT") })
			time.Sleep(time.Duration(rng.IntN(150)) * time.Millisecond)
		}
		inSight := m.tags()
		m.cut(t)
		if m.says("EXIT") {
			t.Fatalf("cut %d of %d: the migration had ended:\n%s", n+1, cuts, m.console)
		}
		blobs := 0
		l.mounted(t, func(dir string) { shown, blobs = sound(t, dir) })
		t.Logf("cut %d: %d blobs and %d of %d tags on the disk, %d were in sight", n+1, blobs, shown, all, inSight)
		switch {
		case shown == 0:
			none++
		case shown < all:
			some++
		}
	}
	if some == 0 || none == 0 && cuts > 1 {
		t.Errorf("%d cuts with some tags on the disk and %d with none: the test proves little", some, none)
	}
	l.flags = "--workers,4"
	m := l.boot(t)
	m.until(t, func() bool { return m.says("EXIT") })
	m.cut(t) // what exit 0 promises is on the disk
	if !m.says("EXIT 0") {
		t.Fatalf("the last run:\n%s", m.console)
	}
	l.mounted(t, func(dir string) {
		if shown, _ := sound(t, dir); shown != all {
			t.Errorf("%d tags, want %d", shown, all)
		}
		sameTrees(t, tree(t, l.source), tree(t, filepath.Join(dir, "registry")), "after the last run")
	})
}

// sound checks that a disk has no blob with other content than its name says,
// no tag that cannot be pulled, and a checkpoint that can be read, if it has
// one.
func sound(t *testing.T, disk string) (tags, blobs int) {
	t.Helper()
	root := storage(disk, "registry/"+layout.Root+"blobs/sha256")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case os.IsNotExist(err) && path == root:
			return nil
		case err != nil || d.IsDir():
			return err
		}
		blobs++
		if sum, err := sumOf(path); err != nil || sum != filepath.Base(filepath.Dir(path)) {
			t.Errorf("%s has the content of %s, error %v", path, sum, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(disk, "state")
	if _, err := os.Stat(state); err == nil {
		cmd := exec.Command(os.Args[0], "checkpoint", "show", state)
		cmd.Env = append(os.Environ(), asProgram+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("checkpoint show: %v\n%s", err, out)
		}
	}
	return served(t, onDisk(filepath.Join(disk, "registry"))), blobs
}
