package servers

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
)

// AzuriteServer is a running Azurite, an emulator of Azure Blob.
type AzuriteServer struct {
	Endpoint     string // http(s)://127.0.0.1:port/devstoreaccount1
	Account, Key string
	CA           string         // the file of the certificate to trust, if it is https
	Log          string         // the file its output goes to
	Client       *azblob.Client // without retries

	process *process
	http    *http.Client
}

// emulatorKey is the one of every emulator. Registry 2.8 has it built in, with
// the address.
const emulatorKey = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

// Azurite starts Azurite over HTTP, with a key of its own.
func Azurite(t testing.TB) *AzuriteServer { return azurite(t, "", false) }

// AzuriteTLS is Azurite over HTTPS, with a certificate of a throw-away
// authority.
func AzuriteTLS(t testing.TB) *AzuriteServer { return azurite(t, "", true) }

// AzuriteEmulator is AzuriteTLS at the address and with the key that registry
// 2.8 has built in, so there can be one on a machine. The registry needs
// SSL_CERT_FILE in its environment, see [AzuriteServer.Env].
func AzuriteEmulator(t testing.TB) *AzuriteServer { return azurite(t, "127.0.0.1:10000", true) }

// OnAzure is the storage configuration, for [Registry], of a container or,
// unless root is empty, of a directory in it. Registry 2.8 does not know it.
func OnAzure(s *AzuriteServer, container, root string) string {
	return fmt.Sprintf("  azure: {accountname: %q, accountkey: %q, container: %q, serviceurl: %q, skipverify: true, rootdirectory: %q, credentials: {type: shared_key}}",
		s.Account, s.Key, container, s.Endpoint, "/"+root)
}

// OnAzure2 is the same of [AzuriteEmulator] for registry 2.8, which has no root
// directory, and begins each name with a slash.
func OnAzure2(s *AzuriteServer, container string) string {
	return fmt.Sprintf("  azure: {accountname: %q, accountkey: %q, container: %q}", s.Account, s.Key, container)
}

// Env has a program trust the server's certificate, and no other.
func (s *AzuriteServer) Env() []string {
	if s.CA == "" {
		return nil
	}
	return []string{"SSL_CERT_FILE=" + s.CA}
}

// Container makes a container and returns a client of it.
func (s *AzuriteServer) Container(t testing.TB, name string) *container.Client {
	t.Helper()
	c := s.Client.ServiceClient().NewContainerClient(name)
	if _, err := c.Create(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return c
}

// Stop ends the server and waits for its end. A second Stop does nothing.
func (s *AzuriteServer) Stop() {
	s.process.stop()
	s.http.CloseIdleConnections()
}

func azurite(t testing.TB, addr string, secure bool) *AzuriteServer {
	t.Helper()
	node := Tool(t, "node")
	home, _ := os.UserHomeDir()
	tools := cmp.Or(os.Getenv("REGFERRY_TOOLS"), filepath.Join(home, ".cache", "regferry", "bin"))
	program := filepath.Join(tools, "..", "azurite", "node_modules", "azurite", "dist", "src", "blob", "main.js")
	if _, err := os.Stat(program); err != nil {
		Missing(t, "azurite is not installed: run .ci/tools")
	}
	// A free port may be taken by another process before the server has it.
	for range 3 {
		s, args := newAzurite(t, cmp.Or(addr, freeAddr(t)), secure, addr != "")
		err := s.begin(exec.Command(node, append([]string{program}, args...)...))
		if err == nil {
			err = s.answers(t.Context())
		}
		if err == nil {
			t.Cleanup(s.Stop)
			return s
		}
		s.Stop()
		log, _ := os.ReadFile(s.Log)
		t.Logf("%s did not answer: %v: %s", s.Endpoint, err, log)
	}
	t.Fatal("azurite does not start")
	return nil
}

func newAzurite(t testing.TB, addr string, secure, emulator bool) (*AzuriteServer, []string) {
	t.Helper()
	dir, scheme := t.TempDir(), "http"
	host, port, _ := net.SplitHostPort(addr)
	args := []string{"--blobHost", host, "--blobPort", port, "--location", filepath.Join(dir, "data"), "--skipApiVersionCheck", "--disableTelemetry", "--silent"}
	transport := &http.Transport{DisableKeepAlives: true} // a test that counts goroutines finds none of it
	s := &AzuriteServer{Account: "devstoreaccount1", Key: emulatorKey, Log: filepath.Join(dir, "log"), http: &http.Client{Transport: transport}}
	if !emulator {
		random := make([]byte, 64)
		_, _ = rand.Read(random)
		s.Key = base64.StdEncoding.EncodeToString(random)
	}
	if secure {
		scheme, s.CA = "https", filepath.Join(dir, "ca.crt")
		authority := certify(t, dir)
		transport.TLSClientConfig = &tls.Config{RootCAs: authority}
		args = append(args, "--cert", filepath.Join(dir, "server.crt"), "--key", filepath.Join(dir, "server.key"))
	}
	s.Endpoint = scheme + "://" + addr + "/" + s.Account
	cred, err := azblob.NewSharedKeyCredential(s.Account, s.Key)
	if err != nil {
		t.Fatal(err)
	}
	o := &azblob.ClientOptions{}
	o.Transport, o.Retry = s.http, policy.RetryOptions{MaxRetries: -1}
	if s.Client, err = azblob.NewClientWithSharedKeyCredential(s.Endpoint, cred, o); err != nil {
		t.Fatal(err)
	}
	return s, args
}

func (s *AzuriteServer) begin(cmd *exec.Cmd) error {
	out, err := os.Create(s.Log)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Env = append(environ(), "AZURITE_ACCOUNTS="+s.Account+":"+s.Key)
	s.process, err = begin(cmd)
	return err
}

// answers waits up to 40 seconds, since Node alone may need 10 on a busy
// machine. Only this server knows its key.
func (s *AzuriteServer) answers(ctx context.Context) error {
	for deadline := time.Now().Add(40 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		_, err := s.Client.NewListContainersPager(nil).NextPage(ctx)
		switch {
		case err == nil:
			return nil
		case s.process.ended():
			return fmt.Errorf("it ended")
		case time.Now().After(deadline):
			return err
		}
	}
}

// certify writes an authority and a server's certificate for 127.0.0.1, valid
// for a day, into dir.
func certify(t testing.TB, dir string) *x509.CertPool {
	t.Helper()
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "regferry test authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "127.0.0.1"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	caCert, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.CreateCertificate(rand.Reader, server, ca, &key.PublicKey, caKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"ca.crt": {Type: "CERTIFICATE", Bytes: caCert}, "server.crt": {Type: "CERTIFICATE", Bytes: cert}, "server.key": {Type: "PRIVATE KEY", Bytes: private},
	} {
		if err := os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	parsed, err := x509.ParseCertificate(caCert)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(parsed)
	return pool
}
