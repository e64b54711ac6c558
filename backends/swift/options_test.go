package swift_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/swift"
)

func TestSecretsDoNotShow(t *testing.T) {
	o := swift.Options{Container: "c", Password: "hunter2", ApplicationCredentialSecret: "hunter2"}
	var all strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&all, verb, o)
		fmt.Fprintf(&all, verb, &o)
		fmt.Fprintf(&all, verb, o.Password)
		fmt.Fprintf(&all, verb, []backends.Secret{o.Password})
	}
	o.Notice = nil
	text, err := json.Marshal(struct{ A, B backends.Secret }{o.Password, ""})
	if err != nil {
		t.Fatal(err)
	}
	all.Write(text)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", o.Password, "all", fmt.Sprint(o))
	all.Write(log.Bytes())
	all.WriteString(o.Identity())
	if s := all.String(); strings.Contains(s, "hunter2") || strings.Contains(s, "68756e74657232") {
		t.Errorf("it shows: %s", s)
	}
	if string(o.Password) != "hunter2" {
		t.Error("it is lost")
	}
}

func TestCheck(t *testing.T) {
	clearEnv(t)
	good := swift.Options{AuthURL: "https://keystone.example.com:5000/v3", Username: "u", Password: "p", Tenant: "t", Container: "c"}
	for name, c := range map[string]struct {
		change func(*swift.Options)
		says   string
	}{
		"good":      {func(*swift.Options) {}, ""},
		"version 1": {func(o *swift.Options) { o.AuthURL, o.Tenant = "http://h/auth/v1.0", "" }, ""},
		"credential": {func(o *swift.Options) {
			*o = swift.Options{AuthURL: o.AuthURL, Container: "c", ApplicationCredentialID: "i", ApplicationCredentialSecret: "s"}
		}, ""},
		"no container":            {func(o *swift.Options) { o.Container = "" }, "container"},
		"a container with a path": {func(o *swift.Options) { o.Container = "a/b" }, "container"},
		"a prefix with dots":      {func(o *swift.Options) { o.Prefix = "../x" }, "prefix"},
		"no address":              {func(o *swift.Options) { o.AuthURL = "" }, "OS_AUTH_URL"},
		"an address of a file":    {func(o *swift.Options) { o.AuthURL = "file:///v3" }, "address"},
		"a password in it":        {func(o *swift.Options) { o.AuthURL = "https://u:p@h/v3" }, "nothing else"},
		"no user":                 {func(o *swift.Options) { o.Username = "" }, "OS_USERNAME"},
		"no password":             {func(o *swift.Options) { o.Password = "" }, "OS_PASSWORD"},
		"no project":              {func(o *swift.Options) { o.Tenant = "" }, "OS_PROJECT_NAME"},
		"version 4":               {func(o *swift.Options) { o.AuthVersion = 4 }, "version"},
		"a credential and v2":     {func(o *swift.Options) { o.ApplicationCredentialID, o.AuthVersion = "i", 2 }, "version 3"},
		"a credential, no secret": {func(o *swift.Options) { o.ApplicationCredentialID = "i" }, "no secret"},
		"a kind of large object":  {func(o *swift.Options) { o.LargeObjects = "xlo" }, "slo or dlo"},
		"a kind of endpoint":      {func(o *swift.Options) { o.EndpointType = "secret" }, "endpoint"},
		"a tiny segment":          {func(o *swift.Options) { o.PartSize = 1000 }, "segment"},
	} {
		t.Run(name, func(t *testing.T) {
			o := good
			c.change(&o)
			err := o.Check()
			if c.says == "" && err != nil || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("%v, want %q", err, c.says)
			}
		})
	}
}

func TestIdentity(t *testing.T) {
	clearEnv(t)
	a := swift.Options{AuthURL: "https://Keystone.example.com:443", Username: "u", Tenant: "t", Domain: "Default", Container: "c", Prefix: "/p/q/"}
	b := swift.Options{AuthURL: "https://keystone.example.com/v3/", Username: "other", Tenant: "t", Domain: "Default", Container: "c", Prefix: "p/q"}
	want := "swift://c/p/q?authurl=https%3A%2F%2Fkeystone.example.com%2Fv3&tenant=t&tenantdomain=Default"
	if a.Identity() != want || b.Identity() != want {
		t.Errorf("%s\n%s\nwant %s", a.Identity(), b.Identity(), want)
	}
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"", "", true}, {"", "p", false}, {"p", "p", true}, {"p", "p/files", true}, {"", "files/docker", true},
		{"p", "p/segments/x", true}, {"p", "pq", false}, {"", "segments", true},
	} {
		a.Prefix, b.Prefix = c.a, c.b
		if got := swift.Nested(a, b); got != c.want {
			t.Errorf("Nested(%q, %q) = %v", c.a, c.b, got)
		}
	}
	b.Tenant = "another"
	if swift.Nested(a, b) {
		t.Error("the same prefix of another project")
	}
}

func TestEnvironmentOfVersion1(t *testing.T) {
	clearEnv(t)
	t.Setenv("ST_AUTH", "http://h:8080/auth/v1.0")
	t.Setenv("ST_USER", "account:user")
	t.Setenv("ST_KEY", "k")
	o := swift.Options{Container: "c"}
	if err := o.Check(); err != nil {
		t.Error(err)
	}
	if got := o.Identity(); got != "swift://c?account=account&authurl=http%3A%2F%2Fh%3A8080%2Fauth%2Fv1.0" {
		t.Error(got)
	}
}

func clearEnv(t *testing.T) {
	for _, name := range []string{"OS_AUTH_URL", "ST_AUTH", "OS_USERNAME", "OS_PASSWORD", "OS_PROJECT_NAME", "OS_TENANT_NAME"} {
		t.Setenv(name, "")
	}
}
