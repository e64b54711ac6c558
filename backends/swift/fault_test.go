package swift_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	ncw "github.com/ncw/swift/v2"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/backends/swift"
)

// TestFaults has a real Swift behind a gate, at which requests meet what
// happens to them on the way.
func TestFaults(t *testing.T) {
	t.Parallel()
	server := servers.Swift(t)
	account := server.Account(t)
	makeContainer(t, account, "images")
	for name, f := range map[string]func(*testing.T, *faults){
		"a token that expired is renewed":          expired,
		"excuses are waited for":                   excuses,
		"a wrong byte is refused":                  wrongByte,
		"a manifest that is in doubt":              doubt,
		"what is replaced leaves nothing":          replaced,
		"clean removes what is dead":               cleaned,
		"a listing that was cut is none":           cut,
		"quota and rights":                         classes,
		"a redirect is not followed":               redirected,
		"a container that is gone is not NotFound": gone,
		"a login is no object's":                   loginAnswers,
		"a 404 of a load balancer":                 inFront,
		"a later object is there":                  accepted,
		"other segments were put together":         otherSegments,
		"an answer that comes too late":            late,
		"in place, and nobody knew":                inPlace,
		"a refusal after a lost answer":            refusedLater,
		"clean believes no 404 alone":              falselyAbsent,
		"clean asks once, and many at once":        cleanedTogether,
		"a DLO that does not say its length":       unsized,
		"an answer that stalls":                    stalled,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gate := servers.NewGate(t, server.S3)
			o := options(server, "images")
			o.AuthURL, o.Prefix = gate.URL+"/auth/v1.0", strings.ReplaceAll(name, " ", "-")
			x := &faults{gate: gate, o: o, account: account, segments: func() []string { return segmentsBelow(t, account, o.Prefix+"/") }}
			f(t, x)
		})
	}
}

type faults struct {
	gate     *servers.Gate
	o        swift.Options
	account  *ncw.Connection
	segments func() []string
}

// strike meets up to times requests that match.
func (x *faults) strike(times int64, match func(*http.Request) bool, f func(http.ResponseWriter, *http.Request, http.Handler)) *atomic.Int64 {
	var hits atomic.Int64
	x.gate.Meet(func(w http.ResponseWriter, r *http.Request, forward http.Handler) bool {
		if !match(r) || hits.Add(1) > times {
			return false
		}
		f(w, r, forward)
		return true
	})
	return &hits
}

// says has the service answer so, and front what is before it.
func says(status int) func(http.ResponseWriter, *http.Request, http.Handler) {
	said := front(status)
	return func(w http.ResponseWriter, r *http.Request, forward http.Handler) {
		w.Header().Set("X-Trans-Id", "tx-of-a-test")
		said(w, r, forward)
	}
}

func front(status int) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "<html><h1>No</h1><p>made for a test</p></html>")
	}
}

func isPut(r *http.Request) bool { return r.Method == http.MethodPut }
func isGet(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/files/")
}
func isList(r *http.Request) bool     { return r.URL.Query().Get("format") == "json" }
func isManifest(r *http.Request) bool { return r.URL.Query().Get("multipart-manifest") == "put" }

func expired(t *testing.T, x *faults) {
	s := open(t, x.o)
	defer s.Close()
	b := newBlob("expired", 1000)
	for _, match := range []func(*http.Request) bool{isPut, isGet} {
		hits := x.strike(1, match, says(http.StatusUnauthorized))
		if _, err := s.Put(t.Context(), b.key(), b.Content); err != nil {
			t.Error(err)
		}
		holds(t, s, b.key(), b.b)
		if hits.Load() < 2 {
			t.Errorf("%d requests met the gate", hits.Load())
		}
	}
	x.strike(1<<40, isGet, says(http.StatusUnauthorized))
	if _, err := s.Open(t.Context(), b.key(), 0); !errors.Is(err, backends.Denied) {
		t.Errorf("refused for ever: %v", err)
	}
}

