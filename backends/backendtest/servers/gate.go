package servers

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
)

// Gate stands between a store and a real S3 server. It counts requests, and
// each may be met with a fault; signatures stay right, since the host is kept.
type Gate struct {
	*httptest.Server
	mu    sync.Mutex
	seen  map[string]int
	fault Meeting
}

// NewGate opens a gate to server, and ends it with the test.
func NewGate(t testing.TB, server *S3Server) *Gate {
	t.Helper()
	at, err := url.Parse(server.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	conns := &http.Transport{MaxIdleConnsPerHost: 64}
	proxy := &httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(at); r.Out.Host = r.In.Host },
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		Transport:    conns,
	}
	g := &Gate{seen: map[string]int{}}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		g.seen[S3Request(r)]++
		fault := g.fault
		g.mu.Unlock()
		if fault == nil || !fault(w, r, proxy) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() { g.Close(); conns.CloseIdleConnections() })
	return g
}

// Meeting is what a request meets: true says that it was answered. Forward
// asks the server.
type Meeting func(w http.ResponseWriter, r *http.Request, forward http.Handler) bool

// Meet has each request met by fault from now on, nil for none.
func (g *Gate) Meet(fault Meeting) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fault = fault
}

// Counted returns how often each request was made since the last call.
func (g *Gate) Counted() map[string]int {
	g.mu.Lock()
	defer g.mu.Unlock()
	seen := maps.Clone(g.seen)
	clear(g.seen)
	return seen
}

// S3Request names a request as the service's manual does.
func S3Request(r *http.Request) string {
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
	case r.Header.Get("X-Amz-Copy-Source") != "":
		return "CopyObject"
	}
	return map[string]string{"GET": "GetObject", "PUT": "PutObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}[r.Method]
}
