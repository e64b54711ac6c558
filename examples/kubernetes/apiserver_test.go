package kubernetes

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// crds is where the definitions of the Prometheus operator's kinds come from. The
// module of its Go types has none.
const crds = "github.com/prometheus-operator/prometheus-operator@v0.85.0"

// A real API server takes everything, by a dry run on the server, in a namespace
// that enforces the Pod Security Standard "restricted". make test-kubernetes
// builds it and runs this.
func TestAPIServer(t *testing.T) {
	if os.Getenv("REGFERRY_KUBERNETES") == "" {
		t.Skip("make test-kubernetes runs it: the API server takes 5 minutes to build")
	}
	s := startAPIServer(t)
	s.must(t, http.MethodPost, "/api/v1/namespaces", `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"msr","labels":{
		"pod-security.kubernetes.io/enforce":"restricted","pod-security.kubernetes.io/warn":"restricted"}}}`)
	s.define(t, "servicemonitors")
	s.define(t, "prometheusrules")

	t.Run("manifests", func(t *testing.T) { s.takes(t, plain(t)) })
	for name, c := range renderings {
		t.Run("chart, "+name, func(t *testing.T) {
			text, _, err := render("second", merged(c.values))
			if err != nil {
				t.Fatal(err)
			}
			s.takes(t, objectsIn(t, name, text))
		})
	}
	t.Run("it refuses", func(t *testing.T) { s.refuses(t) })
}

// refuses proves that the server looks: each of these is wrong in a way that
// decoding does not see.
func (s *apiServer) refuses(t *testing.T) {
	text, _, err := render("second", same+"verify: {enabled: true}\nmirror: {enabled: true}")
	if err != nil {
		t.Fatal(err)
	}
	for wrong, right := range map[string]string{
		"schedule: every week": `schedule: "17 3 * * 0"`,
		"restartPolicy: Maybe": "restartPolicy: Never",
		"runAsNonRoot: false":  "runAsNonRoot: true",
		"action: Retry":        "action: FailJob",
		"port: 96400":          "port: 9640",
	} {
		if !strings.Contains(text, right) {
			t.Fatalf("%q is not there", right)
		}
		faults := 0
		for _, o := range objectsIn(t, wrong, strings.ReplaceAll(text, right, wrong)) {
			faults += len(s.apply(t, o))
		}
		if faults == 0 {
			t.Errorf("%q was taken", wrong)
		}
	}
}

func (s *apiServer) takes(t *testing.T, objects []runtime.Object) {
	t.Helper()
	if len(objects) == 0 {
		t.Fatal("nothing to apply")
	}
	for _, o := range objects {
		for _, fault := range s.apply(t, o) {
			t.Errorf("%s: %s", nameOf(o), fault)
		}
	}
}

// plural is the path of a kind, below its version's.
var plural = map[string]string{
	"ConfigMap": "configmaps", "CronJob": "cronjobs", "Deployment": "deployments", "Job": "jobs", "NetworkPolicy": "networkpolicies",
	"PersistentVolumeClaim": "persistentvolumeclaims", "Pod": "pods", "PrometheusRule": "prometheusrules", "Service": "services",
	"ServiceAccount": "serviceaccounts", "ServiceMonitor": "servicemonitors",
}

// apply is kubectl apply --server-side --dry-run=server, of the object and of a pod
// that it would make: only of pods "restricted" is enforced. It returns what the
// server has against them, warnings too.
func (s *apiServer) apply(t *testing.T, o runtime.Object) (faults []string) {
	t.Helper()
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	kind := o.GetObjectKind().GroupVersionKind()
	base := "/apis/" + kind.GroupVersion().String()
	if kind.Group == "" {
		base = "/api/v1"
	}
	path := fmt.Sprintf("%s/namespaces/msr/%s/%s?fieldManager=test&fieldValidation=Strict&dryRun=All", base, plural[kind.Kind], o.(meta.Object).GetName())
	code, answer, warnings := s.ask(t, http.MethodPatch, path, b)
	if code >= 300 {
		faults = append(faults, fmt.Sprintf("%d: %s", code, answer))
	}
	faults = append(faults, warnings...)
	template := podOf(o)
	if template == nil {
		return faults
	}
	pod := &core.Pod{TypeMeta: meta.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: *template.ObjectMeta.DeepCopy(), Spec: template.Spec}
	pod.Name = o.(meta.Object).GetName() + "-pod"
	return append(faults, s.apply(t, pod)...)
}

