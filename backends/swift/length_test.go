package swift_test

import (
	"bytes"
	"io"
	"net/http"
	"testing"
)

// endless answers for a DLO as Swift does where it has as many segments as a page
// of a listing has names: no length, no ETag, and all of it whatever the range.
type endless struct{ http.ResponseWriter }

func (e endless) WriteHeader(status int) {
	if e.Header().Get("X-Object-Manifest") != "" {
		e.Header().Del("Content-Length")
		e.Header().Del("Etag")
	}
	e.ResponseWriter.WriteHeader(status)
}

func unsized(t *testing.T, x *faults) {
	x.o.LargeObjects = "dlo"
	s := open(t, x.o)
	defer s.Close()
	b := newBlob("unsized", 3<<20+5)
	if _, err := s.Put(t.Context(), b.key(), b.Content); err != nil {
		t.Fatal(err)
	}
	hits := x.strike(1<<40, func(r *http.Request) bool { return isGet(r) || r.Method == http.MethodHead }, func(w http.ResponseWriter, r *http.Request, forward http.Handler) {
		r.Header.Del("Range")
		forward.ServeHTTP(endless{w}, r)
	})
	if o, err := s.Stat(t.Context(), b.key()); err != nil || o.Size != int64(len(b.b)) {
		t.Errorf("%+v, %v", o, err)
	}
	for _, offset := range []int64{0, 1<<20 + 7, int64(len(b.b))} {
		body, err := s.Open(t.Context(), b.key(), offset)
		if err != nil {
			t.Errorf("from %d: %v", offset, err)
			continue
		}
		got, err := io.ReadAll(body)
		body.Close()
		if err != nil || !bytes.Equal(got, b.b[offset:]) || body.Object.Size != int64(len(b.b)) {
			t.Errorf("from %d: %d bytes of %d, %v", offset, len(got), body.Object.Size, err)
		}
	}
	if hits.Load() == 0 {
		t.Error("nothing met the gate")
	}
}
