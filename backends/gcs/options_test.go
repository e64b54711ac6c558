package gcs_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest/fakegcs"
	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/backends/gcs"
)

func TestOptions(t *testing.T) {
	t.Setenv("STORAGE_EMULATOR_HOST", "")
	for _, c := range []struct {
		o    gcs.Options
		want string // a part of what is said, "" for nothing
	}{
		{gcs.Options{Bucket: "b"}, ""},
		{gcs.Options{Bucket: "b", Prefix: "/a/b/", ACL: "private", KMSKey: "projects/p/x", PartSize: 256 << 10, Endpoint: "http://127.0.0.1:1", Anonymous: true}, ""},
		{gcs.Options{Bucket: "example.com:b"}, ""},
		{gcs.Options{}, "no bucket"},
		{gcs.Options{Bucket: "b/c"}, "not named"},
		{gcs.Options{Bucket: "b?c"}, "not named"},
		{gcs.Options{Bucket: "b", Prefix: "a//b"}, "no path"},
		{gcs.Options{Bucket: "b", Prefix: "../x"}, "no path"},
		{gcs.Options{Bucket: "b", PartSize: 256<<10 + 1}, "256 KiB"},
		{gcs.Options{Bucket: "b", PartSize: -1}, "256 KiB"},
		{gcs.Options{Bucket: "b", PartSize: 2 << 30}, "256 KiB"},
		{gcs.Options{Bucket: "b", ACL: "public-read"}, "not known"},
		{gcs.Options{Bucket: "b", KMSKey: "key"}, "projects/"},
		{gcs.Options{Bucket: "b", KeyFile: "f", Credentials: gcs.Credentials("{}")}, "only one"},
		{gcs.Options{Bucket: "b", Anonymous: true}, "with credentials"},
		{gcs.Options{Bucket: "b", Anonymous: true, KeyFile: "f", Endpoint: "http://h"}, "none are to be used"},
		{gcs.Options{Bucket: "b", Endpoint: "127.0.0.1:80"}, "address such as"},
		{gcs.Options{Bucket: "b", Endpoint: "ftp://h"}, "address such as"},
		{gcs.Options{Bucket: "b", Endpoint: "http://user:secret@h"}, "nothing else"},
		{gcs.Options{Bucket: "b", Endpoint: "http://h/path"}, "nothing else"},
	} {
		err := c.o.Check()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.o, err, c.want)
		}
		if err != nil && (backends.ClassOf(err) != backends.Unsupported || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%+v: %v", c.o, err)
		}
	}
}

func TestIdentity(t *testing.T) {
	t.Setenv("STORAGE_EMULATOR_HOST", "")
	for _, c := range []struct {
		o    gcs.Options
		want string
	}{
		{gcs.Options{Bucket: "b"}, "gs://b"},
		{gcs.Options{Bucket: "b", Prefix: "/a b/c/", KeyFile: "f", UserProject: "p"}, "gs://b/a%20b/c"},
		{gcs.Options{Bucket: "b", Endpoint: "https://storage.googleapis.com/"}, "gs://b"},
		{gcs.Options{Bucket: "b", Endpoint: "HTTP://Host:80/"}, "gs://b?endpoint=http://host"},
	} {
		if got := c.o.Identity(); got != c.want {
			t.Errorf("%+v: %s, want %s", c.o, got, c.want)
		}
	}
	t.Setenv("STORAGE_EMULATOR_HOST", "localhost:9000")
	if got := (gcs.Options{Bucket: "b"}).Identity(); got != "gs://b?endpoint=http://localhost:9000" {
		t.Error(got)
	}
}

func TestNested(t *testing.T) {
	for _, c := range []struct {
		a, b gcs.Options
		want bool
	}{
		{gcs.Options{Bucket: "b"}, gcs.Options{Bucket: "b"}, true},
		{gcs.Options{Bucket: "b"}, gcs.Options{Bucket: "c"}, false},
		{gcs.Options{Bucket: "b"}, gcs.Options{Bucket: "b", Prefix: "x"}, false},
		{gcs.Options{Bucket: "b"}, gcs.Options{Bucket: "b", Prefix: "docker/x"}, true},
		{gcs.Options{Bucket: "b", Prefix: "x/.regferry/y"}, gcs.Options{Bucket: "b", Prefix: "/x"}, true},
		{gcs.Options{Bucket: "b", Endpoint: "http://h"}, gcs.Options{Bucket: "b"}, false},
	} {
		if got := gcs.Nested(c.a, c.b); got != c.want {
			t.Errorf("%s and %s: %v", c.a.Identity(), c.b.Identity(), got)
		}
	}
}

// TestCredentialsNeverPrint tries each way in which options end in a log.
func TestCredentialsNeverPrint(t *testing.T) {
	o := gcs.Options{Bucket: "b", Credentials: gcs.Credentials("MARKED")}
	encoded, err := json.Marshal(o.Credentials)
	if err != nil {
		t.Fatal(err)
	}
	out := string(encoded)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "%q", "%d"} {
		out += fmt.Sprintf(verb, o.Credentials) + fmt.Sprintf(verb, o) + fmt.Sprintf(verb, &o)
	}
	for _, secret := range []string{"MARKED", "4d41524b4544", "4D41524B4544", "77 65 82", "TUFSS0VE", "0x4d, 0x41"} {
		if strings.Contains(out, secret) {
			t.Errorf("%q is in %s", secret, out)
		}
	}
}

