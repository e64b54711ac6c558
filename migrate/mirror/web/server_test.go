package web

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/regferry/regferry/migrate/mirror"
)

func registry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: "shown_total", Help: "h"})
	r.MustRegister(c)
	return r
}

func TestAnswers(t *testing.T) {
	source := &scripted{room: 100, status: mirror.Status{Program: "regferry", Version: "v1", Pairs: []mirror.PairStatus{{Name: "eu", State: mirror.Waiting, Lag: 3}}}}
	s, _ := serve(t, Options{Source: source, Registry: registry()})
	for _, c := range []struct {
		method, path string
		code         int
		mediaType    string
		says         string
	}{
		{"GET", "/healthz", 200, "text/plain; charset=utf-8", "ok\n"},
		{"HEAD", "/healthz", 200, "text/plain; charset=utf-8", ""},
		{"GET", "/livez", 200, "text/plain; charset=utf-8", "ok\n"},
		{"POST", "/healthz", 405, "", ""},
		{"GET", "/readyz", 200, "text/plain; charset=utf-8", "ok\n"},
		{"GET", "/metrics", 200, "text/plain; version=0.0.4", "shown_total 0"},
		{"DELETE", "/metrics", 405, "", ""},
		{"GET", "/status", 200, "application/json", `"name":"eu"`},
		{"PUT", "/status", 405, "", ""},
		{"GET", "/history", 200, "application/json", `"step_seconds":10`},
		{"GET", "/history?after=x", 400, "text/plain; charset=utf-8", "seconds since 1970"},
		{"GET", "/events", 405, "", ""},
		{"POST", "/events/stream", 405, "", ""},
		{"GET", "/", 200, "text/html; charset=utf-8", "<!doctype html>"},
		{"POST", "/", 405, "", ""},
		{"GET", "/page.js", 200, "text/javascript; charset=utf-8", "EventSource"},
		{"GET", "/page.css", 200, "text/css; charset=utf-8", ":root"},
		{"GET", "/icon.svg", 200, "image/svg+xml", "<svg"},
		{"GET", "/uPlot.iife.min.js", 200, "text/javascript; charset=utf-8", "uPlot"},
		{"GET", "/uPlot.LICENSE", 200, "text/plain; charset=utf-8", "MIT License"},
		{"GET", "/page.html", 404, "", ""},
		{"GET", "/assets/page.js", 404, "", ""},
		{"GET", "/..%2fserver.go", 404, "", ""},
		{"GET", "/debug/pprof/", 404, "", ""},
		{"GET", "/nothing", 404, "", ""},
	} {
		a, body := ask(t, c.method, s.URL()+c.path, "")
		if a.StatusCode != c.code || !strings.Contains(body, c.says) || !strings.HasPrefix(a.Header.Get("Content-Type"), c.mediaType) {
			t.Errorf("%s %s: %d %s %.100q", c.method, c.path, a.StatusCode, a.Header.Get("Content-Type"), body)
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Content-Security-Policy": policy, "Referrer-Policy": "no-referrer"} {
			if got := a.Header.Get(name); got != want {
				t.Errorf("%s %s: %s is %q", c.method, c.path, name, got)
			}
		}
	}
	if strings.Contains(policy, "unsafe") {
		t.Error("the policy lets data be a script")
	}
	_, page := ask(t, "GET", s.URL()+"/", "")
	if strings.Contains(page, "<style") || strings.Contains(page, " style=") || strings.Contains(page, "://") || strings.Contains(page, " onclick") {
		t.Error("the page has something inline, or loads something from elsewhere")
	}
	a, _ := ask(t, "GET", s.URL()+"/page.js", "")
	if again, _ := ask(t, "GET", s.URL()+"/page.js", "", "If-None-Match", a.Header.Get("ETag")); again.StatusCode != http.StatusNotModified {
		t.Errorf("a file that did not change is sent again: %d", again.StatusCode)
	}
	source.set(func() {
		source.healthy, source.alive, source.ready = errors.New("no complete round\nfor 3h"), errors.New("a round hangs"), errors.New("the first round is under way")
	})
	for path, want := range map[string]string{"/healthz": "no complete round for 3h\n", "/livez": "a round hangs\n", "/readyz": "the first round is under way\n"} {
		if a, body := ask(t, "GET", s.URL()+path, ""); a.StatusCode != 503 || body != want {
			t.Errorf("%s: %d %q", path, a.StatusCode, body)
		}
	}
}

func TestPprofByOption(t *testing.T) {
	s, _ := serve(t, Options{Source: &scripted{}, Pprof: true})
	if a, body := ask(t, "GET", s.URL()+"/debug/pprof/goroutine?debug=1", ""); a.StatusCode != 200 || !strings.Contains(body, "goroutine profile") {
		t.Errorf("%d %.80q", a.StatusCode, body)
	}
	if a, _ := ask(t, "GET", s.URL()+"/metrics", ""); a.StatusCode != 404 {
		t.Errorf("metrics without a registry: %d", a.StatusCode)
	}
}

