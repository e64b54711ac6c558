//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/migrate/mirror"
	"github.com/regferry/regferry/verify/layout/layouttest"
)

// mirroring is the program as a mirror, and where it listens.
type mirroring struct {
	*process
	url string
}

// mirrorWith starts a mirror and waits until it listens.
func mirrorWith(t *testing.T, args ...string) *mirroring {
	t.Helper()
	m := &mirroring{process: launch(t, append([]string{"mirror", "--listen", "127.0.0.1:0"}, args...)...)}
	for m.running(10 * time.Millisecond) {
		if _, rest, ok := strings.Cut(m.out.String(), "msg=listening url="); ok && strings.Contains(rest, "\n") {
			m.url, _, _ = strings.Cut(rest, "\n")
			return m
		}
	}
	t.Fatalf("it does not listen:\n%s", m.out)
	return nil
}

// get asks the mirror; nothing where it does not answer.
func (m *mirroring) get(path string) (int, string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, m.url+path, nil)
	if err != nil {
		return 0, err.Error()
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, string(body)
}

func (m *mirroring) status(t *testing.T) mirror.PairStatus {
	t.Helper()
	var s mirror.Status
	if code, body := m.get("/status"); code == 0 || json.Unmarshal([]byte(body), &s) != nil || len(s.Pairs) == 0 {
		return mirror.PairStatus{}
	}
	return s.Pairs[0]
}

// until waits for something of the mirror.
func (m *mirroring) until(t *testing.T, what string, within time.Duration, is func() bool) {
	t.Helper()
	for end := time.Now().Add(within); time.Now().Before(end); {
		if is() {
			return
		}
		if !m.running(20 * time.Millisecond) {
			t.Fatalf("%s: the mirror has ended, exit code %d:\n%s", what, m.exit, m.out)
		}
	}
	t.Fatalf("%s: not within %v; %+v\n%s", what, within, m.status(t), m.out)
}

func (m *mirroring) waits(t *testing.T) {
	t.Helper()
	m.until(t, "the first round", 2*time.Minute, func() bool { return m.status(t).State == mirror.Waiting })
}

// stop is SIGTERM.
func (m *mirroring) stop(t *testing.T) {
	t.Helper()
	if err := m.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	m.end(t, 143)
}

