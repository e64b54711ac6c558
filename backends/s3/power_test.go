package s3_test

import (
	"errors"
	"io/fs"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/backends/s3"
)

const lease = ".regferry/lease"

// TestConditionsIgnored is a service that takes If-Match or If-None-Match for
// nothing: it is found out before anything is written.
func TestConditionsIgnored(t *testing.T) {
	server := servers.MinIO(t)
	server.Bucket(t, "ignored")
	for _, header := range []string{"If-Match", "If-None-Match"} {
		g := newGate(t, server)
		var asked atomic.Int64
		g.Meet(func(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
			if r.Header.Get(header) == "" {
				return false
			}
			asked.Add(1)
			r.Header.Del(header) // it is not signed
			next.ServeHTTP(w, r)
			return true
		})
		s := open(t, g.options("ignored")).(*s3.Store)
		for range 2 {
			if _, err := s.PutIf(t.Context(), lease, []byte("x"), ""); !errors.Is(err, backends.Unsupported) {
				t.Errorf("without %s: PutIf: %v", header, err)
			}
		}
		if n := asked.Load(); n == 0 || n > 3 {
			t.Errorf("without %s: %d requests had it; it is asked once", header, n)
		}
		if _, err := s.Stat(t.Context(), lease); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("without %s: the lease was written: %v", header, err)
		}
		for o, err := range s.List(t.Context(), "", "") {
			t.Errorf("without %s: left: %q, %v", header, o.Key, err)
		}
		_ = s.Close()
	}
}

// TestReplaceLosesItsAnswer: what was written is not said to be somebody else's.
func TestReplaceLosesItsAnswer(t *testing.T) {
	server := servers.MinIO(t)
	server.Bucket(t, "lost")
	g := newGate(t, server)
	s := open(t, g.options("lost")).(*s3.Store)
	defer s.Close()
	version, err := s.PutIf(t.Context(), lease, []byte("one"), "")
	if err != nil {
		t.Fatal(err)
	}
	var lost atomic.Bool
	g.Meet(func(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
		if r.Header.Get("If-Match") == "" || !lost.CompareAndSwap(false, true) {
			return false
		}
		next.ServeHTTP(discarded{http.Header{}}, r)
		panic(http.ErrAbortHandler)
	})
	_, err = s.PutIf(t.Context(), lease, []byte("two"), version)
	if err == nil || errors.Is(err, backends.Changed) || !lost.Load() {
		t.Errorf("PutIf whose answer is lost: %v", err)
	}
	if got, _, err := s.Get(t.Context(), lease); err != nil || string(got) != "two" {
		t.Errorf("Get: %q, %v", got, err)
	}
}

type discarded struct{ h http.Header }

func (d discarded) Header() http.Header         { return d.h }
func (d discarded) Write(p []byte) (int, error) { return len(p), nil }
func (d discarded) WriteHeader(int)             {}

func TestDeleteDenied(t *testing.T) {
	server := servers.MinIO(t)
	server.Bucket(t, "denied")
	g := newGate(t, server)
	s := open(t, g.options("denied")).(*s3.Store)
	defer s.Close()
	g.Meet(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if r.Method != http.MethodDelete {
			return false
		}
		says(http.StatusForbidden, "AccessDenied")(w, r)
		return true
	})
	err := s.Delete(t.Context(), "docker/registry/v2/x")
	var e *backends.Error
	if !errors.Is(err, backends.Denied) || !errors.As(err, &e) || e.Op != "delete" || e.Key != "docker/registry/v2/x" {
		t.Errorf("Delete: %v", err)
	}
}
