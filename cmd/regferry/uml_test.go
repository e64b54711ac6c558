//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/regferry/regferry/backends/backendtest/servers"
)

// lab is what the machines of one test need: they share a disk, and are
// switched on one after the other.
type lab struct {
	dir                  string
	disk                 string // an image of ext4
	init, program, shim  string
	source, mount, flags string
}

// newLab makes a disk of size bytes. The test is skipped where there is no
// User-Mode Linux or no right to mount.
func newLab(t *testing.T, size int64) *lab {
	t.Helper()
	if _, err := exec.LookPath("linux.uml"); err != nil {
		servers.Missing(t, "User-Mode Linux is not installed: run .ci/tools")
	}
	if os.Geteuid() != 0 {
		servers.Missing(t, "only root can mount the disk of the machine whose power was cut")
	}
	dir := t.TempDir()
	// The program is without the race detector, whose memory map does not fit into
	// a process of User-Mode Linux.
	l := &lab{
		dir: dir, program: built(t), disk: filepath.Join(fastDir(t, size), "disk"),
		init: filepath.Join(dir, "init"), mount: filepath.Join(dir, "mounted"),
	}
	script, err := os.ReadFile("testdata/powercut/init")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(l.init, script, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(l.disk, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(l.disk, size); err != nil {
		t.Fatal(err)
	}
	runTool(t, nil, "mkfs.ext4", "-q", "-F", l.disk)
	if cpu, err := os.ReadFile("/proc/cpuinfo"); err == nil && bytes.Contains(cpu, []byte(" amx_tile")) {
		l.shim = filepath.Join(dir, "xstate.so")
		runTool(t, nil, "gcc", "-O1", "-shared", "-fPIC", "-o", l.shim, "testdata/powercut/xstate.c", "-ldl")
	}
	return l
}

func runTool(t *testing.T, env []string, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// machine is a User-Mode Linux that migrates.
type machine struct {
	group   int // of its processes on the host
	console *lines
	done    chan struct{} // closed when the kernel has ended
}

// boot switches a machine on and waits until its disk is mounted. The mount
// options make it as bad as a disk can be: names become durable each second,
// whether or not the content has, unless the program asked for it.
func (l *lab) boot(t *testing.T) *machine {
	t.Helper()
	m := &machine{console: &lines{}, done: make(chan struct{})}
	cmd := exec.Command("linux.uml", "mem=512M", "rootfstype=hostfs", "rootflags=/", "ro", "quiet",
		"con=null", "con0=fd:0,fd:1", "uml_dir="+l.dir, "ubd0="+l.disk, "init="+l.init,
		"PROGRAM="+l.program, "FROM="+l.source, "FLAGS="+l.flags, "MOUNT=data=writeback,noauto_da_alloc,commit=1")
	cmd.Stdout, cmd.Stderr = m.console, m.console
	cmd.WaitDelay = time.Second // processes of a kernel that panicked keep the pipe open
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if l.shim != "" {
		cmd.Env = append(os.Environ(), "LD_PRELOAD="+l.shim)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	m.group = cmd.Process.Pid
	t.Cleanup(func() { m.cut(t) })
	go func() {
		defer close(m.done)
		_ = cmd.Wait()
	}()
	m.until(t, func() bool { return m.says("READY") })
	if m.says("NO DISK") {
		t.Fatalf("the disk cannot be mounted:\n%s", m.console)
	}
	return m
}

// until waits for a condition while the machine is on.
func (m *machine) until(t *testing.T, is func() bool) {
	t.Helper()
	for end := time.Now().Add(3 * time.Minute); !is(); {
		select {
		case <-m.done:
			t.Fatalf("the machine stopped by itself:\n%s", m.console)
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(end) {
			t.Fatalf("the machine hangs:\n%s", m.console)
		}
	}
}

func (m *machine) says(word string) bool { return strings.Contains(m.console.String(), word) }

// tags is how many tags the machine last said are in sight.
func (m *machine) tags() int {
	text := m.console.String()
	i := strings.LastIndex(text, "TAGS ")
	if i < 0 {
		return 0
	}
	line, _, whole := strings.Cut(text[i+len("TAGS "):], "\n")
	n, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || !whole {
		return 0
	}
	return n
}

// cut ends all processes of the machine at once: its kernel, which had writes
// in memory, and its disk.
func (m *machine) cut(t *testing.T) {
	_ = syscall.Kill(-m.group, syscall.SIGKILL)
	<-m.done
	for end := time.Now().Add(10 * time.Second); alive(m.group); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("processes of the machine do not end")
		}
	}
}

// alive says whether a process of the group still runs. Ended ones may stay in
// the table for long, since init is their parent.
func alive(group int) bool {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, name := range stats {
		stat, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(stat), ") ") // state, parent, group
		var state string
		var parent, of int
		if _, err := fmt.Sscan(rest, &state, &parent, &of); err == nil && of == group && state != "Z" && state != "X" {
			return true
		}
	}
	return false
}

// mounted has f look at the disk as the next start would find it.
func (l *lab) mounted(t *testing.T, f func(dir string)) {
	t.Helper()
	if err := os.MkdirAll(l.mount, 0o755); err != nil {
		t.Fatal(err)
	}
	runTool(t, nil, "mount", "-o", "loop", l.disk, l.mount)
	defer runTool(t, nil, "umount", l.mount)
	f(l.mount)
}
