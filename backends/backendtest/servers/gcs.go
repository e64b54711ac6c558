package servers

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// GCSServer is a running fake-gcs-server: an emulator, since there is no other
// implementation of Google's service. It keeps all in memory and asks for no
// credentials.
type GCSServer struct {
	Endpoint string // http://127.0.0.1:port
	Log      string // the file its output goes to

	// Only of GCSForRegistry: what a registry needs to reach it.
	KeyFile string // of a service account made for it
	CAFile  string // that its certificates are signed with
	Proxy   string // takes it for Google

	process *process
	http    *http.Client
}

// GCS starts the emulator.
//
// It differs from the service in that it takes no notice of X-Goog-Hash, ends
// an upload when it is asked how far it is, and accepts a chunk at any offset.
func GCS(t testing.TB) *GCSServer {
	t.Helper()
	program := Tool(t, "fake-gcs-server")
	// A free port may be taken by another process before the server has it.
	for range 3 {
		addr := freeAddr(t)
		_, port, _ := net.SplitHostPort(addr)
		s := newGCS(t, addr)
		if s.start(t, program, "-scheme", "http", "-host", "127.0.0.1", "-port", port,
			"-external-url", s.Endpoint, "-public-host", addr) {
			return s
		}
	}
	t.Fatal("fake-gcs-server does not start")
	return nil
}

// GCSForRegistry starts the emulator so that a registry takes it for Google,
// see [OnGCS], while Endpoint has the same buckets. The driver of a registry
// sends uploads to a fixed host of Google's, so all its connections go through
// a proxy that leads to the emulator, whose certificate it is told to trust.
func GCSForRegistry(t testing.TB) *GCSServer {
	t.Helper()
	program := Tool(t, "fake-gcs-server")
	dir := t.TempDir()
	ca := certifyGoogle(t, dir, "www.googleapis.com", "storage.googleapis.com", "oauth2.googleapis.com")
	for range 3 {
		plain, secure := freeAddr(t), freeAddr(t)
		_, port, _ := net.SplitHostPort(plain)
		_, securePort, _ := net.SplitHostPort(secure)
		s := newGCS(t, plain)
		if !s.start(t, program, "-scheme", "both", "-host", "127.0.0.1", "-port", securePort, "-port-http", port,
			"-cert-location", filepath.Join(dir, "server.crt"), "-private-key-location", filepath.Join(dir, "server.key"),
			"-external-url", "https://www.googleapis.com") {
			continue
		}
		s.CAFile, s.Proxy = ca, googleProxy(t, secure)
		s.KeyFile = filepath.Join(dir, "account.json")
		if err := os.WriteFile(s.KeyFile, ServiceAccount(t, s.Proxy+"/token"), 0o600); err != nil {
			t.Fatal(err)
		}
		return s
	}
	t.Fatal("fake-gcs-server does not start")
	return nil
}

// OnGCS is the storage configuration and the environment, for [Registry], of a
// bucket or, unless root is empty, of a directory in it. The registry is a
// [Version3]: Debian's has no driver for it.
func OnGCS(s *GCSServer, bucket, root string) (storage string, env []string) {
	return fmt.Sprintf("  gcs: {bucket: %q, rootdirectory: %q, keyfile: %q}", bucket, "/"+root, s.KeyFile),
		[]string{"HTTPS_PROXY=" + s.Proxy, "https_proxy=" + s.Proxy, "NO_PROXY=", "no_proxy=", "SSL_CERT_FILE=" + s.CAFile, "STORAGE_EMULATOR_HOST="}
}

