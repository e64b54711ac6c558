package servers

import (
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Version is a registry the tests can start.
type Version string

// The registries. Version2 is the last line that has swift, and writes links in
// place; Version3 writes them through a temporary file and a rename.
const (
	Version3 Version = "3.1.2" // "registry", built from its module
	Version2 Version = "2.8.2" // "docker-registry", Debian's

	Version283 Version = "2.8.3" // testdata/registry-2.8.3, with oss, swift and azure
)

func (v Version) program() string {
	switch v {
	case Version2:
		return "docker-registry"
	case Version283:
		return "registry-2.8.3"
	}
	return "registry"
}

// RegistryServer is a running registry. Its Client talks to it.
type RegistryServer struct {
	Client
	Addr string // 127.0.0.1:port, as crane wants it
	Log  string // the file its output goes to

	refusesEmpty bool // blobs of 0 bytes: registry 2.8 writes no empty object in parts
	process      *os.Process
	done         chan struct{} // closed when the process is gone
}

const mark = "X-Regferry-Test"

// Registry starts a registry and waits until it answers. storage is an absolute
// directory, or the lines of YAML under "storage:" for another driver, each
// indented by two spaces. env is added to the process's environment. The
// registry is stopped when the test ends, or by Stop.
func Registry(t testing.TB, v Version, storage string, env ...string) *RegistryServer {
	t.Helper()
	program := Tool(t, v.program())
	if filepath.IsAbs(storage) {
		storage = fmt.Sprintf("  filesystem: {rootdirectory: %q}", storage)
	}
	// A free port may be taken by another process before the registry has it.
	for range 3 {
		if s := start(t, program, storage, env); s != nil {
			s.refusesEmpty = v != Version3 && !strings.HasPrefix(storage, "  filesystem:") && !strings.HasPrefix(storage, "  azure:")
			t.Cleanup(s.Stop)
			return s
		}
	}
	t.Fatalf("registry %s does not start", v)
	return nil
}

// OnSwift is the storage configuration, for [Registry] of version 2.8, of a
// container or, unless root is empty, of a directory in it.
func OnSwift(s *SwiftServer, container, root string) string {
	return fmt.Sprintf("  swift: {authurl: %q, username: %q, password: %q, container: %q, chunksize: 5242880, prefix: %q}", s.AuthURL, s.User, s.Key, container, root)
}

// OnKeystone is the same with Keystone.
func OnKeystone(s *KeystoneServer, container, root string) string {
	return fmt.Sprintf("  swift: {authurl: %q, username: %q, password: %q, tenant: %q, tenantdomain: %q, domain: %q, region: %q, container: %q, chunksize: 5242880, prefix: %q}",
		s.AuthURL, s.User, s.Password, s.Project, s.ProjectOf, s.UserDomain, s.Region, container, root)
}

// OnS3 is the storage configuration, for [Registry], of a bucket or, unless
// root is empty, of a directory in it.
func OnS3(s *S3Server, bucket, root string) string {
	return fmt.Sprintf("  s3: {accesskey: %q, secretkey: %q, region: us-east-1, regionendpoint: %q, secure: false, forcepathstyle: true, bucket: %q, rootdirectory: %q}",
		s.AccessKey, s.SecretKey, s.Endpoint, bucket, "/"+root)
}

// Stop ends the registry and waits for its end. A second Stop does nothing.
func (s *RegistryServer) Stop() {
	_ = s.process.Signal(syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(5 * time.Second):
		_ = s.process.Kill()
		<-s.done
	}
	s.HTTP.CloseIdleConnections()
}

// start writes a configuration and runs the registry with it. It allows what
// clients push to registries in use: foreign layers, and, which v3 refuses by
// default, indexes of layers, as BuildKit's cache is.
//
// It returns nil if the process ended before it answered.
func start(t testing.TB, program, storage string, env []string) *RegistryServer {
	t.Helper()
	dir, id, addr := t.TempDir(), rand.Text(), freeAddr(t)
	config := filepath.Join(dir, "config.yml")
	yaml := fmt.Sprintf(`version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage:
%s
  delete: {enabled: true}
  redirect: {disable: true}
  maintenance: {uploadpurging: {enabled: false}}
validation: {manifests: {urls: {allow: ['^https?://']}, indexes: {platforms: none}}}
http: {addr: %q, headers: {%s: [%s]}}
`, storage, addr, mark, id)
	if err := os.WriteFile(config, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &RegistryServer{
		Client: Client{URL: "http://" + addr, HTTP: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}},
		Addr:   addr, Log: filepath.Join(dir, "log"), done: make(chan struct{}),
	}
	out, err := os.Create(s.Log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(program, "serve", config)
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = out, out, dieWithParent()
	cmd.Env = append(environ(), env...)
	if err := s.run(cmd); err != nil {
		t.Fatal(err)
	}
	if s.answers(id) {
		return s
	}
	s.Stop()
	log, _ := os.ReadFile(s.Log)
	t.Logf("%s on %s did not answer: %s", program, addr, log)
	return nil
}

// run starts the process and waits for its end in a goroutine that keeps its
// thread: the kernel sends the death signal of a child when the thread that
// made it ends, not the process.
func (s *RegistryServer) run(cmd *exec.Cmd) error {
	started := make(chan error)
	go func() {
		defer close(s.done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		s.process = cmd.Process
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	return <-started
}

// answers waits up to 20 seconds, which a machine busy with -race may need.
func (s *RegistryServer) answers(id string) bool {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		resp, err := s.HTTP.Get(s.URL + "/v2/")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK && resp.Header.Get(mark) == id {
				return true
			}
		}
		select {
		case <-s.done:
			return false
		case <-time.After(10 * time.Millisecond):
		}
	}
	return false
}

// environ is the process's own without AWS_CA_BUNDLE, at which the S3 client in
// registry 2.8 panics, and with v3's tracing off, which would look for a
// collector.
func environ() []string {
	env := []string{"OTEL_TRACES_EXPORTER=none"}
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "AWS_CA_BUNDLE=") && !strings.HasPrefix(e, "OTEL_") && !strings.HasPrefix(e, "REGISTRY_") {
			env = append(env, e)
		}
	}
	return env
}

func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
