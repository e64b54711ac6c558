package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/regferry/regferry/"

// The arrows that are allowed between packages, by folder. A folder that is
// not listed may import nothing of ours.
var (
	ground  = []string{"backends", "verify/layout", "verify/report"}
	middle  = append([]string{"verify", "checkpoint"}, ground...)
	engine  = append([]string{"migrate"}, middle...)
	command = append([]string{"migrate/mirror", "migrate/mirror/web", "migrate/mirror/meter", "backends/location"}, engine...)

	arrows = map[string][]string{
		"cmd/regferry":             command,
		"migrate/mirror":           engine,
		"migrate/mirror/hint":      {"verify/layout"},
		"migrate/mirror/meter":     {"backends", "migrate/mirror"},
		"migrate/mirror/web":       {"migrate/mirror", "migrate/mirror/hint"},
		"migrate":                  middle,
		"verify":                   ground,
		"checkpoint":               ground,
		"verify/layout/layouttest": {"backends", "verify/layout"},
		"backends/backendtest":     {"backends"},

		"backends/backendtest/servers": {"backends/backendtest/fakeoss", "backends/backendtest/fakegcs"},
		"backends/parts":               {"backends"},
	}

	// tools are for tests; no program may be made of them.
	tools = []string{
		"backends/backendtest", "backends/backendtest/servers", "backends/backendtest/fakeoss", "backends/backendtest/fakegcs", "verify/layout/layouttest",
	}

	// walls name the only folder from which somebody else's package may be used.
	walls = map[string]string{
		"github.com/spf13/cobra":    "cmd",
		"github.com/cheggaaa/pb/v3": "cmd",
		"go.etcd.io/bbolt":          "checkpoint",
		"gocloud.dev":               "backends",
		"github.com/prometheus":     "migrate/mirror",
	}

	// impure is what layout, which does no I/O, must not have.
	impure = []string{"os", "net", "net/http", "io/ioutil", "os/exec", "syscall"}
)

// allowed says whether the package in folder from may import the one in to.
func allowed(from, to string) bool {
	system, isSystem := backend(from)
	target, toSystem := backend(to)
	switch {
	case slices.Contains(tools, to):
		return slices.Contains(tools, from) && slices.Contains(arrows[from], to)
	case strings.HasPrefix(from, "examples/"): // a user of the library wires it by hand
		return toSystem || slices.Contains(command, to)
	case from == "backends/location":
		return to == "backends" || toSystem
	case isSystem:
		return to == "backends" || to == "backends/parts" || to == "backends/bucket" || toSystem && target == system
	}
	return slices.Contains(arrows[from], to)
}

// backend is the system a folder below backends belongs to: "s3" for
// backends/s3 and backends/s3/x.
func backend(folder string) (string, bool) {
	rest, ok := strings.CutPrefix(folder, "backends/")
	system, _, _ := strings.Cut(rest, "/")
	return system, ok && system != "location" && system != "backendtest" && system != "parts"
}

// pkg is what go list says of a package.
type pkg struct {
	ImportPath string
	Imports    []string
}

func TestArrows(t *testing.T) {
	packages := listPackages(t)
	if len(packages) < 5 {
		t.Fatalf("go list found %d packages", len(packages))
	}
	for _, p := range packages {
		from := strings.TrimPrefix(p.ImportPath, module)
		for _, imported := range p.Imports {
			if to, ours := strings.CutPrefix(imported, module); ours && !allowed(from, to) {
				t.Errorf("%s must not import %s", from, to)
			}
			for wall, folder := range walls {
				if under(imported, wall) && !under(from, folder) {
					t.Errorf("%s must not import %s, which is for %s", from, imported, folder)
				}
			}
			if from == "verify/layout" && slices.Contains(impure, imported) {
				t.Errorf("%s must not import %s: it does no I/O", from, imported)
			}
		}
	}
}

// TestAllowed holds the table itself to the arrows of the design.
func TestAllowed(t *testing.T) {
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{"cmd/regferry", "migrate/mirror", true},
		{"cmd/regferry", "backends/location", true},
		{"cmd/regferry", "backends/filesystem", false},
		{"migrate/mirror", "migrate", true},
		{"migrate", "migrate/mirror", false},
		{"cmd/regferry", "migrate/mirror/web", true},
		{"migrate/mirror/web", "migrate/mirror", true},
		{"migrate/mirror/web", "backends", false},
		{"migrate/mirror/web", "migrate/mirror/meter", false},
		{"migrate/mirror", "migrate/mirror/web", false},
		{"migrate", "migrate/mirror/meter", false},
		{"migrate/mirror/hint", "verify/layout", true},
		{"migrate/mirror/hint", "backends", false},
		{"migrate/mirror/meter", "backends", true},
		{"migrate", "checkpoint", true},
		{"migrate", "backends/filesystem", false},
		{"migrate", "cmd/regferry", false},
		{"verify", "checkpoint", false},
		{"checkpoint", "verify", false},
		{"verify", "verify/layout", true},
		{"verify/layout", "backends", false},
		{"verify/report", "verify", false},
		{"backends", "verify/layout", false},
		{"backends/s3", "backends", true},
		{"backends/s3", "backends/s3/sign", true},
		{"backends/s3", "backends/gcs", false},
		{"backends/s3", "verify/layout", false},
		{"backends/location", "backends/s3", true},
		{"backends/location", "migrate", false},
		{"migrate", "backends/backendtest", false},
		{"examples/library", "backends/filesystem", true},
		{"examples/library", "verify/layout/layouttest", false},
	} {
		if got := allowed(c.from, c.to); got != c.want {
			t.Errorf("%s -> %s: %v, want %v", c.from, c.to, got, c.want)
		}
	}
}

func under(name, folder string) bool {
	return name == folder || strings.HasPrefix(name, folder+"/")
}

// listPackages lists the packages of the module without their tests, which may
// use anything.
func listPackages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", path.Join(module, "..."))
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages
		}
		if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}
