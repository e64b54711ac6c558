package backendtest

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/regferry/regferry/backends"
)

// CheckTimeouts has a driver class what a service that does not answer does to
// its requests: net and net/http say of that errors.Is(err,
// context.DeadlineExceeded), though no context has ended. Such is Transient. The
// end of a context, which looks much the same, is Unknown.
func CheckTimeouts(t *testing.T, classOf func(error) backends.Class) {
	t.Helper()
	for name, err := range timeouts(t) {
		if got := classOf(err); got != backends.Transient {
			t.Errorf("%s: %v (%T) is %v, want %v", name, err, err, got, backends.Transient)
		}
	}
	for name, err := range ends(t) {
		if got := classOf(err); got != backends.Unknown {
			t.Errorf("%s: %v (%T) is %v, want %v", name, err, err, got, backends.Unknown)
		}
	}
}

// timeouts are errors of requests that nobody answered in time.
func timeouts(t *testing.T) map[string]error {
	t.Helper()
	at := silent(t)
	past := &net.Dialer{Deadline: time.Now().Add(-time.Second)}
	late := &http.Transport{ResponseHeaderTimeout: time.Millisecond}
	t.Cleanup(late.CloseIdleConnections)
	_, dial := past.DialContext(t.Context(), "tcp", "127.0.0.1:9")
	limited, stop := backends.DetachedFor(t.Context(), 50*time.Millisecond)
	defer stop()
	inside, stop := context.WithCancel(limited) // as an SDK makes
	defer stop()
	return map[string]error{
		"a dial":                      dial,
		"a request that cannot dial":  request(t.Context(), &http.Client{Transport: &http.Transport{DialContext: past.DialContext}}, at),
		"a request without headers":   request(t.Context(), &http.Client{Transport: late}, at),
		"a request in its own time":   request(limited, &http.Client{Transport: &http.Transport{}}, at),
		"the end of that time":        limited.Err(),
		"and of what was made of it":  inside.Err(),
		"one that is sent after it":   request(inside, &http.Client{Transport: &http.Transport{}}, at),
		"a client with a time of its": request(t.Context(), &http.Client{Timeout: time.Millisecond}, at),
	}
}

// ends are errors of requests whose contexts have ended, before they were sent
// and while they were under way.
func ends(t *testing.T) map[string]error {
	t.Helper()
	at := silent(t)
	client := &http.Client{Transport: &http.Transport{}}
	over, stop := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer stop()
	short, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	gone, stop := context.WithCancel(t.Context())
	stop()
	_, dial := (&net.Dialer{}).DialContext(gone, "tcp", "127.0.0.1:9")
	limited, stop := backends.DetachedFor(gone, 50*time.Millisecond)
	defer stop()
	return map[string]error{
		"a deadline before":         request(over, client, at),
		"a deadline under way":      request(short, client, at),
		"a cancellation":            request(gone, client, at),
		"a dial that was cancelled": dial,
		"what outlived the caller":  request(limited, client, at),
	}
}

// silent is the address of a server that accepts requests and answers none.
func silent(t *testing.T) string {
	t.Helper()
	over := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-over:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(s.Close)
	t.Cleanup(func() { close(over) })
	return s.URL
}

func request(ctx context.Context, c *http.Client, at string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return err
	}
	resp, err := c.Do(req)
	if err == nil {
		resp.Body.Close()
	}
	return err
}