// TestOpenFails: each want says what is wrong, once, and keeps its class.
func TestOpenFails(t *testing.T) {
	t.Setenv("STORAGE_EMULATOR_HOST", "")
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", filepath.Join(t.TempDir(), "none.json"))
	server := fakegcs.New(t, "b")
	answers := func(status int, text string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text)
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	account := func(tokens string) gcs.Credentials {
		return gcs.Credentials(strings.ReplaceAll(accountJSON(t), "TOKENS", tokens))
	}
	for name, c := range map[string]struct {
		o    gcs.Options
		want backends.Class
		says string
	}{
		"no bucket of that name":  {gcs.Options{Bucket: "absent", Endpoint: server.URL, Anonymous: true}, backends.Denied, "there is no bucket of the name absent"},
		"no key file":             {gcs.Options{Bucket: "b", Endpoint: server.URL, KeyFile: filepath.Join(dir, "absent.json")}, backends.Denied, "the key file cannot be read"},
		"a key file of something": {gcs.Options{Bucket: "b", Endpoint: server.URL, KeyFile: file("a", "MARKED not json")}, backends.Denied, "no JSON key"},
		"a key of no known kind":  {gcs.Options{Bucket: "b", Endpoint: server.URL, KeyFile: file("b", `{"type":"other","private_key":"MARKED"}`)}, backends.Denied, "not usable"},
		"a key without a key":     {gcs.Options{Bucket: "b", Endpoint: server.URL, Credentials: gcs.Credentials(`{"type":"service_account","private_key":"MARKED"}`)}, backends.Denied, "not usable"},
		"default credentials":     {gcs.Options{Bucket: "b", Endpoint: server.URL}, backends.Denied, "no Google credentials"},
		"a key that was revoked": {gcs.Options{Bucket: "b", Endpoint: server.URL,
			Credentials: account(answers(400, `{"error":"invalid_grant","error_description":"Invalid JWT Signature."}`))}, backends.Denied, "gives no token"},
		"a bucket that is denied": {gcs.Options{Bucket: "b", Anonymous: true,
			Endpoint: answers(403, `{"error":{"code":403,"message":"x does not have storage.objects.list access","errors":[{"reason":"forbidden"}]}}`)}, backends.Denied, "storage.objects.list"},
		"a token that expired": {gcs.Options{Bucket: "b", Anonymous: true,
			Endpoint: answers(401, `{"error":{"code":401,"message":"Invalid Credentials","errors":[{"reason":"authError"}]}}`)}, backends.Denied, "authError: Invalid Credentials [HTTP 401]"},
		"nobody listens":         {gcs.Options{Bucket: "b", Endpoint: "http://127.0.0.1:1", Anonymous: true}, backends.Transient, "connection refused"},
		"no token service":       {gcs.Options{Bucket: "b", Endpoint: server.URL, Credentials: account("http://127.0.0.1:1/t")}, backends.Transient, "connection refused"},
		"an answer that is HTML": {gcs.Options{Bucket: "b", Endpoint: answers(200, "<html>log in here</html>"), Anonymous: true}, backends.Transient, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for what, try := range map[string]func(*testing.T, gcs.Options) error{"Open": openError, "OpenReader": readerError} {
				err := try(t, c.o)
				if backends.ClassOf(err) != c.want || err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("%s: %v\n  want %v, %q", what, err, c.want, c.says)
				}
				if err != nil && (strings.Contains(err.Error(), "MARKED") || strings.Contains(err.Error(), "PRIVATE") || strings.Contains(err.Error(), "\n")) {
					t.Errorf("%s: %v", what, err)
				}
				if c.want == backends.Transient {
					break // it waits
				}
			}
		})
	}
}

func openError(t *testing.T, o gcs.Options) error {
	s, err := gcs.Open(t.Context(), o)
	if err == nil {
		s.Close()
	}
	return err
}

func readerError(t *testing.T, o gcs.Options) error {
	s, err := gcs.OpenReader(t.Context(), o)
	if err == nil {
		s.Close()
	}
	return err
}

// accountJSON is the key of a service account whose tokens are at TOKENS.
func accountJSON(t *testing.T) string {
	t.Helper()
	return string(servers.ServiceAccount(t, "TOKENS"))
}

// TestServiceAccount: the token that the account gets is sent with each
// request, those of a session too, and a file is as good as its content.
func TestServiceAccount(t *testing.T) {
	t.Setenv("STORAGE_EMULATOR_HOST", "")
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"access_token":"MARKED","token_type":"Bearer","expires_in":3600}`)
	}))
	defer tokens.Close()
	server := fakegcs.New(t, "b")
	server.Meet(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") == "Bearer MARKED" {
			return false
		}
		fakegcs.Refuse(w, http.StatusUnauthorized, "required", "no token with "+fakegcs.Kind(r))
		return true
	})
	account := servers.ServiceAccount(t, tokens.URL)
	path := filepath.Join(t.TempDir(), "key.json")
	if err := os.WriteFile(path, account, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", path)
	for name, o := range map[string]gcs.Options{
		"file": {KeyFile: path}, "content": {Credentials: account}, "default": {},
	} {
		t.Run(name, func(t *testing.T) {
			o.Bucket, o.Endpoint, o.PartSize = "b", server.URL, partSize
			s := open(t, o)
			defer s.Close()
			content := some(2*partSize + 3)
			if _, err := s.Put(t.Context(), key, contentOf(content)); err != nil {
				t.Fatal(err)
			}
			holds(t, s, key, content)
		})
	}
}