// Bucket makes a bucket.
func (s *GCSServer) Bucket(t testing.TB, name string) {
	t.Helper()
	resp, err := s.http.Post(s.Endpoint+"/storage/v1/b?project=test", "application/json", strings.NewReader(fmt.Sprintf(`{"name": %q}`, name)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		t.Fatalf("making the bucket %s: %s: %s", name, resp.Status, text)
	}
}

// Stop ends the server and waits for its end. A second Stop does nothing.
func (s *GCSServer) Stop() {
	s.process.stop()
	s.http.CloseIdleConnections()
}

func newGCS(t testing.TB, addr string) *GCSServer {
	return &GCSServer{
		Endpoint: "http://" + addr, Log: filepath.Join(t.TempDir(), "log"),
		http: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	}
}

func (s *GCSServer) start(t testing.TB, program string, args ...string) bool {
	t.Helper()
	out, err := os.Create(s.Log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(program, append(args, "-backend", "memory", "-log-level", "warn")...)
	cmd.Stdout, cmd.Stderr, cmd.Env = out, out, environ()
	if s.process, err = begin(cmd); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline) && !s.process.ended(); time.Sleep(10 * time.Millisecond) {
		resp, err := s.http.Get(s.Endpoint + "/_internal/healthcheck")
		if err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK && !s.process.ended() {
			t.Cleanup(s.Stop)
			return true
		}
	}
	s.Stop()
	log, _ := os.ReadFile(s.Log)
	t.Logf("%s did not answer: %s", s.Endpoint, log)
	return false
}

// certifyGoogle makes an authority and, signed by it, server.crt and server.key for
// some hosts and the loopback address. It returns the authority's file.
func certifyGoogle(t testing.TB, dir string, hosts ...string) string {
	t.Helper()
	authority := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "of one test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: hosts[0]}, NotBefore: authority.NotBefore, NotAfter: authority.NotAfter,
		DNSNames: hosts, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	authorityKey, serverKey := newGoogleKey(t), newGoogleKey(t)
	der, err := x509.MarshalECPrivateKey(serverKey)
	if err != nil {
		t.Fatal(err)
	}
	writeGooglePEM(t, filepath.Join(dir, "ca.crt"), "CERTIFICATE", signGoogle(t, authority, authority, authorityKey, authorityKey))
	writeGooglePEM(t, filepath.Join(dir, "server.crt"), "CERTIFICATE", signGoogle(t, server, authority, serverKey, authorityKey))
	writeGooglePEM(t, filepath.Join(dir, "server.key"), "EC PRIVATE KEY", der)
	return filepath.Join(dir, "ca.crt")
}

func newGoogleKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func signGoogle(t testing.TB, cert, parent *x509.Certificate, key, by *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, cert, parent, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func writeGooglePEM(t testing.TB, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// ServiceAccount makes the JSON key of a service account that asks for its
// tokens at an address.
func ServiceAccount(t testing.TB, tokens string) []byte {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	account, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "test", "private_key_id": "1", "client_id": "1",
		"client_email": "test@test.iam.gserviceaccount.com", "token_uri": tokens,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	if err != nil {
		t.Fatal(err)
	}
	return account
}

// googleProxy gives a token to whoever asks, and leads each connection to
// Google to a server of ours. No other connection is made.
func googleProxy(t testing.TB, to string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tunnels := &tunnels{to: to, open: map[net.Conn]bool{}}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodConnect && strings.HasSuffix(r.Host, ".googleapis.com:443"):
			tunnels.serve(w)
		case r.URL.Path == "/token":
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"access_token":"test","token_type":"Bearer","expires_in":3600}`)
		default:
			http.Error(w, "only Google is here", http.StatusForbidden)
		}
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	t.Cleanup(func() {
		_ = server.Close()
		tunnels.close()
		<-done
	})
	return "http://" + l.Addr().String()
}

// tunnels are the connections through a proxy, all to one server.
type tunnels struct {
	to   string
	wg   sync.WaitGroup
	mu   sync.Mutex
	open map[net.Conn]bool
}

func (p *tunnels) serve(w http.ResponseWriter) {
	up, err := net.Dial("tcp", p.to)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	down, rest, err := w.(http.Hijacker).Hijack()
	if err != nil {
		up.Close()
		return
	}
	p.mu.Lock()
	p.open[up], p.open[down] = true, true
	p.mu.Unlock()
	early, _ := rest.Reader.Peek(rest.Reader.Buffered())
	_, _ = io.WriteString(down, "HTTP/1.1 200 OK\r\n\r\n")
	p.wg.Go(func() {
		_, _ = io.Copy(up, io.MultiReader(bytes.NewReader(early), down))
		up.Close()
	})
	p.wg.Go(func() {
		_, _ = io.Copy(down, up)
		down.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.open, up)
		delete(p.open, down)
	})
}

func (p *tunnels) close() {
	p.mu.Lock()
	for c := range p.open {
		c.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}
