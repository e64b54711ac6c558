package swift_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/regferry/regferry/backends"
)

// lost does what is asked, and loses the answer.
func lost(w http.ResponseWriter, r *http.Request, forward http.Handler) {
	forward.ServeHTTP(httptest.NewRecorder(), r)
	says(http.StatusGatewayTimeout)(w, r, nil)
}

// accepted: Swift says 202 where it does not store what is older than what is
// there. That is no success, and nothing goes.
func accepted(t *testing.T, x *faults) {
	s := open(t, x.o)
	defer s.Close()
	old := newBlob("old", 3<<20)
	if _, err := s.Put(t.Context(), "docker/x", old.Content); err != nil {
		t.Fatal(err)
	}
	for name, size := range map[string]int{"small": 10, "large": 2 << 20} {
		other := newBlob(name, size)
		x.strike(1<<40, func(r *http.Request) bool {
			return isPut(r) && strings.Contains(r.URL.Path, "/files/") && r.Header.Get("If-None-Match") == ""
		}, says(http.StatusAccepted))
		if _, err := s.Put(t.Context(), "docker/x", other.Content); !errors.Is(err, backends.Transient) || !strings.Contains(err.Error(), "later time") {
			t.Errorf("%s: %v, want %v", name, err, backends.Transient)
		}
		x.gate.Meet(nil)
		holds(t, s, "docker/x", old.b)
	}
	x.strike(1<<40, isPut, says(http.StatusAccepted))
	if _, err := s.Put(t.Context(), "docker/y", newBlob("new", 10).Content); !errors.Is(err, backends.Transient) {
		t.Errorf("%v, want %v", err, backends.Transient)
	}
}

