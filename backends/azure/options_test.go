package azure_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/azure"
	"github.com/regferry/regferry/backends/backendtest/servers"
)

func contextFor(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}

// forgetEnvironment is for tests of what the options alone say.
func forgetEnvironment(t *testing.T) {
	for _, name := range []string{"AZURE_STORAGE_KEY", "AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_ACCOUNT"} {
		t.Setenv(name, "")
	}
}

func TestOptions(t *testing.T) {
	forgetEnvironment(t)
	key := azure.Credentials{Key: "a2V5"}
	for _, test := range []struct {
		o    azure.Options
		text string // empty: they are right
	}{
		{azure.Options{Account: "account1", Container: "registry"}, ""},
		{azure.Options{Account: "account1", Container: "registry", Credentials: key, RegistryVersion: "2.8.3", Root: azure.RootSlash}, ""},
		{azure.Options{Account: "account1", Container: "$root", Realm: "core.usgovcloudapi.net"}, ""},
		{azure.Options{Account: "account1"}, "no container"},
		{azure.Options{Container: "registry"}, "AZURE_STORAGE_ACCOUNT"},
		{azure.Options{Container: "Registry", Account: "account1"}, "name of a container"},
		{azure.Options{Container: "a--b", Account: "account1"}, "name of a container"},
		{azure.Options{Container: "../x", Account: "account1"}, "name of a container"},
		{azure.Options{Container: "registry", Account: "account1.evil.example/x"}, "name of a storage account"},
		{azure.Options{Container: "registry", Account: "account1", Prefix: "a/../b"}, "no path"},
		{azure.Options{Container: "registry", Account: "account1", PartSize: 100}, "64 KiB"},
		{azure.Options{Container: "registry", Account: "account1", PartSize: 5 << 30}, "4000 MiB"},
		{azure.Options{Container: "registry", Account: "account1", Root: "legacy"}, "plain or slash"},
		{azure.Options{Container: "registry", Account: "account1", RegistryVersion: "4"}, "version of a registry"},
		{azure.Options{Container: "registry", Account: "account1", RegistryVersion: "28"}, "version of a registry"},
		{azure.Options{Container: "registry", Account: "account1", RegistryVersion: "2.8", Root: azure.RootPlain}, "does not read"},
		{azure.Options{Container: "registry", ServiceURL: "account1.blob.core.windows.net"}, "address such as"},
		{azure.Options{Container: "registry", ServiceURL: "https://account1.blob.core.windows.net?sig=x"}, "belongs to the credentials"},
		{azure.Options{Container: "registry", ServiceURL: "https://example.com", Credentials: key}, "needs the name of its account"},
		{azure.Options{Container: "registry", Account: "account1", Credentials: azure.Credentials{Key: "a", SAS: "sig=b"}}, "more than one"},
		{azure.Options{Container: "registry", Account: "account1", Credentials: azure.Credentials{ClientID: "a"}}, "needs the tenant"},
		{azure.Options{Container: "registry", Account: "account1", Credentials: azure.Credentials{SAS: "hello"}}, "is none"},
		{azure.Options{Container: "registry", Account: "account2", Credentials: azure.Credentials{ConnectionString: "AccountName=account1;AccountKey=a2V5"}}, "of the account account1"},
		{azure.Options{Container: "registry", Credentials: azure.Credentials{ConnectionString: "AccountName=account1"}}, "neither AccountKey"},
	} {
		err := test.o.Check()
		switch {
		case test.text == "" && err != nil:
			t.Errorf("%+v: %v", test.o, err)
		case test.text != "" && (!errors.Is(err, backends.Unsupported) || !strings.Contains(err.Error(), test.text)):
			t.Errorf("%+v: %v, want %q", test.o, err, test.text)
		}
	}
}

// TestDots: Azurite keeps names that the service changes.
func TestDots(t *testing.T) {
	for key, refused := range map[string]bool{
		"docker/registry/v2/repositories/a/_manifests/tags/v1./current/link":  true,
		"docker/registry/v2/repositories/a/_manifests/tags/v1.":               true,
		"docker/registry/v2/repositories/a./x":                                true,
		"...":                                                                 true,
		"docker/registry/v2/repositories/a/_manifests/tags/v1.0/current/link": false,
		"docker/registry/v2/repositories/a/_manifests/tags/.v/current/link":   false,
	} {
		err := azure.CheckKey(key, 1024)
		if (err != nil) != refused || refused && (backends.ClassOf(err) != backends.Unsupported || !strings.Contains(err.Error(), "dot")) {
			t.Errorf("%s: %v", key, err)
		}
	}
	o := azure.Options{Account: "account1", Container: "registry", Prefix: "a./b"}
	if err := o.Check(); !errors.Is(err, backends.Unsupported) {
		t.Errorf("a root: %v", err)
	}
}

