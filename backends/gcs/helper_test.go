package gcs_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding"
	"hash"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest/fakegcs"
	"github.com/regferry/regferry/backends/gcs"
)

func opening(s backends.ReadStore, key string) func(context.Context, int64) (io.ReadCloser, error) {
	return func(ctx context.Context, off int64) (io.ReadCloser, error) {
		b, err := s.Open(ctx, key, off)
		return b, err
	}
}

// contentOf is content with the state of its hash.
func contentOf(b []byte) backends.Content {
	return backends.Content{Size: int64(len(b)), Open: func(_ context.Context, off int64) (io.ReadCloser, error) {
		h := sha256.New()
		h.Write(b[:off])
		return &hashed{bytes.NewReader(b[off:]), h}, nil
	}}
}

type hashed struct {
	r   io.Reader
	sum hash.Hash
}

func (h *hashed) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	h.sum.Write(p[:n])
	return n, err
}
func (h *hashed) Close() error { return nil }
func (h *hashed) MarshalBinary() ([]byte, error) {
	return h.sum.(encoding.BinaryMarshaler).MarshalBinary()
}

// some is content that differs from place to place.
func some(size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i>>16) ^ byte(i>>8)*3 ^ byte(i)
	}
	return b
}

// holds reads a key and compares; nil means that nothing must be there.
func holds(t *testing.T, s backends.ReadStore, key string, want []byte) {
	t.Helper()
	b, err := s.Open(t.Context(), key, 0)
	if want == nil {
		if backends.ClassOf(err) != backends.NotFound {
			t.Errorf("%s must be absent: %v", key, err)
		}
		return
	}
	if err != nil {
		t.Error(err)
		return
	}
	defer b.Close()
	if got, err := io.ReadAll(b); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s holds %d bytes, want %d that are others; error %v", key, len(got), len(want), err)
	}
}

// notices collects them.
type notices struct {
	mu  sync.Mutex
	all []string
}

func (n *notices) add(text string) { n.mu.Lock(); defer n.mu.Unlock(); n.all = append(n.all, text) }

func (n *notices) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Join(n.all, "\n")
}

// strike meets the requests of a kind, from the nth on, times times.
func strike(server *fakegcs.Server, kind string, n, times int, f http.HandlerFunc) (struck func() int) {
	var mu sync.Mutex
	met, hit := 0, 0
	server.Meet(func(w http.ResponseWriter, r *http.Request) bool {
		if fakegcs.Kind(r) != kind {
			return false
		}
		mu.Lock()
		met++
		mine := met >= n && hit < times
		if mine {
			hit++
		}
		mu.Unlock()
		if mine {
			f(w, r)
		}
		return mine
	})
	return func() int { mu.Lock(); defer mu.Unlock(); return hit }
}

func says(status int, reason string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		fakegcs.Refuse(w, status, reason, "made for a test")
	}
}

func drops(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// dropsHalf reads a part of a chunk and breaks off.
func dropsHalf(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.CopyN(io.Discard, r.Body, 300<<10)
	panic(http.ErrAbortHandler)
}

// onFake is a store on a fake of its own, without pauses that tests wait for.
func onFake(t *testing.T) (*fakegcs.Server, *gcs.Store, *notices) {
	t.Helper()
	server, said := fakegcs.New(t, "b"), &notices{}
	s := open(t, gcs.Options{Bucket: "b", Prefix: "pre", Endpoint: server.URL, Anonymous: true, PartSize: partSize, Notice: said.add})
	t.Cleanup(func() { s.Close() })
	server.Counted()
	return server, s, said
}
