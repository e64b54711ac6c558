package web

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/regferry/regferry/migrate/mirror"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// scripted is a Source that says what the test wants.
type scripted struct {
	mu                    sync.Mutex
	status                mirror.Status
	healthy, alive, ready error
	room                  int
	hints                 []string
	looks                 int
}

func (s *scripted) Status() mirror.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looks++
	now := s.status
	now.Pairs = slices.Clone(now.Pairs)
	if now.Now.IsZero() {
		now.Now = time.Now()
	}
	return now
}

func (s *scripted) Hint(repository string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.hints) >= s.room {
		return false
	}
	s.hints = append(s.hints, repository)
	return true
}

func (s *scripted) Healthy() error { s.mu.Lock(); defer s.mu.Unlock(); return s.healthy }
func (s *scripted) Alive() error   { s.mu.Lock(); defer s.mu.Unlock(); return s.alive }
func (s *scripted) Ready() error   { s.mu.Lock(); defer s.mu.Unlock(); return s.ready }

// set changes what it says.
func (s *scripted) set(f func()) { s.mu.Lock(); defer s.mu.Unlock(); f() }

// serve runs a server on a free port of this machine until the test ends, or
// until stop is called.
func serve(t *testing.T, o Options) (s *Server, stop func()) {
	t.Helper()
	if o.Listen == "" {
		o.Listen = "127.0.0.1:0"
	}
	s, err := Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	return s, run(t, s)
}

func run(t *testing.T, s *Server) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(2 * graceful):
			t.Error("the server does not end")
		}
	})
	t.Cleanup(stop)
	return stop
}

// client leaves no connection behind.
func client(t *testing.T) *http.Client {
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 30 * time.Second}
}

// ask sends a request and returns the answer and its body.
func ask(t *testing.T, method, url, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
	}
	c := client(t)
	defer c.CloseIdleConnections()
	a, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	data, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a, string(data)
}

// write replaces a file as an operator does, with another time.
func write(t *testing.T, path, data string) {
	t.Helper()
	if err := os.WriteFile(path+".new", []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

// pair makes a certificate with a serial number, and its key.
func pair(t *testing.T, serial int64) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: fmt.Sprint(serial)}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

func join(dir, name string) string { return filepath.Join(dir, name) }
