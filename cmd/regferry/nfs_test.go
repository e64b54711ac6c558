//go:build linux

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/verify/layout/layouttest"
)

// TestNFS runs the program on mounts of a kernel's NFS client, in a User-Mode
// Linux that is its own server. The scenarios are the functions of
// testdata/nfs/init; a part of each test's name is the version.
func TestNFS(t *testing.T) {
	full := os.Getenv("REGFERRY_NFS") == "full"
	if testing.Short() && !full {
		t.Skip("-short runs no real programs")
	}
	for _, tool := range []string{"exportfs", "rpc.nfsd", "rpc.mountd", "rpc.statd", "rpcbind", "mount.nfs", "dmsetup"} {
		if _, err := exec.LookPath(tool); err != nil {
			if _, err := os.Stat("/usr/sbin/" + tool); err != nil {
				servers.Missing(t, tool+" is not installed: run .ci/tools")
			}
		}
	}
	n := newNFS(t)
	scenarios := []string{"whole:v42", "silly:v42"}
	if full {
		scenarios = append(scenarios, "soft:v42:soft", "whole:v3", "silly:v3", "replaced:v42", "replaced:v3",
			"full:v42", "full:v3", "flaky:v42", "restart:v42", "restart:v3", "unshared:v42")
	}
	n.boot(t, scenarios...)
	n.mounted(t, func(disk string) {
		n.looked = disk
		t.Run("whole v42", func(t *testing.T) { n.whole(t, "v42") })
		t.Run("silly v42", func(t *testing.T) { n.silly(t, "v42") })
		if !full {
			return
		}
		t.Run("soft v42", func(t *testing.T) { n.soft(t, "soft-v42") })
		t.Run("silly v3", func(t *testing.T) { n.silly(t, "v3") })
		t.Run("whole v3", func(t *testing.T) { n.whole(t, "v3") })
		t.Run("unshared v42", func(t *testing.T) { n.unshared(t, "v42") })
		t.Run("flaky v42", func(t *testing.T) { n.flaky(t, "v42") })
		for _, v := range []string{"v42", "v3"} {
			t.Run("restart "+v, func(t *testing.T) { n.restarted(t, v) })
			t.Run("replaced "+v, func(t *testing.T) { n.replaced(t, v) })
			t.Run("full "+v, func(t *testing.T) { n.full(t, v) })
		}
	})
}

// nfs is the machine, and what it said.
type nfs struct {
	*lab
	second  string // its other disk
	out     string
	big     string // a registry of one blob
	looked  string // where the first disk is mounted now
	sources map[string]map[string]file
}

