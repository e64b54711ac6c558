package location

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest/servers"
)

// moved puts one object through a location's destination and reads it by its
// source.
func moved(t *testing.T, o Opener, raw string) {
	t.Helper()
	const key, text = "docker/registry/v2/repositories/a/_manifests/tags/latest/current/link", "sha256:0000000000000000000000000000000000000000000000000000000000000000"
	dst, err := o.Destination(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	defer dst.Close()
	_, err = dst.Put(t.Context(), key, backends.Content{Size: int64(len(text)), Open: func(_ context.Context, at int64) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(text[at:])), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	src, err := o.Source(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if object, err := src.Stat(t.Context(), key); err != nil || object.Size != int64(len(text)) {
		t.Errorf("%+v, %v", object, err)
	}
	id, err := o.Identity(raw)
	if at := dst.Location(); err != nil || strings.TrimSuffix(at, "&root=slash") != strings.TrimSuffix(id, "&root=slash") || src.Location() != at {
		t.Errorf("identity %q, locations %q and %q, error %v", id, src.Location(), at, err)
	}
}

// The keys of a registry's file are used, and are nowhere when it is open.
func TestOpenS3Config(t *testing.T) {
	server := servers.VersityGW(t)
	server.Bucket(t, "registry")
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "of-somebody", "AWS_SECRET_ACCESS_KEY": "else", "AWS_SESSION_TOKEN": "token", "AWS_PROFILE": "of-nobody",
		"AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
	text := "storage:\n" + servers.OnS3(server, "registry", "root") + "\n"
	moved(t, hermetic, written(t, text))
	if os.Getenv("AWS_ACCESS_KEY_ID") != "of-somebody" || os.Getenv("AWS_SESSION_TOKEN") != "token" {
		t.Error("the environment is not as it was")
	}
	// And so are those of a directory, for two files of one driver.
	secrets := t.TempDir()
	for key, value := range map[string]string{"REGISTRY_STORAGE_S3_ACCESSKEY": server.AccessKey, "REGISTRY_STORAGE_S3_SECRETKEY": server.SecretKey} {
		if err := os.WriteFile(filepath.Join(secrets, key), []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	keyless := regexp.MustCompile(`(accesskey|secretkey): "[^"]*", `).ReplaceAllString(text, "")
	moved(t, Opener{Environ: []string{}, Secrets: secrets}, written(t, keyless))
	wrong := written(t, strings.Replace(text, server.SecretKey, "of-nobody", 1))
	if _, err := hermetic.Source(t.Context(), wrong); !errors.Is(err, backends.Denied) || strings.Contains(err.Error(), "of-nobody") {
		t.Errorf("a wrong key: %v", err)
	}
	t.Setenv("AWS_PROFILE", "")
	if _, err := hermetic.Source(t.Context(), "s3://registry?endpoint="+server.Endpoint); !errors.Is(err, backends.Denied) {
		t.Errorf("the keys of the file are used for another location: %v", err)
	}
}

// A registry starts in a region that is younger than it, which it does not
// without the address.
func TestRegistryOfAnyRegion(t *testing.T) {
	for version, c := range map[servers.Version]struct{ platform, region string }{
		servers.Version3: {"distribution", "mx-central-1"}, servers.Version2: {"distribution-v2", "eu-south-2"},
	} {
		var b bytes.Buffer
		if err := hermetic.Config(t.Context(), &b, "s3://images?region="+c.region, c.platform); err != nil {
			t.Fatal(err)
		}
		_, storage, _ := strings.Cut(b.String(), "\nstorage:\n")
		r := servers.Registry(t, version, strings.TrimSuffix(storage, "\n"), "REGISTRY_STORAGE_S3_ACCESSKEY=k", "REGISTRY_STORAGE_S3_SECRETKEY=s")
		r.Stop()
	}
}

func TestOpenAzureConfig(t *testing.T) {
	bare(t)
	server := servers.Azurite(t)
	server.Container(t, "registry")
	moved(t, hermetic, written(t, "storage:\n"+servers.OnAzure(server, "registry", "root")+"\n"))
	// Without the type of credentials it is a file of registry 2.8, and says so.
	server.Container(t, "older")
	var said []string
	o := Opener{Environ: []string{}, Notice: func(text string) { said = append(said, text) }}
	older := written(t, "storage:\n"+strings.Replace(servers.OnAzure(server, "older", ""), "credentials: {type: shared_key}", "realm: ''", 1)+"\n")
	moved(t, o, older)
	if !slices.ContainsFunc(said, func(s string) bool { return strings.Contains(s, "registry 2.8") }) {
		t.Errorf("%q", said)
	}
	s, err := o.Source(t.Context(), older)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if !strings.HasSuffix(s.Location(), "&root=slash") {
		t.Error(s.Location())
	}
	t.Setenv("AZURE_STORAGE_KEY", server.Key)
	moved(t, Opener{}, "azblob://registry/other?accountname="+server.Account+"&skipverify=true&serviceurl="+server.Endpoint)
}

func TestOpenSwiftConfig(t *testing.T) {
	bare(t)
	server := servers.Swift(t)
	if err := server.Account(t).ContainerCreate(t.Context(), "registry", nil); err != nil {
		t.Fatal(err)
	}
	moved(t, hermetic, written(t, values("{backend: swift, swift: {authurl: '"+server.AuthURL+"', username: '"+server.User+"', password: '"+server.Key+"', container: registry, prefix: a/b}}")))
	t.Setenv("ST_KEY", server.Key)
	t.Setenv("ST_AUTH", server.AuthURL)
	moved(t, Opener{}, "swift://registry?authurl="+server.AuthURL+"&username="+server.User)
}

func TestOpenOSSConfig(t *testing.T) {
	server := servers.OSS(t)
	server.Bucket(t, "registry")
	moved(t, hermetic, written(t, "storage:\n"+servers.OnOSS(t, server, "registry", "root")+"\n"))
}

func TestOpenGCS(t *testing.T) {
	server := servers.GCS(t)
	server.Bucket(t, "registry")
	bare(t)
	moved(t, Opener{}, "gs://registry/root?anonymous=true&endpoint="+server.Endpoint)
}