// One look at the Source serves everybody for a while.
func TestLooksAreShared(t *testing.T) {
	source := &scripted{}
	s, _ := serve(t, Options{Source: source})
	for range 20 {
		ask(t, "GET", s.URL()+"/status", "")
	}
	source.set(func() {
		if source.looks > 10 {
			t.Errorf("%d looks", source.looks)
		}
	})
}

func TestHost(t *testing.T) {
	s, _ := serve(t, Options{Source: &scripted{}})
	for host, code := range map[string]int{
		"localhost": 200, "LOCALHOST:1": 200, "127.0.0.1:80": 200, "[::1]:80": 200, "10.0.0.1": 200, "mirror.localhost:8080": 200,
		"evil.example": 421, "evil.example:80": 421, "localhost.evil.example": 421, "notlocalhost": 421,
	} {
		if a, _ := ask(t, "GET", s.URL()+"/status", "", "Host", host); a.StatusCode != code {
			t.Errorf("%s: %d, want %d", host, a.StatusCode, code)
		}
	}
	if a, _ := ask(t, "POST", s.URL()+"/events", `{"events":[]}`, "Content-Type", "application/json", "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"); a.StatusCode != 403 {
		t.Errorf("a form of another site: %d", a.StatusCode)
	}
}

const envelope = "application/vnd.docker.distribution.events.v2+json"

func push(repositories ...string) string {
	var events []string
	for _, r := range repositories {
		events = append(events, `{"action":"push","target":{"repository":"`+r+`"}}`)
	}
	return `{"events":[` + strings.Join(events, ",") + `]}`
}

func TestEvents(t *testing.T) {
	source := &scripted{room: 3}
	s, _ := serve(t, Options{Source: source})
	for _, c := range []struct {
		name, mediaType, body string
		code                  int
		says                  string
	}{
		{"one", envelope, push("a"), 202, "queued: 1, left to the next round: 0\n"},
		{"repeated", envelope, push("b", "b", "b"), 202, "queued: 1, "},
		{"more than there is room for", envelope, push("c", "d", "e"), 202, "queued: 1, left to the next round: 2\n"},
		{"a full queue", envelope, push("f"), 202, "queued: 0, left to the next round: 1\n"},
		{"nothing", envelope, `{"events":[{"action":"pull","target":{"repository":"a"}}]}`, 200, "nothing in it"},
		{"MSR", "application/json", `{"type":"SCAN_COMPLETED"}`, 200, "nothing in it"},
		{"a form", "application/x-www-form-urlencoded", push("g"), 415, "Content-Type"},
		{"no type", "", push("g"), 415, "Content-Type"},
		{"bad", envelope, `{`, 400, "not what a registry sends"},
		{"a bad name", envelope, push("g", "../h"), 400, `events[1].target.repository: "../h" is not`},
		{"too large", envelope, push("g") + strings.Repeat(" ", maxBody), 413, "more than 1048576 bytes"},
	} {
		a, body := ask(t, "POST", s.URL()+"/events", c.body, "Content-Type", c.mediaType)
		if a.StatusCode != c.code || !strings.Contains(body, c.says) || strings.Count(body, "\n") != 1 {
			t.Errorf("%s: %d %q", c.name, a.StatusCode, body)
		}
	}
	if got := strings.Join(source.hints, " "); got != "a b c" {
		t.Errorf("queued %s", got)
	}
}

