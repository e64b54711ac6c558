package s3_test

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

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/backends/s3"
)

// gate is a gate that can be told what to do.
type gate struct{ *servers.Gate }

func newGate(t *testing.T, server *servers.S3Server) *gate {
	t.Helper()
	server.Credentials(t)
	return &gate{servers.NewGate(t, server)}
}

// strike meets the requests of a kind, from the nth on, times times.
func (g *gate) strike(kind string, n, times int, f http.HandlerFunc) (struck func() int) {
	var mu sync.Mutex
	met, hit := 0, 0
	g.Meet(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if servers.S3Request(r) != kind {
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

func says(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "<Error><Code>"+code+"</Code><Message>made for a test</Message></Error>")
	}
}

func drops(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// blob is content with its digest.
type blob struct {
	b []byte
	backends.Content
}

func newBlob(seed string, size int) *blob {
	b := bytes.Repeat([]byte(seed+"."), size/(len(seed)+1)+1)[:size]
	return &blob{b, backends.Content{
		Size: int64(size), Digest: digest.FromBytes(b),
		Open: func(_ context.Context, off int64) (io.ReadCloser, error) {
			h := sha256.New()
			h.Write(b[:off])
			return &hashed{bytes.NewReader(b[off:]), h}, nil
		},
	}}
}

func (b *blob) key() string {
	hex := b.Digest.Encoded()
	return "docker/registry/v2/blobs/sha256/" + hex[:2] + "/" + hex + "/data"
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

// holds reads a key and compares.
func holds(t *testing.T, s backends.ReadStore, key string, want []byte) {
	t.Helper()
	b, err := s.Open(t.Context(), key, 0)
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

func (n *notices) has(part string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Contains(strings.Join(n.all, "\n"), part)
}

func (g *gate) options(bucket string) s3.Options {
	return s3.Options{Bucket: bucket, Endpoint: g.URL, PathStyle: true, PartSize: partSize}
}
