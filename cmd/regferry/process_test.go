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
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// process is the program, running.
type process struct {
	cmd  *exec.Cmd
	out  *lines
	done chan struct{} // closed when it has ended; the rest is to be read after that
	io   ioCount
	exit int // -1 when it was killed
}

// ioCount is what a process read and wrote in all, as proc(5) counts it:
// arguments of read and write, whether or not a disk saw them. What goes through
// sockets, output, the report and the checkpoint are part of it.
type ioCount struct{ read, written int64 }

// launch starts the program with the arguments. It dies with the test.
func launch(t *testing.T, args ...string) *process {
	t.Helper()
	return launchWith(t, nil, args...)
}

// launchWith adds to the environment.
func launchWith(t *testing.T, env []string, args ...string) *process {
	t.Helper()
	return start(t, built(t), env, args)
}

// launchSelf starts the test as the program: with the race detector, if the
// test has it.
func launchSelf(t *testing.T, args ...string) *process {
	t.Helper()
	return start(t, os.Args[0], []string{asProgram + "=1"}, args)
}

func start(t *testing.T, program string, env, args []string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(program, args...), out: &lines{}, done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stdout, p.cmd.Stderr = p.out, p.out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.kill() })
	go p.reap()
	return p
}

// reap reads the counters when the process has ended and before it is gone, so
// that not a byte written before a kill is missed.
func (p *process) reap() {
	defer close(p.done)
	var info unix.Siginfo
	for unix.Waitid(unix.P_PID, p.cmd.Process.Pid, &info, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
	counters, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", p.cmd.Process.Pid))
	if err != nil {
		p.out.Write([]byte(err.Error()))
	}
	for line := range strings.Lines(string(counters)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		n, _ := strconv.ParseInt(value, 10, 64)
		switch name {
		case "rchar":
			p.io.read = n
		case "wchar":
			p.io.written = n
		}
	}
	_ = p.cmd.Wait()
	p.exit = p.cmd.ProcessState.ExitCode()
}

// running says whether the process has not ended after d.
func (p *process) running(d time.Duration) bool {
	select {
	case <-p.done:
		return false
	case <-time.After(d):
		return true
	}
}

// kill is kill -9. It says whether that is what ended the process.
func (p *process) kill() bool {
	_ = p.cmd.Process.Kill()
	<-p.done
	return p.exit == -1
}

// end waits for the process and fails the test if it ends otherwise.
func (p *process) end(t *testing.T, codes ...int) {
	t.Helper()
	if p.running(5 * time.Minute) {
		p.kill()
		t.Fatalf("it does not end:\n%s", p.out)
	}
	for _, c := range codes {
		if p.exit == c {
			return
		}
	}
	t.Fatalf("%s: exit %d, want %v:\n%s", strings.Join(p.cmd.Args[1:], " "), p.exit, codes, p.out)
}

// lines is a buffer that may be read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// times is how often the environment wants a thing done.
func times(t *testing.T, variable string, otherwise int) int {
	t.Helper()
	if testing.Short() {
		t.Skip("-short runs no real programs")
	}
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%s is no count", variable, text)
	}
	return n
}

// fastDir is a directory in memory, if there is room enough for size bytes.
func fastDir(t *testing.T, size int64) string {
	t.Helper()
	const memory = "/dev/shm"
	var st unix.Statfs_t
	if err := unix.Statfs(memory, &st); err != nil || int64(st.Bavail)*st.Bsize < 2*size {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(memory, "regferry-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// storage joins a registry's directory and a key.
func storage(dir, key string) string { return filepath.Join(dir, filepath.FromSlash(key)) }
