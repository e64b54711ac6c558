package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// systemd tells the service manager how a daemon is, by sd_notify(3) and the
// watchdog of sd_watchdog_enabled(3). The zero value, which is what one gets
// where nobody listens, tells nobody and fails never.
type systemd struct {
	socket   string        // a path, or an abstract name after "@"
	deadline time.Duration // without a sign of life for so long the manager kills; 0: it does not look
}

// newSystemd takes NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID out of the
// environment, so that no child speaks for us. An error says which of them
// cannot be used; the value is usable all the same.
func newSystemd() (systemd, error) {
	var s systemd
	take := func(name string) string {
		defer os.Unsetenv(name)
		return os.Getenv(name)
	}
	socket, usec, pid := take("NOTIFY_SOCKET"), take("WATCHDOG_USEC"), take("WATCHDOG_PID")
	if socket == "" {
		return s, nil
	}
	if !strings.HasPrefix(socket, "/") && !strings.HasPrefix(socket, "@") {
		return s, fmt.Errorf("NOTIFY_SOCKET=%q is neither a path nor an abstract name: the service manager is told nothing", socket)
	}
	s.socket = socket
	if usec == "" || pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return s, nil
	}
	n, err := strconv.ParseInt(usec, 10, 64)
	if err != nil || n <= 0 || n > int64(24*time.Hour/time.Microsecond)*365 {
		return s, fmt.Errorf("WATCHDOG_USEC=%q is no number of microseconds: the watchdog gets no sign of life", usec)
	}
	s.deadline = time.Duration(n) * time.Microsecond
	return s, nil
}

// notifyReady says that the daemon is at work: after the start, and after each
// notifyReloading.
func (s systemd) notifyReady() error { return s.send("READY=1") }

// notifyStopping says that it is about to end, and need not be waited for.
func (s systemd) notifyStopping() error { return s.send("STOPPING=1") }

// notifyReloading says that the configuration is being read again. The time is
// what a unit of Type=notify-reload wants; others ignore it.
func (s systemd) notifyReloading() error {
	if s.socket == "" {
		return nil
	}
	now, err := monotonic()
	if err != nil {
		return fmt.Errorf("the service manager's clock: %w", err)
	}
	return s.send("RELOADING=1\nMONOTONIC_USEC=" + strconv.FormatInt(now.Microseconds(), 10))
}

// notifyStatus shows a line in systemctl status. What would begin another line,
// and so be another message, becomes a space: names from a store may be in it.
func (s systemd) notifyStatus(line string) error {
	clean := strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return ' '
		}
		return r
	}, line)
	return s.send("STATUS=" + clean)
}

// watch gives a sign of life twice a deadline, for as long as alive says so,
// until ctx ends. Where no watchdog looks it returns at once. A sign that cannot be
// sent is not the end: the next may arrive, and if none does the manager acts.
func (s systemd) watch(ctx context.Context, alive func() bool) {
	if s.deadline == 0 {
		return
	}
	tick := time.NewTicker(max(s.deadline/2, time.Millisecond))
	defer tick.Stop()
	for {
		if alive() {
			_ = s.send("WATCHDOG=1")
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// send is one datagram. The manager reads them all the time; should it not, a
// full queue must not hold up a mirror.
func (s systemd) send(message string) error {
	if s.socket == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: s.socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("telling the service manager: %w", err)
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return fmt.Errorf("telling the service manager: %w", err)
	}
	if _, err := conn.Write([]byte(message)); err != nil {
		return fmt.Errorf("telling the service manager: %w", err)
	}
	return nil
}