// TestMirrorNotifications: a registry tells the mirror what is pushed to it, and
// a registry on the destination serves it within moments, long before the next
// round.
func TestMirrorNotifications(t *testing.T) {
	dir := fastDir(t, 200<<20)
	from, to := onDisk(filepath.Join(dir, "from")), onDisk(filepath.Join(dir, "to"))
	token := filepath.Join(dir, "token")
	if err := os.WriteFile(token, []byte("opensesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	quiet := servers.Registry(t, servers.Version3, from.dir)
	pushImage(t, quiet, "team/app", "first")
	quiet.Stop()
	m := mirrorWith(t, "--from", from.location, "--to", to.location, "--state", filepath.Join(dir, "state"),
		"--interval", "1h", "--events-token-file", token)
	m.waits(t)
	if code, _ := m.get("/readyz"); code != http.StatusOK {
		t.Errorf("/readyz: %d", code)
	}
	source := servers.Registry(t, servers.Version3, from.dir, fmt.Sprintf(
		"REGISTRY_NOTIFICATIONS_ENDPOINTS=[{name: mirror, url: %q, headers: {Authorization: [Bearer opensesame]}, timeout: 2s, threshold: 5, backoff: 100ms}]", m.url+"/events"))
	destination := servers.Registry(t, servers.Version3, to.dir)
	var took []time.Duration
	for i := range 20 {
		tag := fmt.Sprintf("v%d", i)
		repository := "team/app"
		if i%4 == 0 {
			repository = fmt.Sprintf("team/new%d", i)
		}
		pushImage(t, source, repository, tag)
		begin := time.Now()
		m.until(t, repository+":"+tag, 30*time.Second, func() bool {
			_, _, err := destination.Manifest(t.Context(), repository, tag)
			return err == nil
		})
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	t.Logf("from the push to the pull at the destination: median %v, most %v", took[len(took)/2], took[len(took)-1])
	if took[len(took)/2] > 2*time.Second {
		t.Errorf("the median is %v", took[len(took)/2])
	}
	broken, _, err := servers.CheckAll(t.Context(), destination.URL)
	if err != nil || len(broken) > 0 {
		t.Errorf("%v, %v", broken, err)
	}
	// Without the token nobody is heard.
	answer, err := http.Post(m.url+"/events", "application/vnd.docker.distribution.events.v1+json", strings.NewReader(`{"events":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusUnauthorized {
		t.Errorf("without a token: %s", answer.Status)
	}
	if _, metrics := m.get("/metrics"); !strings.Contains(metrics, `regferry_rounds_total{kind="hint",pair="registry",result="complete"}`) {
		t.Errorf("%s", metrics)
	}
	m.stop(t)
}

func pushImage(t *testing.T, r *servers.RegistryServer, repository, tag string) {
	t.Helper()
	layer, err := r.PutBlob(t.Context(), repository, bytes.Repeat([]byte(repository+tag), 1000))
	if err != nil {
		t.Fatal(err)
	}
	layer.MediaType = "application/vnd.oci.image.layer.v1.tar"
	if _, err := r.PutImage(t.Context(), repository, tag, "", nil, layer); err != nil {
		t.Fatal(err)
	}
}

// TestMirrorStandsBy: of two mirrors of one destination one works; when it is
// killed the other takes over, and a straggler stops.
func TestMirrorStandsBy(t *testing.T) {
	for _, to := range []kind{directory, versitygw} {
		t.Run(string(to), func(t *testing.T) {
			dir := fastDir(t, 200<<20)
			from, destination := newPlaces(t, dir, directory, to)
			from.fill(t, layouttest.Shape{Seed: 4, Repositories: 3, Tags: 3, Layers: 3, MinLayer: 1000, MaxLayer: 20_000, Shared: 0.3})
			args := func(name string) []string {
				return []string{"--from", from.location, "--to", destination.location, "--state", filepath.Join(dir, name), "--interval", "200ms", "--lease", "4s"}
			}
			first := mirrorWith(t, args("one")...)
			first.waits(t)
			second := mirrorWith(t, args("two")...)
			second.until(t, "to stand by", time.Minute, func() bool { return second.status(t).State == mirror.Standby })
			if code, _ := second.get("/healthz"); code != http.StatusOK {
				t.Errorf("standing by is no fault: %d", code)
			}
			// Asleep for longer than the lease, then awake again.
			if err := first.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			second.waits(t)
			if err := first.cmd.Process.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			first.until(t, "to stand by", time.Minute, func() bool { return first.status(t).State == mirror.Standby })
			second.kill()
			first.until(t, "to take over", time.Minute, func() bool { return first.status(t).State != mirror.Standby })
			first.waits(t)
			first.stop(t)
		})
	}
}

// TestMirrorReload: SIGHUP changes the bandwidth of what is under way, and a bad
// configuration changes nothing.
func TestMirrorReload(t *testing.T) {
	dir := fastDir(t, 200<<20)
	from, to := onDisk(filepath.Join(dir, "from")), onDisk(filepath.Join(dir, "to"))
	from.fill(t, layouttest.Shape{Seed: 4, Repositories: 3, Tags: 3, Layers: 3, MinLayer: 1000, MaxLayer: 20_000, Shared: 0.3})
	config := filepath.Join(dir, "mirror.yaml")
	write := func(more string) {
		t.Helper()
		text := fmt.Sprintf("version: 1\nmirrors:\n  - {from: %q, to: %q, interval: 1h%s}\n", from.location, to.location, more)
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hup := func(m *mirroring, says string) {
		t.Helper()
		if err := m.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		m.until(t, says, time.Minute, func() bool { return strings.Contains(m.out.String(), says) })
	}
	write(`, bandwidth: 1KiB`)
	m := mirrorWith(t, "--config", config, "--state", filepath.Join(dir, "state")) // as the unit for systemd has it
	write(`, bandwith: 1KiB`)
	hup(m, "the old one holds")
	write(`, bandwidth: off, workers: 3, delete: true`)
	hup(m, "the configuration was reloaded")
	if !strings.Contains(m.out.String(), "changed=delete") {
		t.Errorf("it does not say what waits for a restart:\n%s", m.out)
	}
	m.waits(t) // at 1 KiB/s it would take minutes
	m.stop(t)
}
