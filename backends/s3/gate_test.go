package s3_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding"
	"hash"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/backends/s3"
)

// gate stands between a store and a real server. It counts requests, and each
// may be met with a fault; the signature stays right, since the host is kept.
type gate struct {
	*httptest.Server
	mu    sync.Mutex
	seen  map[string]int
	fault func(w http.ResponseWriter, r *http.Request, forward http.Handler) bool // true: it has answered
}

func newGate(t *testing.T, server *servers.S3Server) *gate {
	t.Helper()
	server.Credentials(t)
	at, err := url.Parse(server.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	conns := &http.Transport{MaxIdleConnsPerHost: 16}
	proxy := &httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(at); r.Out.Host = r.In.Host },
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		Transport:    conns,
	}
	g := &gate{seen: map[string]int{}}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		g.seen[kindOf(r)]++
		fault := g.fault
		g.mu.Unlock()
		if fault == nil || !fault(w, r, proxy) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() { g.Close(); conns.CloseIdleConnections() })
	return g
}

// kindOf names a request as the service's manual does.
func kindOf(r *http.Request) string {
	q := r.URL.Query()
	switch {
	case q.Has("uploads") && r.Method == http.MethodGet:
		return "ListMultipartUploads"
	case q.Has("uploads"):
		return "CreateMultipartUpload"
	case q.Has("uploadId"):
		return map[string]string{"GET": "ListParts", "PUT": "UploadPart", "POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload"}[r.Method]
	case q.Has("list-type"):
		return "ListObjectsV2"
	}
	return map[string]string{"GET": "GetObject", "PUT": "PutObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}[r.Method]
}

// counted returns what was asked since the last call.
func (g *gate) counted() map[string]int {
	g.mu.Lock()
	defer g.mu.Unlock()
	seen := g.seen
	g.seen = map[string]int{}
	return seen
}

// strike meets the requests of a kind, from the nth on, times times.
func (g *gate) strike(kind string, n, times int, f http.HandlerFunc) (struck func() int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var mu sync.Mutex
	met, hit := 0, 0
	g.fault = func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if kindOf(r) != kind {
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
	}
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
