package oss_test

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest/fakeoss"
	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/backends/oss"
)

func TestOptions(t *testing.T) {
	good := oss.Options{Bucket: "bucket", Region: "cn-hangzhou"}
	for _, c := range []struct {
		want   string
		change func(*oss.Options)
	}{
		{"", func(*oss.Options) {}},
		{"", func(o *oss.Options) { o.Region, o.Endpoint = "", "oss-eu-central-1-internal.aliyuncs.com" }},
		{"", func(o *oss.Options) { o.Region, o.Endpoint, o.Signature = "", "https://oss.example.com", "V1" }},
		{"no bucket", func(o *oss.Options) { o.Bucket = "" }},
		{"name of a bucket", func(o *oss.Options) { o.Bucket = "Upper" }},
		{"is no path", func(o *oss.Options) { o.Prefix = "a//b" }},
		{"is no path", func(o *oss.Options) { o.Prefix = `\a` }},
		{"region is not known", func(o *oss.Options) { o.Region = "" }},
		{"region is not known, and part of the signature", func(o *oss.Options) { o.Region, o.Endpoint = "", "http://127.0.0.1:80" }},
		{"a region is a name", func(o *oss.Options) { o.Region = "evil.example.com/x" }},
		{"an endpoint is", func(o *oss.Options) { o.Endpoint = "ftp://example.com" }},
		{"nothing else", func(o *oss.Options) { o.Endpoint = "https://a:b@example.com" }},
		{"nothing else", func(o *oss.Options) { o.Endpoint = "https://example.com/path" }},
		{"none is given", func(o *oss.Options) { o.CNAME = true }},
		{"v4 or v1", func(o *oss.Options) { o.Signature = "v2" }},
		{"100 KiB to 5 GiB", func(o *oss.Options) { o.PartSize = 1000 }},
		{"cannot read", func(o *oss.Options) { o.StorageClass = "ColdArchive" }},
		{"is not known", func(o *oss.Options) { o.StorageClass = "Cheap" }},
		{"encryption is not asked for", func(o *oss.Options) { o.EncryptionKeyID = "k" }},
		{"is not known", func(o *oss.Options) { o.ACL = "mine" }},
	} {
		o := good
		c.change(&o)
		err := o.Check()
		if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || backends.ClassOf(err) != backends.Unsupported) {
			t.Errorf("%+v: %v, want %q", o, err, c.want)
		}
	}
}

func TestIdentity(t *testing.T) {
	for _, c := range []struct {
		want string
		o    oss.Options
	}{
		{"oss://bucket", oss.Options{Region: "cn-hangzhou"}},
		{"oss://bucket/a%20b/c", oss.Options{Region: "oss-cn-hangzhou", Prefix: "/a b/c/", Internal: true}},
		{"oss://bucket", oss.Options{Endpoint: "bucket.oss-cn-hangzhou.aliyuncs.com"}},
		{"oss://bucket", oss.Options{Endpoint: "HTTPS://Bucket.OSS-cn-hangzhou-internal.Aliyuncs.com"}},
		{"oss://bucket?endpoint=http://127.0.0.1:99", oss.Options{Region: "x", Endpoint: "127.0.0.1:99", Insecure: true}},
		{"oss://bucket/r?endpoint=https://registry.example.com", oss.Options{Region: "x", Prefix: "r", Endpoint: "https://Registry.example.com:443", CNAME: true}},
	} {
		c.o.Bucket = "bucket"
		if got := c.o.Identity(); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
	a := oss.Options{Bucket: "bucket", Region: "x"}
	for prefix, want := range map[string]bool{"": true, "docker/registry": true, "other": false, ".regferry/x": true} {
		b := a
		b.Prefix = prefix
		if oss.Nested(a, b) != want || oss.Nested(b, a) != want {
			t.Errorf("%q: not %v", prefix, want)
		}
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	const secret = "s3cr3t"
	o := oss.Options{Bucket: "bucket", AccessKeyID: "id", AccessKeySecret: secret, SecurityToken: secret}
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "options", o, "secret", o.AccessKeySecret)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "options", o, "secret", o.AccessKeySecret)
	encoded, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	all := log.String() + string(encoded)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		all += fmt.Sprintf(verb, o) + fmt.Sprintf(verb, &o) + fmt.Sprintf(verb, o.AccessKeySecret)
	}
	if strings.Contains(all, secret) || strings.Contains(all, fmt.Sprintf("%x", secret)) || !strings.Contains(all, "(hidden)") {
		t.Error(all)
	}
}