func excuses(t *testing.T, x *faults) {
	s := open(t, x.o)
	defer s.Close()
	b := newBlob("excuses", 1000)
	for _, status := range []int{503, 429, 498, 500, 408} {
		x.strike(2, isPut, says(status))
		if _, err := s.Put(t.Context(), b.key(), b.Content); err != nil {
			t.Errorf("after %d twice: %v", status, err)
		}
	}
	x.strike(1, isGet, func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) })
	holds(t, s, b.key(), b.b)
}

func flip(w http.ResponseWriter, r *http.Request, forward http.Handler) {
	b, _ := io.ReadAll(r.Body)
	b[len(b)/2] ^= 1
	r.Body = io.NopCloser(bytes.NewReader(b))
	forward.ServeHTTP(w, r)
}

func wrongByte(t *testing.T, x *faults) {
	s := open(t, x.o)
	defer s.Close()
	for _, size := range []int{1000, 3 << 20} {
		b := newBlob("flipped", size)
		x.strike(1, isPut, flip)
		if _, err := s.Put(t.Context(), b.key(), b.Content); !errors.Is(err, backends.Corrupt) {
			t.Errorf("%d bytes: %v, want %v", size, err, backends.Corrupt)
		}
		if _, err := s.Stat(t.Context(), b.key()); !errors.Is(err, backends.NotFound) {
			t.Errorf("%d bytes: it is there: %v", size, err)
		}
	}
	if left := x.segments(); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

func doubt(t *testing.T, x *faults) {
	s := open(t, x.o)
	defer s.Close()
	b := newBlob("doubt", 3<<20)
	// Stored, and the answer is lost each time.
	x.strike(1<<40, isManifest, func(w http.ResponseWriter, r *http.Request, forward http.Handler) {
		forward.ServeHTTP(httptest.NewRecorder(), r)
		says(http.StatusBadGateway)(w, r, nil)
	})
	if _, err := s.Put(t.Context(), b.key(), b.Content); err != nil {
		t.Errorf("it was stored: %v", err)
	}
	holds(t, s, b.key(), b.b)
	// Not stored, as far as can be seen: the segments stay for whoever has them.
	other := newBlob("another doubt", 3<<20)
	x.strike(1<<40, isManifest, says(http.StatusBadGateway))
	if _, err := s.Put(t.Context(), other.key(), other.Content); !errors.Is(err, backends.Transient) {
		t.Errorf("%v, want %v", err, backends.Transient)
	}
	x.gate.Meet(nil)
	if n := len(x.segments()); n != 6 {
		t.Errorf("%d segments", n)
	}
	x.o.DeadAfter = 1
	after := open(t, x.o)
	defer after.Close()
	if n, err := after.Clean(t.Context(), nil); n != 1 || err != nil {
		t.Errorf("cleaned %d, %v", n, err)
	}
	if n := len(x.segments()); n != 3 {
		t.Errorf("%d segments after Clean", n)
	}
	holds(t, s, b.key(), b.b)
}

func replaced(t *testing.T, x *faults) {
	for _, kind := range []string{"slo", "dlo", "slo"} {
		x.o.LargeObjects = kind
		s := open(t, x.o)
		defer s.Close()
		for _, size := range []int{3 << 20, 2<<20 + 1, 10} {
			b := newBlob(kind, size)
			if _, err := s.Put(t.Context(), "docker/x", b.Content); err != nil {
				t.Fatal(err)
			}
			holds(t, s, "docker/x", b.b)
			if n, want := len(x.segments()), (size+partSize-1)/partSize; n != want && size > partSize || size < partSize && n != 0 {
				t.Errorf("%s: %d segments of an object of %d", kind, n, want)
			}
		}
	}
}

func cleaned(t *testing.T, x *faults) {
	x.o.DeadAfter, x.o.Parallel = 1, 1
	s := open(t, x.o)
	defer s.Close()
	whole := newBlob("whole", 2<<20)
	if _, err := s.Put(t.Context(), whole.key(), whole.Content); err != nil {
		t.Fatal(err)
	}
	b := newBlob("interrupted", 4<<20)
	var tokens []string
	b.Content.Saved = func(u backends.Upload) error {
		if tokens = append(tokens, u.Token); u.Offset > 2<<20 {
			return errors.New("enough")
		}
		return nil
	}
	if _, err := s.Put(t.Context(), b.key(), b.Content); err == nil {
		t.Fatal("it was to be interrupted")
	}
	had := len(x.segments())
	if n, err := s.Clean(t.Context(), map[string]bool{tokens[0]: true}); n != 0 || err != nil {
		t.Errorf("with the token kept, cleaned %d, %v", n, err)
	}
	if n := len(x.segments()); n != had || had < 5 {
		t.Errorf("%d segments, had %d", n, had)
	}
	if n, err := s.Clean(t.Context(), nil); n != 1 || err != nil {
		t.Errorf("cleaned %d, %v", n, err)
	}
	if n := len(x.segments()); n != 2 {
		t.Errorf("%d segments are left", n)
	}
	holds(t, s, whole.key(), whole.b)
}

func cut(t *testing.T, x *faults) {
	s := open(t, x.o)
	defer s.Close()
	for _, name := range []string{"a", "b"} {
		if _, err := s.Put(t.Context(), name, newBlob(name, 10).Content); err != nil {
			t.Fatal(err)
		}
	}
	for name, body := range map[string]string{"cut": `[{"name": "a", "bytes": 10}, {"na`, "empty": "", "null": "null", "a page of a proxy": "<html>"} {
		sent := func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { _, _ = io.WriteString(w, body) }
		x.strike(1, isList, sent)
		n := 0
		for _, err := range s.List(t.Context(), "", "") {
			if n++; err != nil {
				t.Errorf("%s, once: %v", name, err)
			}
		}
		if n != 2 {
			t.Errorf("%s, once: %d objects", name, n)
		}
	}
	x.strike(1<<40, isList, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { _, _ = io.WriteString(w, "[{") })
	var last error
	for _, err := range s.List(t.Context(), "", "") {
		last = err
	}
	if !errors.Is(last, backends.Transient) {
		t.Errorf("cut each time: %v", last)
	}
}

func classes(t *testing.T, x *faults) {
	s := open(t, x.o)
	defer s.Close()
	b := newBlob("classes", 10)
	for status, want := range map[int]backends.Class{
		403: backends.Denied, 413: backends.Full, 507: backends.Full, 409: backends.Changed, 404: backends.Denied, 405: backends.Unsupported,
	} {
		x.strike(1<<40, isPut, says(status))
		_, err := s.Put(t.Context(), "k", b.Content)
		if !errors.Is(err, want) || status != 404 && !strings.Contains(err.Error(), "No made for a test [HTTP") {
			t.Errorf("%d: %v, want %v", status, err, want)
		}
	}
}

func redirected(t *testing.T, x *faults) {
	s := open(t, x.o)
	defer s.Close()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the token went elsewhere: %q", r.Header.Get("X-Auth-Token"))
	}))
	defer elsewhere.Close()
	x.strike(1<<40, isGet, func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		http.Redirect(w, r, elsewhere.URL, http.StatusFound)
	})
	if _, err := s.Open(t.Context(), "k", 0); !errors.Is(err, backends.Denied) {
		t.Errorf("%v, want %v", err, backends.Denied)
	}
}

func gone(t *testing.T, x *faults) {
	s := open(t, x.o)
	defer s.Close()
	x.strike(1<<40, isList, says(http.StatusNotFound))
	n := 0
	for _, err := range s.List(t.Context(), "docker/", "") {
		if n++; !errors.Is(err, backends.Denied) {
			t.Errorf("%v, want %v", err, backends.Denied)
		}
	}
	if n != 1 {
		t.Errorf("%d pairs", n)
	}
}