// define adds a kind of the Prometheus operator, and waits until it is served.
func (s *apiServer) define(t *testing.T, name string) {
	t.Helper()
	out, err := exec.Command("go", "mod", "download", "-json", crds).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(module.Dir, "example/prometheus-operator-crd/monitoring.coreos.com_"+name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	definition, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	s.must(t, http.MethodPost, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", string(definition))
	s.await(t, "/apis/monitoring.coreos.com/v1/namespaces/msr/"+name)
}

// apiServer is a kube-apiserver on loopback.
type apiServer struct {
	url    string
	client *http.Client
}

// startAPIServer starts etcd and a kube-apiserver, which end with the test.
func startAPIServer(t *testing.T) *apiServer {
	t.Helper()
	dir, ports := t.TempDir(), freePorts(t, 3)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	keyFile, tokens := filepath.Join(dir, "accounts.key"), filepath.Join(dir, "tokens.csv")
	block := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	if err := os.WriteFile(keyFile, block, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(tokens, []byte("test,admin,admin,system:masters\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	etcd, peer := fmt.Sprintf("http://127.0.0.1:%d", ports[0]), fmt.Sprintf("http://127.0.0.1:%d", ports[1])
	run(t, dir, "etcd", "--data-dir", filepath.Join(dir, "etcd"), "--unsafe-no-fsync", "--log-level", "warn",
		"--listen-client-urls", etcd, "--advertise-client-urls", etcd, "--listen-peer-urls", peer,
		"--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer)
	run(t, dir, "kube-apiserver", "--etcd-servers", etcd, "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", ports[2]), "--cert-dir", filepath.Join(dir, "certs"),
		"--service-account-issuer=https://127.0.0.1", "--service-account-key-file", keyFile, "--service-account-signing-key-file", keyFile,
		"--token-auth-file", tokens, "--authorization-mode=RBAC", "--service-cluster-ip-range=10.0.0.0/24",
		// Nobody makes accounts and endpoints here.
		"--disable-admission-plugins=ServiceAccount", "--endpoint-reconciler-type=none")
	s := &apiServer{url: fmt.Sprintf("https://127.0.0.1:%d", ports[2]), client: &http.Client{Timeout: 30 * time.Second}}
	s.trust(t, filepath.Join(dir, "certs/apiserver.crt"))
	s.await(t, "/readyz")
	return s
}

// run starts a program that .ci/tools built. Its log is shown if the test fails.
func run(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	home, _ := os.UserHomeDir()
	program := filepath.Join(cmp.Or(os.Getenv("REGFERRY_TOOLS"), filepath.Join(home, ".cache/regferry/bin")), name)
	log, err := os.Create(filepath.Join(dir, name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(context.WithoutCancel(t.Context()), program, args...)
	c.Dir, c.Stdout, c.Stderr = dir, log, log
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		t.Fatalf("%v: run .ci/tools kubernetes", err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
		log.Close()
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("%s: %s", name, text[max(0, len(text)-4000):])
		}
	})
}

// trust waits for the certificate that the server makes for itself.
func (s *apiServer) trust(t *testing.T, path string) {
	t.Helper()
	pool := x509.NewCertPool()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		b, err := os.ReadFile(path)
		if err == nil && pool.AppendCertsFromPEM(b) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no certificate: %v", err)
		}
	}
	s.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}
}

func (s *apiServer) await(t *testing.T, path string) {
	t.Helper()
	code, answer := 0, ""
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if code, answer, _ = s.ask(t, http.MethodGet, path, nil); code == http.StatusOK {
			return
		}
	}
	t.Fatalf("%s: %d %s", path, code, answer)
}

func (s *apiServer) must(t *testing.T, method, path, body string) {
	t.Helper()
	if code, answer, _ := s.ask(t, method, path, []byte(body)); code >= 300 {
		t.Fatalf("%s: %d %s", path, code, answer)
	}
}

// ask returns the status, 0 where there is no answer, what was said, and warnings.
func (s *apiServer) ask(t *testing.T, method, path string, body []byte) (code int, answer string, warnings []string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.url+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer test")
	request.Header.Set("Content-Type", "application/json")
	if method == http.MethodPatch {
		request.Header.Set("Content-Type", "application/apply-patch+yaml")
	}
	response, err := s.client.Do(request)
	if err != nil {
		return 0, err.Error(), nil
	}
	defer response.Body.Close()
	b, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return 0, err.Error(), nil
	}
	var status struct{ Message string }
	_ = json.Unmarshal(b, &status)
	return response.StatusCode, cmp.Or(status.Message, string(b)), response.Header.Values("Warning")
}

// freePorts are held until all are found, so that they differ.
func freePorts(t *testing.T, n int) (ports []int) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports
}
