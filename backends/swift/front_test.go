package swift_test

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/regferry/regferry/backends"
)

func isLogin(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/auth/") }

// loginAnswers: the token is refused, and then the identity service says what it
// likes. No object is absent for that.
func loginAnswers(t *testing.T, x *faults) {
	for status, want := range map[int]backends.Class{404: backends.Denied, 401: backends.Denied, 403: backends.Denied, 503: backends.Transient, 429: backends.Throttled} {
		s := open(t, x.o)
		defer s.Close()
		x.gate.Meet(func(w http.ResponseWriter, r *http.Request, forward http.Handler) bool {
			if isLogin(r) {
				says(status)(w, r, forward)
			} else {
				says(http.StatusUnauthorized)(w, r, forward)
			}
			return true
		})
		_, err := s.Open(t.Context(), "k", 0)
		if errors.Is(err, backends.NotFound) || backends.ClassOf(err) != want || !strings.Contains(err.Error(), x.o.AuthURL) {
			t.Errorf("%d at a login: %v, want %v", status, err, want)
		}
		x.gate.Meet(nil)
	}
}

// inFront: a load balancer without a server behind it knows of no object.
func inFront(t *testing.T, x *faults) {
	s := open(t, x.o)
	defer s.Close()
	b := newBlob("behind", 1000)
	if _, err := s.Put(t.Context(), b.key(), b.Content); err != nil {
		t.Fatal(err)
	}
	all := func(*http.Request) bool { return true }
	for name, ask := range map[string]func() error{
		"stat":   func() error { _, err := s.Stat(t.Context(), b.key()); return err },
		"delete": func() error { return s.Delete(t.Context(), b.key()) },
		"open": func() error {
			body, err := s.Open(t.Context(), b.key(), 0)
			if err == nil {
				err = body.Close()
			}
			return err
		},
		"list": func() error {
			for _, err := range s.List(t.Context(), "docker/", "") {
				return err
			}
			return nil
		},
	} {
		x.strike(1<<40, all, front(http.StatusNotFound))
		if err := ask(); backends.ClassOf(err) != backends.Transient || !strings.Contains(err.Error(), "in front of it") {
			t.Errorf("%s: %v, want %v", name, err, backends.Transient)
		}
		x.strike(1, all, front(http.StatusNotFound))
		if name == "delete" {
			continue
		}
		if err := ask(); err != nil {
			t.Errorf("%s, once: %v", name, err)
		}
	}
	x.gate.Meet(nil)
	if _, err := s.Stat(t.Context(), "none"); !errors.Is(err, backends.NotFound) {
		t.Errorf("by the service itself: %v", err)
	}
}

// stalled: a proxy keeps the connection and sends nothing more of what it began.
func stalled(t *testing.T, x *faults) {
	s := open(t, x.o)
	defer s.Close()
	b := newBlob("stalled", 1000)
	if _, err := s.Put(t.Context(), b.key(), b.Content); err != nil {
		t.Fatal(err)
	}
	s.Within(2 * time.Second)
	x.strike(1, isGet, func(w http.ResponseWriter, r *http.Request, forward http.Handler) {
		said := httptest.NewRecorder()
		forward.ServeHTTP(said, r)
		maps.Copy(w.Header(), said.Header())
		_, _ = w.Write(b.b[:500])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	body, err := s.Open(t.Context(), b.key(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if got, err := io.ReadAll(body); len(got) != 500 || !errors.Is(err, backends.Transient) {
		t.Errorf("%d bytes, %v, want %v", len(got), err, backends.Transient)
	}
}
