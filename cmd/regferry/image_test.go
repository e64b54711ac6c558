//go:build linux

package main

import (
	"bytes"
	"debug/elf"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/verify/layout/layouttest"
)

// makeRelease builds what the Dockerfile builds, in the tree, with the version "test".
func makeRelease(t *testing.T, tree string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "regferry")
	c := exec.Command("make", "-s", "release", "OUT="+out, "VERSION=test")
	c.Dir = tree
	if text, err := c.CombinedOutput(); err != nil {
		t.Fatalf("make release: %v\n%s", err, text)
	}
	return out
}

// sources are a copy of what the Dockerfile needs, elsewhere and without git.
func sources(t *testing.T) string {
	t.Helper()
	tree := filepath.Join(t.TempDir(), "elsewhere")
	for _, name := range []string{"backends", "checkpoint", "cmd", "migrate", "verify"} {
		if err := os.CopyFS(filepath.Join(tree, name), sourcesOnly{os.DirFS(filepath.Join("../..", name))}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"Makefile", "go.mod", "go.sum"} {
		b, err := os.ReadFile(filepath.Join("../..", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(tree, name), b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return tree
}

// sourcesOnly leaves out what .dockerignore leaves out: the build needs no test.
type sourcesOnly struct{ fs.FS }

func (s sourcesOnly) ReadDir(name string) (kept []fs.DirEntry, err error) {
	all, err := fs.ReadDir(s.FS, name)
	for _, e := range all {
		if e.Name() != "testdata" && !strings.HasSuffix(e.Name(), "_test.go") {
			kept = append(kept, e)
		}
	}
	return kept, err
}

// The image's binary is the same wherever it is built, needs nothing beside
// itself, and says the version it was given.
func TestImage(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the program twice")
	}
	program := makeRelease(t, "../..")
	a, errA := os.ReadFile(program)
	b, errB := os.ReadFile(makeRelease(t, sources(t)))
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	if !bytes.Equal(a, b) {
		t.Errorf("two builds differ: %d and %d bytes", len(a), len(b))
	}
	f, err := elf.NewFile(bytes.NewReader(a))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("not static: it has a segment %v", p.Type)
		}
	}
	t.Run("empty root", func(t *testing.T) { inEmptyRoot(t, a) })
}

// inEmptyRoot runs the program where there is nothing else: no /proc, /dev, /etc,
// /tmp and no user.
func inEmptyRoot(t *testing.T, program []byte) {
	if os.Getuid() != 0 {
		servers.Missing(t, "only root may change the root directory")
	}
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "regferry"), program, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := layouttest.WriteDir(filepath.Join(root, "storage"), layouttest.Shape{Seed: 1, Repositories: 2, Tags: 3, Layers: 2, MinLayer: 100, MaxLayer: 300_000}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"copy", "state"} {
		dir := filepath.Join(root, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(dir, 65532, 65532); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"version"},
		{"migrate", "--from=/storage", "--to=/copy", "--final", "--report=/state/migrate.html"},
		{"migrate", "--from=/storage", "--to=/copy", "--checkpoint=/state/other.checkpoint", "--takeover"},
		{"verify", "--from=/storage", "--to=/copy", "--level=content"},
	} {
		c := exec.Command("/regferry", args...)
		c.Dir = "/"
		c.Env = []string{"XDG_STATE_HOME=/state"} // as the image has it
		c.SysProcAttr = &syscall.SysProcAttr{
			Chroot:     root,
			Credential: &syscall.Credential{Uid: 65532, Gid: 65532},
			Pdeathsig:  syscall.SIGKILL,
		}
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("regferry %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		if args[0] == "version" && !strings.HasPrefix(string(out), "regferry test ") {
			t.Errorf("version: %s", out)
		}
	}
	if kept, err := filepath.Glob(filepath.Join(root, "state/regferry/*.checkpoint")); err != nil || len(kept) != 1 {
		t.Errorf("checkpoints in XDG_STATE_HOME: %q, %v", kept, err)
	}
	if out, err := exec.Command("diff", "-r", filepath.Join(root, "storage/docker"), filepath.Join(root, "copy/docker")).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
