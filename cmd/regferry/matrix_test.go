//go:build linux

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/backends/location"
)

// system is a storage system with the registries that can use it, the first of
// which pushes and serves.
type system struct {
	name     string
	versions []servers.Version
	place    func(t *testing.T) place // a new one, empty; what it needs of the environment is set
}

// systems are those that Mirantis Secure Registry names, in a ring: each is
// moved to the next one.
func systems() []system {
	both := []servers.Version{servers.Version3, servers.Version283}
	v3, v2 := both[:1], both[1:]
	return []system{
		{"volume", both, func(t *testing.T) place { return onDisk(filepath.Join(t.TempDir(), "volume")) }},
		{"azure", v3, inAzure},
		{"gcs", v3, inGCS},
		{"s3", both, inS3},
		{"swift", v2, inSwift},
		{"oss", v2, inOSS},
		{"azure of 2.8", v2, inOldAzure},
		{"swift by keystone", v2, inKeystone},
	}
}

// TestMatrix has every system as a source and as a destination, with real
// registries on both sides. In full (make test-matrix) that is the ring, and
// each with the volume; else a shorter ring with one server of each system.
func TestMatrix(t *testing.T) {
	servers.Tool(t, "crane")
	program := built(t)
	all := systems()
	if os.Getenv("REGFERRY_MATRIX") != "full" {
		all = all[:6]
	}
	for i, from := range all {
		to := all[(i+1)%len(all)]
		t.Run(from.name+" to "+to.name, func(t *testing.T) { movesTo(t, program, from, to) })
		if len(all) < len(systems()) {
			continue
		}
		if i > 1 {
			t.Run("volume to "+from.name, func(t *testing.T) { movesTo(t, program, all[0], from) })
		}
		if i > 0 && i < len(all)-1 {
			t.Run(from.name+" to volume", func(t *testing.T) { movesTo(t, program, from, all[0]) })
		}
	}
}

func movesTo(t *testing.T, program string, from, to system) {
	t.Helper()
	a, b := from.versions[0], to.versions[0]
	for _, v := range from.versions { // one and the same, if there is one
		for _, w := range to.versions {
			if v == w {
				a, b = v, w
			}
		}
	}
	t.Logf("registry %s on %s, then %s on %s", a, from.name, b, to.name)
	move(t, program, a, b, from.place(t), to.place(t))
}

const matrixRoot = "the/root"

// at writes a location of a service.
func at(scheme, name, root string, options ...string) string {
	q := url.Values{}
	for i := 0; i < len(options); i += 2 {
		q.Set(options[i], options[i+1])
	}
	return (&url.URL{Scheme: scheme, Host: name, Path: root, RawQuery: q.Encode()}).String()
}

func inS3(t *testing.T) place {
	s := servers.VersityGW(t)
	s.Credentials(t)
	s.Bucket(t, "images")
	return inBucket(s, "images", matrixRoot)
}

func inAzure(t *testing.T) place {
	s := servers.Azurite(t)
	s.Container(t, "images")
	t.Setenv("AZURE_STORAGE_ACCOUNT", s.Account)
	t.Setenv("AZURE_STORAGE_KEY", s.Key)
	return place{
		location: at("azblob", "images", matrixRoot, "accountname", s.Account, "serviceurl", s.Endpoint), config: servers.OnAzure(s, "images", matrixRoot), env: s.Env(),
	}
}

// inOldAzure is a container as registry 2.8 writes it: without a root, each
// name with a slash before it.
func inOldAzure(t *testing.T) place {
	s := servers.AzuriteEmulator(t)
	s.Container(t, "images")
	t.Setenv("AZURE_STORAGE_ACCOUNT", s.Account)
	t.Setenv("AZURE_STORAGE_KEY", s.Key)
	return place{
		location: at("azblob", "images", "", "accountname", s.Account, "serviceurl", s.Endpoint, "skipverify", "true", "registry_version", "2.8"),
		config:   servers.OnAzure2(s, "images"), env: s.Env(),
	}
}

func inGCS(t *testing.T) place {
	s := servers.GCSForRegistry(t)
	s.Bucket(t, "images")
	p := place{location: at("gs", "images", matrixRoot, "endpoint", s.Endpoint, "anonymous", "true")}
	p.config, p.env = servers.OnGCS(s, "images", matrixRoot)
	return p
}

func inSwift(t *testing.T) place {
	s := servers.Swift(t)
	if err := s.Account(t).ContainerCreate(t.Context(), "images", nil); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ST_KEY", s.Key)
	return place{location: at("swift", "images", matrixRoot, "authurl", s.AuthURL, "username", s.User), config: servers.OnSwift(s, "images", matrixRoot)}
}

func inKeystone(t *testing.T) place {
	s := servers.Keystone(t)
	if err := s.Account(t).ContainerCreate(t.Context(), "images", nil); err != nil {
		t.Fatal(err)
	}
	t.Setenv("OS_PASSWORD", s.Password)
	return place{
		location: at("swift", "images", matrixRoot, "authurl", s.AuthURL, "username", s.User, "domain", s.UserDomain,
			"tenant", s.Project, "tenantdomain", s.ProjectOf, "region", s.Region),
		config: servers.OnKeystone(s, "images", matrixRoot),
	}
}

func inOSS(t *testing.T) place {
	s := servers.OSS(t)
	s.Credentials(t)
	s.Bucket(t, "images")
	return place{location: at("oss", "images", matrixRoot, "region", s.Region, "endpoint", s.Endpoint), config: servers.OnOSS(t, s, "images", matrixRoot)}
}

// treeOfStore reads everything, as the program does; that it does so rightly
// is what the registry at the other end is for.
func treeOfStore(t *testing.T, raw string) map[string]file {
	t.Helper()
	s, err := location.Opener{}.Source(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	files := map[string]file{}
	for o, err := range s.List(t.Context(), "docker/", "") {
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(o.Key, "/_uploads/") {
			continue
		}
		body, err := s.Open(t.Context(), o.Key, 0)
		if err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		if _, err := io.Copy(h, body); err != nil {
			t.Fatal(err)
		}
		body.Close()
		files[strings.TrimPrefix(o.Key, "docker")] = file{hex.EncodeToString(h.Sum(nil)), body.Object.ModTime.UTC()}
	}
	if len(files) == 0 {
		t.Fatalf("%s holds no registry", location.Redacted(raw))
	}
	return files
}

func besideInStore(t *testing.T, raw string) (left []string) {
	t.Helper()
	s, err := location.Opener{}.Source(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for o, err := range s.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(o.Key, "docker/") {
			left = append(left, fmt.Sprint(o.Key, " ", o.Size))
		}
	}
	return left
}
