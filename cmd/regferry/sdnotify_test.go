//go:build linux

package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// manager listens as systemd does. The name may be abstract.
func manager(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// hears returns the next message, "" if there is none within d.
func hears(t *testing.T, conn *net.UnixConn, d time.Duration) string {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(d)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 4096)
	n, err := conn.Read(b)
	if err != nil && !os.IsTimeout(err) {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestSystemdIsTold(t *testing.T) {
	for kind, name := range map[string]string{
		"path":     filepath.Join(t.TempDir(), "notify"),
		"abstract": fmt.Sprintf("@regferry-test-%d", os.Getpid()),
	} {
		t.Run(kind, func(t *testing.T) {
			conn := manager(t, name)
			t.Setenv("NOTIFY_SOCKET", name)
			s, err := newSystemd()
			if err != nil {
				t.Fatal(err)
			}
			if _, there := os.LookupEnv("NOTIFY_SOCKET"); there {
				t.Error("children would speak for us")
			}
			for _, c := range []struct {
				tell func() error
				want string
			}{
				{s.notifyReady, "READY=1"},
				{s.notifyStopping, "STOPPING=1"},
				{func() error { return s.notifyStatus("team/äpp: 3 of 5") }, "STATUS=team/äpp: 3 of 5"},
				{func() error { return s.notifyStatus("a\nREADY=1\x1b[2J\xff") }, "STATUS=a READY=1 [2J\ufffd"},
			} {
				if err := c.tell(); err != nil {
					t.Fatal(err)
				}
				if got := hears(t, conn, time.Second); got != c.want {
					t.Errorf("told %q, want %q", got, c.want)
				}
			}
		})
	}
}

// The manager compares the time with its own clock.
func TestSystemdReloading(t *testing.T) {
	conn := manager(t, filepath.Join(t.TempDir(), "notify"))
	s := systemd{socket: conn.LocalAddr().String()}
	clock := func() int64 {
		now, err := monotonic()
		if err != nil {
			t.Fatal(err)
		}
		return now.Microseconds()
	}
	before := clock()
	if err := s.notifyReloading(); err != nil {
		t.Fatal(err)
	}
	got := hears(t, conn, time.Second)
	m := regexp.MustCompile(`^RELOADING=1\nMONOTONIC_USEC=(\d+)$`).FindStringSubmatch(got)
	if m == nil {
		t.Fatalf("told %q", got)
	}
	if at, err := strconv.ParseInt(m[1], 10, 64); err != nil || at < before || at > clock() {
		t.Errorf("reloading at %s, not between %d and now", m[1], before)
	}
}

// Signs of life stop when there is no life, and begin again.
func TestSystemdWatchdog(t *testing.T) {
	conn := manager(t, filepath.Join(t.TempDir(), "notify"))
	t.Setenv("NOTIFY_SOCKET", conn.LocalAddr().String())
	t.Setenv("WATCHDOG_USEC", "100000")
	t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
	s, err := newSystemd()
	if err != nil || s.deadline != 100*time.Millisecond {
		t.Fatal(s, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	alive, done, calls := make(chan bool), make(chan struct{}), 0
	go func() {
		defer close(done)
		s.watch(ctx, func() bool { calls++; return <-alive })
	}()
	for i, living := range []bool{true, true, false, true} {
		alive <- living
		want := map[bool]string{true: "WATCHDOG=1", false: ""}[living]
		if got := hears(t, conn, map[bool]time.Duration{true: time.Second, false: 100 * time.Millisecond}[living]); got != want {
			t.Errorf("sign %d: told %q, want %q", i, got, want)
		}
	}
	cancel()
	close(alive)
	select {
	case <-done:
	case <-time.After(time.Second):
		t.Fatal("it goes on after its context")
	}
	if calls < 4 {
		t.Errorf("asked %d times", calls)
	}
}

// Without systemd, for another process, or with nonsense, nothing is told and
// nothing is in the way.
func TestSystemdAbsent(t *testing.T) {
	for name, c := range map[string]struct{ socket, usec, pid, fault string }{
		"none":            {usec: "100"},
		"other process":   {socket: "/run/x", usec: "100", pid: "1"},
		"no watchdog":     {socket: "/run/x"},
		"relative socket": {socket: "run/x", usec: "100", fault: "NOTIFY_SOCKET"},
		"vsock":           {socket: "vsock:2:1", usec: "100", fault: "NOTIFY_SOCKET"},
		"no number":       {socket: "/run/x", usec: "soon", fault: "WATCHDOG_USEC"},
		"zero":            {socket: "/run/x", usec: "0", fault: "WATCHDOG_USEC"},
		"for ever":        {socket: "/run/x", usec: "9223372036854775807", fault: "WATCHDOG_USEC"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("NOTIFY_SOCKET", c.socket)
			t.Setenv("WATCHDOG_USEC", c.usec)
			t.Setenv("WATCHDOG_PID", c.pid)
			s, err := newSystemd()
			if (err != nil) != (c.fault != "") || err != nil && !strings.Contains(err.Error(), c.fault) {
				t.Errorf("error %v, want one about %q", err, c.fault)
			}
			if s.deadline != 0 {
				t.Errorf("a watchdog of %v", s.deadline)
			}
			s.watch(t.Context(), func() bool { t.Error("asked"); return true })
		})
	}
	var zero systemd
	for _, tell := range []func() error{zero.notifyReady, zero.notifyReloading, zero.notifyStopping} {
		if err := tell(); err != nil {
			t.Error(err)
		}
	}
	if err := (systemd{socket: filepath.Join(t.TempDir(), "gone")}).notifyReady(); err == nil {
		t.Error("a manager that is gone was told")
	}
}