func TestToken(t *testing.T) {
	file := join(t.TempDir(), "token")
	write(t, file, "first\n")
	source := &scripted{room: 100}
	s, _ := serve(t, Options{Source: source, TokenFile: file})
	try := func(authorization string) int {
		a, _ := ask(t, "POST", s.URL()+"/events", push("a"), "Content-Type", envelope, "Authorization", authorization)
		if a.StatusCode == 401 && a.Header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("it does not say what it wants: %v", a.Header)
		}
		return a.StatusCode
	}
	for authorization, code := range map[string]int{
		"": 401, "first": 401, "Bearer": 401, "Bearer ": 401, "Bearer firs": 401, "Bearer first2": 401, "Basic first": 401,
		"Bearer first": 202, "bearer first": 202,
	} {
		if got := try(authorization); got != code {
			t.Errorf("%q: %d, want %d", authorization, got, code)
		}
	}
	write(t, file, "second")
	if a, b := try("Bearer first"), try("Bearer second"); a != 401 || b != 202 {
		t.Errorf("after a rotation: old %d, new %d", a, b)
	}
	write(t, file, "")
	if a, b := try("Bearer "), try("Bearer second"); a != 401 || b != 202 {
		t.Errorf("an empty file: none %d, the last one %d", a, b)
	}
	for _, o := range []Options{
		{TokenFile: join(t.TempDir(), "none")}, {TokenFile: file}, // empty
		{CertFile: file}, {CertFile: file, KeyFile: file}, {Listen: "127.0.0.1:99999"}, {Listen: strings.TrimPrefix(s.URL(), "http://")},
	} {
		o.Source = source
		if o.Listen == "" {
			o.Listen = "127.0.0.1:0"
		}
		if _, err := Listen(o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
}

// An address that others reach takes no notification from just anybody.
func TestEventsNeedATokenInPublic(t *testing.T) {
	file := join(t.TempDir(), "token")
	write(t, file, "secret")
	for _, c := range []struct {
		o    Options
		code int
	}{
		{Options{}, 403},
		{Options{OpenEvents: true}, 202},
		{Options{TokenFile: file}, 202},
	} {
		c.o.Source, c.o.Listen = &scripted{room: 1}, "127.0.0.1:0"
		s, err := Listen(c.o)
		if err != nil {
			t.Fatal(err)
		}
		s.public = true // as if: the tests listen on this machine only
		run(t, s)
		a, body := ask(t, "POST", s.URL()+"/events", push("a"), "Content-Type", envelope, "Authorization", "Bearer secret", "Host", "mirror.example")
		if a.StatusCode != c.code {
			t.Errorf("%+v: %d %q, want %d", c.o, a.StatusCode, body, c.code)
		}
	}
}

func TestTLSIsRotated(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := join(dir, "tls.crt"), join(dir, "tls.key")
	put := func(serial int64) {
		cert, key := pair(t, serial)
		write(t, certFile, cert)
		write(t, keyFile, key)
	}
	put(1)
	s, _ := serve(t, Options{Source: &scripted{}, CertFile: certFile, KeyFile: keyFile})
	serial := func() int64 {
		t.Helper()
		c, err := tls.Dial("tcp", strings.TrimPrefix(s.URL(), "https://"), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	for range 2 {
		if got := serial(); got != 1 {
			t.Errorf("certificate %d", got)
		}
	}
	put(2)
	if got := serial(); got != 2 {
		t.Errorf("after a rotation: certificate %d", got)
	}
	cert, _ := pair(t, 3)
	write(t, certFile, cert) // not that of the key
	if got := serial(); got != 2 {
		t.Errorf("with half a pair: certificate %d", got)
	}
	put(4)
	if got := serial(); got != 4 {
		t.Errorf("with the pair whole: certificate %d", got)
	}
	if _, err := tls.Dial("tcp", strings.TrimPrefix(s.URL(), "https://"), &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
}

func TestHistory(t *testing.T) {
	var h history
	now := time.Unix(1_800_000_000, 0)
	p := mirror.PairStatus{Name: "eu", Lag: -1}
	bytes := int64(0)
	written := func(string) (int64, int64) { return bytes, bytes / 100 }
	for i := range samples + 50 {
		bytes += 10_000
		if i == 2 {
			p.Lag = 4
		}
		h.add(mirror.Status{Pairs: []mirror.PairStatus{p}}, now.Add(time.Duration(i)*step), written)
		if i == 2 {
			a := h.since(0).Pairs[0]
			if len(a.Times) != 2 || a.Bytes[0] != 1000 || a.Objects[1] != 10 || a.Lag[0] != nil || *a.Lag[1] != 4 {
				t.Errorf("%+v", a)
			}
		}
	}
	a := h.since(0).Pairs[0]
	if len(a.Times) != samples || len(a.Bytes) != samples || len(a.Objects) != samples || len(a.Lag) != samples {
		t.Errorf("%d samples are kept", len(a.Times))
	}
	if newest := h.since(a.Times[samples-3]).Pairs[0]; len(newest.Times) != 2 || newest.Times[1] != a.Times[samples-1] {
		t.Errorf("the newest are %v", newest.Times)
	}
	h.add(mirror.Status{}, now, written)
	if data, err := json.Marshal(h.since(0)); err != nil || string(data) != `{"step_seconds":10,"pairs":[]}` {
		t.Errorf("a pair that is gone: %s, %v", data, err)
	}
}

// Without a count of what is written, the rate is that of the rounds, each of
// which begins at 0.
func TestHistoryOfRounds(t *testing.T) {
	var h history
	now := time.Unix(1_800_000_000, 0)
	rates := []float64{}
	for i, p := range []*mirror.Progress{{Bytes: 100}, {Bytes: 300}, nil, {Started: now, Bytes: 50}, {Started: now.Add(1), Bytes: 70}, {Started: now.Add(1), Bytes: 10}} {
		h.add(mirror.Status{Pairs: []mirror.PairStatus{{Name: "eu", Now: p}}}, now.Add(time.Duration(i)*step), nil)
	}
	rates = append(rates, h.since(0).Pairs[0].Bytes...)
	want := []float64{20, 0, 5, 7, 0}
	for i := range want {
		if rates[i] != want[i] {
			t.Fatalf("%v, want %v", rates, want)
		}
	}
}