// TestOpenFails: what is wrong is one line that says what to do, of the class
// that ends a run, without a secret, at once.
func TestOpenFails(t *testing.T) {
	server := servers.OSS(t)
	server.Bucket(t, "there")
	server.Fake.Know("STS.old", fakeoss.Key{Secret: "s", Token: "t", Expires: time.Now().Add(-time.Hour)})
	server.Fake.Know("STS.good", fakeoss.Key{Secret: "s", Token: "t"})
	for _, name := range []string{"OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET", "OSS_SESSION_TOKEN", "ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_SECURITY_TOKEN"} {
		t.Setenv(name, "")
	}
	for _, c := range []struct {
		name, want string
		class      backends.Class
		change     func(*oss.Options)
	}{
		{"no key", "set OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET", backends.Denied, func(o *oss.Options) { o.AccessKeyID, o.AccessKeySecret = "", "" }},
		{"no secret", "without its secret", backends.Denied, func(o *oss.Options) { o.AccessKeySecret = "" }},
		{"another key", "InvalidAccessKeyId", backends.Denied, func(o *oss.Options) { o.AccessKeyID = "LTAInobody" }},
		{"another secret", "SignatureDoesNotMatch", backends.Denied, func(o *oss.Options) { o.AccessKeySecret = "n0t-this-one" }},
		{"no bucket", "there is no bucket of the name elsewhere", backends.Denied, func(o *oss.Options) { o.Bucket = "elsewhere" }},
		{"an expired token", "get a new security token", backends.Denied, func(o *oss.Options) { o.AccessKeyID, o.AccessKeySecret, o.SecurityToken = "STS.old", "s", "t" }},
		{"another token", "InvalidSecurityToken", backends.Denied, func(o *oss.Options) {
			o.AccessKeyID, o.AccessKeySecret, o.SecurityToken = "STS.good", "s", "n0t-this-one"
		}},
	} {
		for _, signature := range []string{"v4", "v1"} {
			o := optionsOf(server, "there")
			o.Signature = signature
			c.change(&o)
			failsToOpen(t, c.name, o, c.want, c.class)
		}
	}
	o := optionsOf(server, "there")
	o.Region = "cn-beijing"
	failsToOpen(t, "another region", o, "Invalid signing region", backends.Unsupported)
	server.Fake.Deny("PutObject")
	failsToOpen(t, "no right to write", optionsOf(server, "there"), "AccessDenied", backends.Denied)
}

func failsToOpen(t *testing.T, name string, o oss.Options, want string, class backends.Class) {
	t.Helper()
	begun := time.Now()
	_, err := oss.Open(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), want) || backends.ClassOf(err) != class {
		t.Errorf("%s: %v, of class %v, want %q", name, err, backends.ClassOf(err), want)
		return
	}
	if text := err.Error(); strings.Contains(text, "\n") || len(text) > 300 || strings.Contains(text, "n0t-this-one") || strings.Contains(text, "Signature=") {
		t.Errorf("%s: %s", name, text)
	}
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("%s: it took %v to say so", name, took)
	}
}

func TestKeysOfTheEnvironment(t *testing.T) {
	server := servers.OSS(t)
	server.Bucket(t, "there")
	server.Fake.Know("STS.good", fakeoss.Key{Secret: "s", Token: "t"})
	o := optionsOf(server, "there")
	o.AccessKeyID, o.AccessKeySecret = "", ""
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", "STS.good")
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "s")
	t.Setenv("ALIBABA_CLOUD_SECURITY_TOKEN", "t")
	t.Setenv("OSS_ACCESS_KEY_ID", "")
	for _, signature := range []string{"v4", "v1"} {
		o.Signature = signature
		open(t, o).Close()
	}
	server.Credentials(t) // which go before
	server.Fake.Forget("STS.good")
	open(t, o).Close()
}

// TestDomain: an endpoint of the bucket's own, as the registry has it.
func TestDomain(t *testing.T) {
	server := servers.OSS(t)
	server.Bucket(t, "owner")
	o := optionsOf(server, "owner")
	o.Endpoint, o.CNAME = server.Domain(t, "owner"), true
	for _, signature := range []string{"v4", "v1"} {
		o.Signature = signature
		s := open(t, o)
		b := newBlob(1, 1000)
		if _, err := s.Put(t.Context(), b.key, b.Content); err != nil {
			t.Fatal(err)
		}
		holds(t, s, b)
		s.Close()
	}
}

// TestTLS: a certificate of one's own CA is refused, at once, but with
// SSL_CERT_FILE, which Go reads once in a process, or with SkipVerify.
func TestTLS(t *testing.T) {
	server := servers.OSS(t)
	server.Bucket(t, "secure")
	secure := httptest.NewUnstartedServer(server.Fake)
	secure.Config.ErrorLog = stdlog.New(io.Discard, "", 0) // of handshakes that the client ends
	secure.StartTLS()
	defer secure.Close()
	o := optionsOf(server, "secure")
	o.Endpoint = secure.URL
	if id := os.Getenv("REGFERRY_TEST_OSS_TLS"); id != "" {
		key, rest, _ := strings.Cut(id, " ")
		secret, url, _ := strings.Cut(rest, " ")
		o.AccessKeyID, o.AccessKeySecret, o.Endpoint = key, backends.Secret(secret), url
		open(t, o).Close()
		return
	}
	failsToOpen(t, "unknown", o, "x509", backends.Transient)
	o.SkipVerify = true
	open(t, o).Close()
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	if err := os.WriteFile(bundle, block, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestTLS$")
	cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+bundle, "REGFERRY_TEST_OSS_TLS="+server.AccessKeyID+" "+server.AccessKeySecret+" "+secure.URL)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
