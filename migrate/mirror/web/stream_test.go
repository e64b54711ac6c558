package web

import (
	"bufio"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/regferry/regferry/migrate/mirror"
)

// event is one of a stream.
type event struct {
	name   string
	status mirror.Status
}

// follow opens a stream.
func follow(t *testing.T, url string) (*http.Response, func() (event, error)) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url+"/events/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := client(t).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Body.Close() })
	lines := bufio.NewReader(a.Body)
	return a, func() (e event, err error) {
		for {
			l, err := lines.ReadString('\n')
			if err != nil {
				return e, err
			}
			l = strings.TrimSuffix(l, "\n")
			if name, ok := strings.CutPrefix(l, "event: "); ok {
				e.name = name
			}
			if data, ok := strings.CutPrefix(l, "data: "); ok {
				if err := json.Unmarshal([]byte(data), &e.status); err != nil {
					return e, err
				}
			}
			if l == "" {
				return e, nil
			}
		}
	}
}

func TestStream(t *testing.T) {
	source := &scripted{status: mirror.Status{Program: "regferry", Pairs: []mirror.PairStatus{{Name: "eu\n\ndata: x", State: mirror.Running, Rounds: []mirror.Round{{Number: 1}}}}}}
	s, err := Listen(Options{Listen: "127.0.0.1:0", Source: source})
	if err != nil {
		t.Fatal(err)
	}
	s.http.ReadTimeout, s.http.WriteTimeout = 1500*time.Millisecond, 1500*time.Millisecond // a stream outlasts them
	stop := run(t, s)
	a, next := follow(t, s.URL())
	if a.StatusCode != 200 || a.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %v", a.StatusCode, a.Header)
	}
	begin := time.Now()
	want := func(name string, state mirror.State, rounds int) {
		t.Helper()
		e, err := next()
		if err != nil {
			t.Fatal(err)
		}
		if p := e.status.Pairs[0]; e.name != name || p.State != state || len(p.Rounds) != rounds || p.Name != "eu\n\ndata: x" {
			t.Errorf("%s with %s and %d rounds, want %s, %s, %d", e.name, p.State, len(p.Rounds), name, state, rounds)
		}
	}
	want("status", mirror.Running, 1)
	want("brief", mirror.Running, 0)
	source.set(func() {
		source.status.Pairs = []mirror.PairStatus{{Name: "eu\n\ndata: x", State: mirror.Waiting, Rounds: []mirror.Round{{Number: 1}}}}
	})
	want("brief", mirror.Waiting, 0)
	source.set(func() {
		source.status.Pairs = []mirror.PairStatus{{Name: "eu\n\ndata: x", State: mirror.Waiting, Rounds: []mirror.Round{{Number: 2}, {Number: 1}}}}
	})
	want("status", mirror.Waiting, 2)
	want("brief", mirror.Waiting, 0)
	if took := time.Since(begin); took < 3*every {
		t.Errorf("five events in %v", took)
	}
	stop()
	for {
		if _, err := next(); err != nil {
			break // it ends with the server
		}
	}
}

func TestStreamsAreBounded(t *testing.T) {
	s, stop := serve(t, Options{Source: &scripted{}})
	for range maxClients {
		s.clients <- struct{}{}
	}
	if a, body := ask(t, "GET", s.URL()+"/events/stream", ""); a.StatusCode != 503 || a.Header.Get("Retry-After") == "" || !strings.Contains(body, "/status") {
		t.Errorf("one more: %d %q", a.StatusCode, body)
	}
	for range maxClients {
		<-s.clients
	}
	for range 3 {
		a, next := follow(t, s.URL())
		if _, err := next(); err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
	}
	for i := 0; len(s.clients) > 0; i++ {
		if i == 100 {
			t.Fatalf("%d streams are left", len(s.clients))
		}
		time.Sleep(50 * time.Millisecond)
	}
	stop()
}