func TestIdentity(t *testing.T) {
	forgetEnvironment(t)
	for want, all := range map[string][]azure.Options{
		"azblob://registry?accountname=account1": {
			{Account: "account1", Container: "registry"},
			{Account: "account1", Container: "registry", Prefix: "/", Credentials: azure.Credentials{Key: "a2V5"}},
			{Container: "registry", ServiceURL: "https://ACCOUNT1.blob.core.windows.net:443/"},
			{Container: "registry", Credentials: azure.Credentials{ConnectionString: "DefaultEndpointsProtocol=https;AccountName=account1;AccountKey=a2V5;EndpointSuffix=core.windows.net"}},
			{Container: "registry", Account: "account1", RegistryVersion: "3.1"},
		},
		"azblob://registry/a%20b/c?accountname=account1&root=slash": {
			{Account: "account1", Container: "registry", Prefix: "/a b/c/", RegistryVersion: "2.8"},
			{Account: "account1", Container: "registry", Prefix: "a b/c", Root: azure.RootSlash},
		},
		"azblob://registry?accountname=account1&realm=core.chinacloudapi.cn":         {{Account: "account1", Container: "registry", Realm: "core.chinacloudapi.cn"}},
		"azblob://registry?serviceurl=http://127.0.0.1:10000/devstoreaccount1":       {{Container: "registry", Credentials: azure.Credentials{ConnectionString: "UseDevelopmentStorage=true"}}},
		"azblob://registry?serviceurl=https://blobs.example.com:8443/account1":       {{Container: "registry", Account: "account1", ServiceURL: "https://blobs.example.com:8443/account1/"}},
		"azblob://registry?serviceurl=https://account1.blob.core.windows.net/a-path": {{Container: "registry", ServiceURL: "https://account1.blob.core.windows.net/a-path"}},
	} {
		for _, o := range all {
			if got := o.Identity(); got != want {
				t.Errorf("%+v: %s, want %s", o, got, want)
			}
		}
	}
}

func TestEnvironmentIsOfOneAccount(t *testing.T) {
	forgetEnvironment(t)
	t.Setenv("AZURE_STORAGE_ACCOUNT", "account1")
	t.Setenv("AZURE_STORAGE_KEY", "a2V5")
	if got := (azure.Options{Container: "registry"}).Identity(); got != "azblob://registry?accountname=account1" {
		t.Errorf("the account is not taken: %s", got)
	}
	// The key is not that of another account, so nothing is left but a token.
	_, err := azure.OpenReader(t.Context(), azure.Options{Account: "account2", Container: "registry", ServiceURL: "http://127.0.0.1:1/account2"})
	if !errors.Is(err, backends.Denied) || !strings.Contains(err.Error(), "token") {
		t.Errorf("%v", err)
	}
}

func TestNested(t *testing.T) {
	forgetEnvironment(t)
	o := func(account, prefix string, root azure.Root) azure.Options {
		return azure.Options{Account: account, Container: "registry", Prefix: prefix, Root: root}
	}
	for _, test := range []struct {
		a, b azure.Options
		want bool
	}{
		{o("account1", "", ""), o("account1", "", ""), true},
		{o("account1", "", ""), o("account1", "docker/x", ""), true},
		{o("account1", ".regferry/x", ""), o("account1", "", ""), true},
		{o("account1", "", ""), o("account1", "other", ""), false},
		{o("account1", "", ""), o("account2", "", ""), false},
		{o("account1", "", azure.RootSlash), o("account1", "", azure.RootPlain), false},
		{o("account1", "", azure.RootSlash), o("account1", "", ""), true},
	} {
		if got := azure.Nested(test.a, test.b); got != test.want {
			t.Errorf("%s and %s: %v", test.a.Identity(), test.b.Identity(), got)
		}
	}
}

func TestCredentialsShowNothing(t *testing.T) {
	all := []azure.Credentials{
		{Key: "marked"}, {ConnectionString: "AccountKey=marked"}, {SAS: "sig=marked"}, {TenantID: "marked", ClientID: "marked", ClientSecret: "marked"},
	}
	for _, c := range all {
		o := azure.Options{Credentials: c}
		p := &o
		text := fmt.Sprintf("%v %+v %#v %s %q %x %d %v %+v %#v %v %+v %#v", c, c, c, c, c, c, c, o, o, o, p, p, &c)
		for _, v := range []any{c, o.Credentials, map[string]any{"c": c}} {
			b, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			text += string(b)
		}
		if strings.Contains(text, "marked") || strings.Contains(text, "6d61726b6564") || !strings.Contains(text, c.Kind()) {
			t.Errorf("%s: %s", c.Kind(), text)
		}
	}
}

// TestTLS: a certificate of one's own authority is taken with SkipVerify, and
// refused without, at once.
func TestTLS(t *testing.T) {
	server := servers.AzuriteTLS(t)
	server.Container(t, "secure")
	if _, err := os.Stat(server.CA); err != nil {
		t.Fatal(err)
	}
	o := options(server, "secure")
	begun := time.Now()
	_, err := azure.Open(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "x509") || time.Since(begun) > 5*time.Second {
		t.Errorf("after %v: %v", time.Since(begun), err)
	}
	o.SkipVerify, o.RegistryVersion = true, "3.0"
	s := open(t, o)
	defer s.Close()
	b := random(2 * partSize)
	put(t, s, "k", b)
	put(t, s, tag, link(1))
	holds(t, s, "k", b)
	holds(t, s, tag, link(1))
}