// otherSegments: the ETag of the whole is not that of what was sent.
func otherSegments(t *testing.T, x *faults) {
	s := open(t, x.o)
	defer s.Close()
	b := newBlob("together", 3<<20)
	x.strike(1, isManifest, func(w http.ResponseWriter, r *http.Request, forward http.Handler) {
		said := httptest.NewRecorder()
		forward.ServeHTTP(said, r)
		maps.Copy(w.Header(), said.Header())
		w.Header().Set("Etag", `"`+strings.Repeat("a", 32)+`"`)
		w.WriteHeader(http.StatusCreated) // the recorder has the 100 before it
	})
	if _, err := s.Put(t.Context(), b.key(), b.Content); !errors.Is(err, backends.Corrupt) {
		t.Errorf("%v, want %v", err, backends.Corrupt)
	}
	if _, err := s.Stat(t.Context(), b.key()); !errors.Is(err, backends.NotFound) {
		t.Errorf("it is there: %v", err)
	}
	if left := x.segments(); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// late: the manifest is stored, and the time for it is over before the answer.
func late(t *testing.T, x *faults) {
	s := open(t, x.o)
	defer s.Close()
	s.ManifestMost(10 * time.Second)
	b := newBlob("late", 3<<20)
	x.strike(1<<40, isManifest, func(_ http.ResponseWriter, r *http.Request, forward http.Handler) {
		forward.ServeHTTP(httptest.NewRecorder(), r)
		<-r.Context().Done()
	})
	if _, err := s.Put(t.Context(), b.key(), b.Content); err != nil {
		t.Errorf("it was stored: %v", err)
	}
	holds(t, s, b.key(), b.b)
}

// inPlace: nobody could find out that it was stored. The next try finds it, has
// the source's verdict, and sends nothing.
func inPlace(t *testing.T, x *faults) {
	s := open(t, x.o)
	defer s.Close()
	b := newBlob("in place", 3<<20)
	var saved backends.Upload
	b.Content.Saved = func(u backends.Upload) error { saved = u; return nil }
	var stored atomic.Bool
	x.gate.Meet(func(w http.ResponseWriter, r *http.Request, forward http.Handler) bool {
		switch {
		case isManifest(r):
			lost(w, r, forward)
			stored.Store(true)
			return true
		case stored.Load() && strings.Contains(r.URL.Path, "/files/"):
			says(http.StatusServiceUnavailable)(w, r, forward)
			return true
		}
		return false
	})
	if _, err := s.Put(t.Context(), b.key(), b.Content); !errors.Is(err, backends.Transient) {
		t.Fatalf("%v, want %v", err, backends.Transient)
	}
	if saved.Offset != int64(len(b.b)) {
		t.Fatalf("saved at %d of %d bytes", saved.Offset, len(b.b))
	}
	again := b.Content
	again.From = saved
	bad := again
	wrong := &backends.Error{Op: "read", Class: backends.Corrupt, Err: errors.New("not what its digest says")}
	bad.Open = func(context.Context, int64) (io.ReadCloser, error) { return io.NopCloser(failing{wrong}), nil }
	isHead := func(r *http.Request) bool { return r.Method == http.MethodHead }
	for _, falsely := range []int64{2, 0} { // 404 for an object that is there, and what there is
		x.strike(falsely, isHead, says(http.StatusNotFound))
		if _, err := s.Put(t.Context(), b.key(), bad); !errors.Is(err, wrong) {
			t.Errorf("the verdict is not asked for: %v", err)
		}
		x.gate.Meet(nil)
		holds(t, s, b.key(), b.b)
	}
	puts := x.strike(0, isPut, nil)
	if _, err := s.Put(t.Context(), b.key(), again); err != nil || puts.Load() != 0 {
		t.Errorf("%d PUTs, %v", puts.Load(), err)
	}
	holds(t, s, b.key(), b.b)
	if n := len(x.segments()); n != 3 {
		t.Errorf("%d segments", n)
	}
	// Neither the object is seen nor its segments: they stay all the same.
	var heads, lists atomic.Int64
	x.gate.Meet(func(w http.ResponseWriter, r *http.Request, forward http.Handler) bool {
		switch {
		case isHead(r) && heads.Add(1) <= 2:
			says(http.StatusNotFound)(w, r, forward)
		case isList(r) && lists.Add(1) == 1:
			_, _ = w.Write([]byte("[]"))
		default:
			return false
		}
		return true
	})
	again.Open = bad.Open
	if _, err := s.Put(t.Context(), b.key(), again); !errors.Is(err, wrong) {
		t.Error(err)
	}
	x.gate.Meet(nil)
	holds(t, s, b.key(), b.b)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// refusedLater: the manifest is stored and the answer lost, and what the service
// says to it after that is no.
func refusedLater(t *testing.T, x *faults) {
	s := open(t, x.o)
	defer s.Close()
	for _, status := range []int{http.StatusForbidden, http.StatusRequestEntityTooLarge} {
		b := newBlob(http.StatusText(status), 3<<20)
		var tries atomic.Int64
		x.gate.Meet(func(w http.ResponseWriter, r *http.Request, forward http.Handler) bool {
			if !isManifest(r) {
				return false
			}
			if tries.Add(1) == 1 {
				lost(w, r, forward)
			} else {
				says(status)(w, r, forward)
			}
			return true
		})
		if _, err := s.Put(t.Context(), b.key(), b.Content); err != nil {
			t.Errorf("it was stored: %v", err)
		}
		holds(t, s, b.key(), b.b)
	}
	// Nobody can look: then the segments stay. Refused at once, they go.
	b := newBlob("nobody looks", 3<<20)
	before := len(x.segments())
	var tries atomic.Int64
	x.gate.Meet(func(w http.ResponseWriter, r *http.Request, forward http.Handler) bool {
		switch {
		case isManifest(r) && tries.Add(1) == 1:
			lost(w, r, forward)
			return true
		case tries.Load() > 0 && strings.Contains(r.URL.Path, "/files/"):
			says(http.StatusForbidden)(w, r, forward)
			return true
		}
		return false
	})
	if _, err := s.Put(t.Context(), b.key(), b.Content); !errors.Is(err, backends.Denied) {
		t.Errorf("%v, want %v", err, backends.Denied)
	}
	x.gate.Meet(nil)
	holds(t, s, b.key(), b.b)
	b = newBlob("refused at once", 3<<20)
	x.strike(1<<40, isManifest, says(http.StatusForbidden))
	if _, err := s.Put(t.Context(), b.key(), b.Content); !errors.Is(err, backends.Denied) {
		t.Errorf("%v, want %v", err, backends.Denied)
	}
	if n := len(x.segments()); n != before+3 {
		t.Errorf("%d segments, want %d", n, before+3)
	}
}
