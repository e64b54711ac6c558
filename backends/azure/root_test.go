package azure_test

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/azure"
	"github.com/regferry/regferry/backends/backendtest/servers"
)

// testRoots: which root is taken for what is there and what is asked for.
func testRoots(t *testing.T, server *servers.AzuriteServer) {
	const plain, slash, key = azure.RootPlain, azure.RootSlash, "docker/registry/v2/k"
	_, c, o, _ := gated(t, server)
	for i, test := range []struct {
		has            []azure.Root
		version        string
		root           azure.Root
		source, target azure.Root // empty: refused
	}{
		{nil, "", "", plain, plain},
		{nil, "2.8", "", slash, slash},
		{nil, "3.1.2", "", plain, plain},
		{nil, "", slash, slash, slash},
		{[]azure.Root{plain}, "", "", plain, plain},
		{[]azure.Root{slash}, "", "", slash, slash},
		{[]azure.Root{slash}, "2.8.3", "", slash, slash},
		{[]azure.Root{slash}, "3.1", "", "", ""},
		{[]azure.Root{plain}, "2.8", "", "", ""},
		{[]azure.Root{slash}, "3.1", plain, plain, plain},
		{[]azure.Root{plain, slash}, "", "", "", ""},
		{[]azure.Root{plain, slash}, "3.1", "", "", ""},
		{[]azure.Root{plain, slash}, "", slash, slash, slash},
		{[]azure.Root{plain, slash}, "", plain, plain, plain},
	} {
		for _, prefix := range []string{fmt.Sprintf("a root/%d", i), fmt.Sprintf("%d", i)} {
			o := o
			o.Prefix, o.Root, o.RegistryVersion = prefix, test.root, test.version
			for _, root := range test.has {
				blockBlob(t, c, map[azure.Root]string{plain: "", slash: "/"}[root]+prefix+"/"+key, []byte(root))
			}
			r, err := azure.OpenReader(t.Context(), o)
			check := func(what string, s backends.ReadStore, err error, want azure.Root) {
				switch {
				case want == "" && !errors.Is(err, backends.Unsupported):
					t.Errorf("%+v: %s: %v, want a refusal", test, what, err)
				case want == "":
				case err != nil:
					t.Errorf("%+v: %s: %v", test, what, err)
				case strings.HasSuffix(s.Location(), "&root=slash") != (want == slash):
					t.Errorf("%+v: %s is at %s, want %s", test, what, s.Location(), want)
				case slices.Contains(test.has, want):
					holds(t, s, key, []byte(want))
					if got := keysOf(t, s); !slices.Equal(got, []string{key}) {
						t.Errorf("%+v: %q", test, got)
					}
				}
			}
			check("source", r, err, test.source)
			s, err := azure.Open(t.Context(), o)
			check("destination", s, err, test.target)
			if err != nil {
				continue
			}
			put(t, s, key+"2", []byte("new"))
			name := map[azure.Root]string{plain: "", slash: "/"}[test.target] + prefix + "/" + key + "2"
			if kindOf(c, name) == "" {
				t.Errorf("%+v: nothing is at %s", test, name)
			}
			if i < 4 {
				big := random(2*partSize + 1)
				put(t, s, key+"2", big)
				holds(t, s, key+"2", big)
				put(t, s, tag, link(1))
				holds(t, s, tag, link(1))
			}
			s.Close()
			r.Close()
		}
	}
	if left := namesWith(t, c, ".regferry"); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// testRefusals: what is wrong with an account is said in one line.
func testRefusals(t *testing.T, server *servers.AzuriteServer) {
	for _, e := range []string{"AZURE_STORAGE_KEY", "AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_ACCOUNT"} {
		t.Setenv(e, "")
	}
	_, _, o, _ := gated(t, server)
	for _, test := range []struct {
		name   string
		change func(*azure.Options)
		class  backends.Class
		text   string
	}{
		{"container", func(o *azure.Options) { o.Container = "no-such" }, backends.Denied, "there is no container of the name no-such"},
		{"key", func(o *azure.Options) { o.Credentials.Key = "c2VjcmV0LW1hcmtlZA==" }, backends.Denied, "the credential is wrong"},
		{"no base64", func(o *azure.Options) { o.Credentials.Key = "secret-marked!" }, backends.Denied, "not base64"},
		{"signature", func(o *azure.Options) {
			o.Credentials = azure.Credentials{SAS: "sv=2022-11-02&ss=b&srt=sco&sp=rwdlac&se=2030-01-01T00:00:00Z&sig=secret-marked"}
		}, backends.Denied, "Auth"},
		{"nothing", func(o *azure.Options) { o.Credentials = azure.Credentials{} }, backends.Denied, "AZURE_STORAGE_KEY"},
		{"host", func(o *azure.Options) {
			o.ServiceURL = "https://secret-free.blob.invalid"
			o.Credentials = azure.Credentials{SAS: "sv=2022-11-02&sig=secret-marked"}
		}, backends.Denied, "no such host"},
	} {
		o := o
		test.change(&o)
		_, reader := azure.OpenReader(t.Context(), o)
		_, writer := azure.Open(t.Context(), o)
		for _, err := range []error{reader, writer} {
			if err == nil || backends.ClassOf(err) != test.class || !strings.Contains(err.Error(), test.text) {
				t.Errorf("%s: %v, want %v: %s", test.name, err, test.class, test.text)
				continue
			}
			if text := fmt.Sprintf("%v %+v %q", err, err, err); strings.Contains(text, "marked") || strings.Contains(text, "c2VjcmV0") || strings.Contains(text, "\n") {
				t.Errorf("%s: %q", test.name, text)
			}
		}
	}
}

// testSignature: all that a store does, links as well, works with a signature
// for the container and with what the environment says.
func testSignature(t *testing.T, server *servers.AzuriteServer) {
	_, c, o, _ := gated(t, server)
	at, err := c.GetSASURL(sas.ContainerPermissions{Read: true, Add: true, Create: true, Write: true, Delete: true, List: true}, time.Now().Add(time.Hour), nil)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	key := server.Key
	connection := "DefaultEndpointsProtocol=http;AccountName=" + server.Account + ";AccountKey=" + key + ";BlobEndpoint=" + o.ServiceURL + ";"
	for i, test := range []struct {
		given azure.Credentials
		env   map[string]string
	}{
		{given: azure.Credentials{SAS: "?" + u.RawQuery}},
		{given: azure.Credentials{ConnectionString: connection}},
		{env: map[string]string{"AZURE_STORAGE_CONNECTION_STRING": connection}},
		{env: map[string]string{"AZURE_STORAGE_KEY": key, "AZURE_STORAGE_ACCOUNT": server.Account}},
		{env: map[string]string{"AZURE_STORAGE_SAS_TOKEN": u.RawQuery, "AZURE_STORAGE_ACCOUNT": server.Account}},
	} {
		for _, name := range []string{"AZURE_STORAGE_KEY", "AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_ACCOUNT"} {
			t.Setenv(name, test.env[name])
		}
		o := o
		o.Credentials, o.Account, o.Prefix, o.RegistryVersion = test.given, "", fmt.Sprintf("sas-%d", i), "3.0"
		if strings.Contains(test.given.ConnectionString+test.env["AZURE_STORAGE_CONNECTION_STRING"], ";") {
			o.ServiceURL = ""
		}
		s := open(t, o)
		put(t, s, tag, link(1))
		put(t, s, tag, link(2))
		b := random(2*partSize + 1)
		put(t, s, "k", b)
		holds(t, s, tag, link(2))
		holds(t, s, "k", b)
		if text := s.Location(); strings.Contains(text, "sig") || strings.Contains(text, key) || !strings.HasPrefix(text, "azblob://gated-") {
			t.Errorf("location %s", text)
		}
		s.Close()
	}
}

// testSecretsStayInside: an error of the network has the address, and the
// address the signature.
func testSecretsStayInside(t *testing.T, server *servers.AzuriteServer) {
	g, _, o, _ := gated(t, server)
	o.Credentials = azure.Credentials{SAS: "sv=2022-11-02&sig=secret-marked"}
	at := o.ServiceURL
	g.Close()
	o.ServiceURL = strings.Replace(at, "http://", "https://", 1)
	for _, c := range []azure.Options{o} {
		ctx, cancel := contextFor(t, 2*time.Second)
		_, err := azure.OpenReader(ctx, c)
		cancel()
		if err == nil || strings.Contains(fmt.Sprintf("%+v", err), "marked") {
			t.Errorf("%v", err)
		}
	}
}