func newNFS(t *testing.T) *nfs {
	t.Helper()
	n := &nfs{lab: newLab(t, 1<<30)}
	script, err := os.ReadFile("testdata/nfs/init")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(n.init, script, 0o755); err != nil {
		t.Fatal(err)
	}
	n.second = n.disk + "2"
	if err := os.WriteFile(n.second, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(n.second, 200<<20); err != nil {
		t.Fatal(err)
	}
	n.out = filepath.Join(n.dir, "out")
	if err := os.Mkdir(n.out, 0o755); err != nil {
		t.Fatal(err)
	}
	n.source, n.big = filepath.Join(n.dir, "source"), filepath.Join(n.dir, "big")
	n.sources = map[string]map[string]file{}
	for dir, shape := range map[string]layouttest.Shape{
		n.source: {Seed: 7, Repositories: 4, Tags: 4, Layers: 2, MinLayer: 1 << 10, MaxLayer: 4 << 20, Indexes: 1, Nested: true},
		n.big:    {Seed: 8, Repositories: 1, Tags: 1, Layers: 1, MinLayer: 25 << 20, MaxLayer: 25<<20 + 1},
	} {
		if _, err := layouttest.WriteDir(dir, shape); err != nil {
			t.Fatal(err)
		}
		n.sources[dir] = tree(t, dir)
	}
	return n
}

// boot has the machine run the scenarios and waits until it is off.
func (n *nfs) boot(t *testing.T, scenarios ...string) {
	t.Helper()
	console := &lines{}
	cmd := exec.Command("linux.uml", "mem=768M", "rootfstype=hostfs", "rootflags=/", "ro", "quiet",
		"con=null", "con0=fd:0,fd:1", "uml_dir="+n.dir, "ubd0="+n.disk, "ubd1="+n.second, "init="+n.init,
		"PROGRAM="+n.program, "FROM="+n.source, "BIG="+n.big, "OUT="+n.out, "RUN="+strings.Join(scenarios, ","))
	cmd.Stdout, cmd.Stderr = console, console
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if n.shim != "" {
		cmd.Env = append(os.Environ(), "LD_PRELOAD="+n.shim)
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m := &machine{group: cmd.Process.Pid, console: console, done: make(chan struct{})}
	t.Cleanup(func() { m.cut(t) })
	go func() {
		defer close(m.done)
		_ = cmd.Wait()
	}()
	select {
	case <-m.done:
	case <-time.After(6 * time.Minute):
		t.Fatalf("the machine does not end:\n%s\n%s", console, n.text(t, "log"))
	}
	t.Logf("the machine ran for %v", time.Since(start).Round(time.Second))
	if done := n.text(t, "done"); strings.Count(done, "\n") != len(scenarios) {
		t.Fatalf("done: %s\n%s\n%s", done, console, n.text(t, "log"))
	}
	if broken := n.text(t, "broken"); broken != "" {
		t.Fatalf("the scenarios prove nothing: %s\n%s", broken, n.text(t, "log"))
	}
}

// text is a file that the machine left, empty if it did not.
func (n *nfs) text(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(n.out, name))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(b)
}

// ended checks how a run of the program ended, and returns what it said.
func (n *nfs) ended(t *testing.T, name string, codes ...int) string {
	t.Helper()
	said := n.text(t, name+".out")
	t.Logf("%s: exit %s after %s ms", name, strings.TrimSpace(n.text(t, name+".code")), strings.TrimSpace(n.text(t, name+".ms")))
	code, err := strconv.Atoi(strings.TrimSpace(n.text(t, name+".code")))
	if err != nil {
		t.Fatalf("%s did not run: %v", name, err)
	}
	if !slices.Contains(codes, code) {
		t.Errorf("%s: exit %d, want %v:\n%s", name, code, codes, said)
	}
	return said
}

// notDone are the codes of a destination that failed. Its last sync fails as
// well, without which the checkpoint is not written on.
var notDone = []int{exitFailed, exitSide}

// nfsReport is what the tests read of a report.
type nfsReport struct {
	Class  string `json:"error_class"`
	Error  string `json:"error"`
	Totals struct {
		summary
		Junk   int `json:"skipped_junk"`
		Failed int `json:"failed"`
	} `json:"totals"`
}

func (n *nfs) report(t *testing.T, name string) (r nfsReport) {
	t.Helper()
	if err := json.Unmarshal([]byte(n.text(t, name+".json")), &r); err != nil {
		t.Errorf("%s: report: %v", name, err)
	}
	return r
}

// arrived says that a directory of the disk is the source, and nothing more.
func (n *nfs) arrived(t *testing.T, name, source string) {
	t.Helper()
	sameTrees(t, n.sources[source], existing(t, filepath.Join(n.looked, name)), name)
	if _, err := os.Stat(filepath.Join(n.looked, name, ".regferry")); !os.IsNotExist(err) {
		t.Errorf("%s: unfinished work is left: %v", name, err)
	}
}

// nothingMore says that a second run found nothing to do.
func (n *nfs) nothingMore(t *testing.T, name string) {
	t.Helper()
	n.ended(t, name, exitDone)
	if r := n.report(t, name); r.Totals.Copied+r.Totals.Replaced+r.Totals.Links+r.Totals.TagsWritten != 0 || r.Totals.Tags == 0 {
		t.Errorf("%s: %+v, want nothing written", name, r.Totals)
	}
}

// onlyRight says that whatever is in sight is whole.
func (n *nfs) onlyRight(t *testing.T, name string) {
	t.Helper()
	got := existing(t, filepath.Join(n.looked, name))
	for key, f := range got {
		if n.sources[n.source][key].sum != f.sum {
			t.Errorf("%s: %s is not what it is at the source", name, key)
		}
	}
	bad, err := new(audit).broken(filepath.Join(n.looked, name))
	if err != nil || len(bad) > 0 {
		t.Errorf("%s: broken: %v, %v", name, bad, err)
	}
	t.Logf("%s: %d of %d files are in sight", name, len(got), len(n.sources[n.source]))
}

func (n *nfs) whole(t *testing.T, v string) {
	said := n.ended(t, "whole-"+v, exitDone)
	if !strings.Contains(said, "sync in groups") {
		t.Errorf("files are not synced in groups:\n%s", said)
	}
	n.arrived(t, "whole-"+v, n.source)
	n.nothingMore(t, "whole-"+v+"-again")
	if said := n.ended(t, "audit-"+v, exitDone); !strings.Contains(said, "read and hashed now") || !strings.Contains(said, "sound") {
		t.Errorf("audit:\n%s", said)
	}
	n.ended(t, "back-"+v, exitDone)
	n.arrived(t, "back-"+v, n.source)
	if tags := served(t, onDisk(filepath.Join(n.looked, "whole-"+v))); tags != n.report(t, "whole-"+v).Totals.Tags {
		t.Errorf("a registry serves %d tags", tags)
	}
}

func (n *nfs) silly(t *testing.T, v string) {
	if names := n.text(t, "silly-"+v+".ls"); !strings.Contains(names, ".nfs") {
		t.Fatalf("no file was renamed by the client: %q", names)
	}
	said := n.ended(t, "silly-"+v, exitDone)
	if !strings.Contains(said, "1 file of uploads in progress and leftovers skipped") {
		t.Errorf("it is not said:\n%s", said)
	}
	if r := n.report(t, "silly-"+v); r.Totals.Junk != 1 {
		t.Errorf("%+v", r)
	}
	n.arrived(t, "unsilly-"+v, n.source)
}

// restarted is a server that was away for some seconds: the run waits.
func (n *nfs) restarted(t *testing.T, v string) {
	name := "restart-" + v
	n.ended(t, name, exitDone)
	n.nothingMore(t, name+"-again")
	n.arrived(t, name, n.source)
}

// unshared is a destination all of whose handles are stale for some seconds.
// What was being written then is lost, so a group is refused, and the run ends
// unless only small files were open.
func (n *nfs) unshared(t *testing.T, v string) {
	name := "unshared-" + v
	if text := n.text(t, name+".ls"); !strings.Contains(text, "Stale file handle") {
		t.Errorf("nothing was stale: %q", text)
	}
	n.ended(t, name, append([]int{exitDone}, notDone...)...)
	if r := n.report(t, name); r.Class != "transient" && r.Class != "" {
		t.Errorf("%s: class %q, error %q", name, r.Class, r.Error)
	}
	n.ended(t, name+"-again", exitDone)
	n.arrived(t, name, n.source)
}

func (n *nfs) replaced(t *testing.T, v string) {
	text := n.text(t, "replaced-"+v+".cat")
	t.Logf("the shell: %q", text)
	if v == "v3" && !strings.Contains(text, "Stale file handle") {
		t.Errorf("nothing was stale: %q", text)
	}
	n.ended(t, "replaced-"+v, exitDone)
	n.arrived(t, "unreplaced-"+v, n.big)
}

// soft is a mount that gives the error of its server on.
func (n *nfs) soft(t *testing.T, name string) {
	said := n.ended(t, name, notDone...)
	if !strings.Contains(said, "destination") || !strings.Contains(said, "NOT DONE") {
		t.Errorf("%s", said)
	}
	t.Log(last(said, 3))
	if r := n.report(t, name); r.Class != "transient" {
		t.Errorf("%s: class %q, error %q", name, r.Class, r.Error)
	}
	said = n.ended(t, "down-"+name, exitSide)
	if !strings.Contains(said, "source") {
		t.Errorf("%s", said)
	}
	t.Log(last(said, 3))
	n.ended(t, name+"-again", exitDone)
	n.arrived(t, name, n.source)
}

func (n *nfs) full(t *testing.T, v string) {
	name := "full-" + v
	said := n.ended(t, name, notDone...)
	if !strings.Contains(said, "(full)") || !strings.Contains(said, "NOT DONE") {
		t.Errorf("%s", said)
	}
	t.Log(last(said, 3))
	if r := n.report(t, name); r.Class != "full" {
		t.Errorf("%s: class %q, error %q", name, r.Class, r.Error)
	}
	n.onlyRight(t, "partly-"+v)
	n.ended(t, name+"-again", exitDone)
	n.arrived(t, name, n.source)
}

// flaky is a disk of the server that refuses to write: what fsync says.
func (n *nfs) flaky(t *testing.T, v string) {
	name := "flaky-" + v
	said := n.ended(t, name, notDone...)
	if !strings.Contains(said, "destination") || !strings.Contains(said, "NOT DONE") {
		t.Errorf("%s", said)
	}
	t.Log(last(said, 3))
	n.onlyRight(t, "flaked-"+v)
	n.ended(t, name+"-again", exitDone)
	n.arrived(t, name, n.source)
}

// last is the end of a text.
func last(text string, count int) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-count):], "\n")
}
