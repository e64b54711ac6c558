package swift_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// falselyAbsent: an object is 404 for as long as it is asked for, and listed; or
// not listed, and 404 only the first time; or nobody can be asked. Its segments
// stay. When it is gone in truth they go.
func falselyAbsent(t *testing.T, x *faults) {
	x.o.DeadAfter = 1
	s := open(t, x.o)
	defer s.Close()
	b := newBlob("live", 2<<20)
	if _, err := s.Put(t.Context(), b.key(), b.Content); err != nil {
		t.Fatal(err)
	}
	ofIt := func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/files/"+b.key()) }
	isSearch := func(r *http.Request) bool {
		return isList(r) && strings.HasSuffix(r.URL.Query().Get("prefix"), "/files/"+b.key())
	}
	absent := says(http.StatusNotFound)
	for name, c := range map[string]struct {
		fault func(n int64, w http.ResponseWriter, r *http.Request, forward http.Handler) bool
		fails bool
	}{
		"404 always, but listed": {fault: func(_ int64, w http.ResponseWriter, r *http.Request, forward http.Handler) bool {
			if ofIt(r) {
				absent(w, r, forward)
			}
			return ofIt(r)
		}},
		"404 at first, and not listed": {fault: func(n int64, w http.ResponseWriter, r *http.Request, forward http.Handler) bool {
			if ofIt(r) && n <= 3 {
				absent(w, r, forward)
				return true
			}
			if isSearch(r) {
				_, _ = w.Write([]byte("[]"))
			}
			return isSearch(r)
		}},
		"404, and no listing": {fails: true, fault: func(_ int64, w http.ResponseWriter, r *http.Request, forward http.Handler) bool {
			if ofIt(r) {
				absent(w, r, forward)
			}
			if isSearch(r) {
				says(http.StatusForbidden)(w, r, forward)
			}
			return ofIt(r) || isSearch(r)
		}},
	} {
		var n atomic.Int64
		x.gate.Meet(func(w http.ResponseWriter, r *http.Request, forward http.Handler) bool {
			seen := n.Load()
			if ofIt(r) {
				seen = n.Add(1)
			}
			return c.fault(seen, w, r, forward)
		})
		if removed, err := s.Clean(t.Context(), nil); removed != 0 || (err != nil) != c.fails {
			t.Errorf("%s: cleaned %d, %v", name, removed, err)
		}
		x.gate.Meet(nil)
		if left := len(x.segments()); left != 2 {
			t.Fatalf("%s: %d segments are left", name, left)
		}
	}
	holds(t, s, b.key(), b.b)
	if err := x.account.ObjectDelete(t.Context(), "images", x.o.Prefix+"/files/"+b.key()); err != nil {
		t.Fatal(err)
	}
	if removed, err := s.Clean(t.Context(), nil); removed != 1 || err != nil {
		t.Errorf("absent in truth: cleaned %d, %v", removed, err)
	}
	if left := x.segments(); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// cleanedTogether: one request for each object that lives, and none of them waits
// for another.
func cleanedTogether(t *testing.T, x *faults) {
	x.o.DeadAfter = 1
	s := open(t, x.o)
	defer s.Close()
	const objects = 3
	for _, seed := range []string{"a", "b", "c"} {
		b := newBlob(seed, 2<<20)
		if _, err := s.Put(t.Context(), b.key(), b.Content); err != nil {
			t.Fatal(err)
		}
	}
	together := make(chan struct{})
	var n atomic.Int64
	x.gate.Meet(func(w http.ResponseWriter, r *http.Request, forward http.Handler) bool {
		if !strings.Contains(r.URL.Path, "/files/") {
			return false
		}
		if n.Add(1) == objects {
			close(together)
		}
		select {
		case <-together:
		case <-time.After(30 * time.Second):
			t.Error("it is asked for one after the other")
		}
		forward.ServeHTTP(w, r)
		return true
	})
	if removed, err := s.Clean(t.Context(), nil); removed != 0 || err != nil {
		t.Errorf("cleaned %d, %v", removed, err)
	}
	if n.Load() != objects {
		t.Errorf("%d requests for %d objects", n.Load(), objects)
	}
}
