//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/regferry/regferry/backends/backendtest/servers"
)

// systemd itself reads the units: it knows each line, and finds little that a
// service could do beside its work.
func TestUnits(t *testing.T) {
	analyze := servers.Tool(t, "systemd-analyze")
	program := built(t)
	dir := t.TempDir()
	units, err := filepath.Glob("../../examples/systemd/regferry-*")
	if err != nil || len(units) != 3 {
		t.Fatalf("%q, %v", units, err)
	}
	verify := []string{"verify", "--man=no"}
	for _, unit := range units {
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		// It wants to find the program.
		installed := strings.ReplaceAll(string(text), "/usr/local/bin/regferry", program)
		path := filepath.Join(dir, filepath.Base(unit))
		if err := os.WriteFile(path, []byte(installed), 0o644); err != nil {
			t.Fatal(err)
		}
		verify = append(verify, path)
		if filepath.Ext(path) != ".service" {
			continue
		}
		// Tenths, of 100: AF_INET, and the capability to read, are 17 of them.
		out, err := exec.Command(analyze, "security", "--offline=true", "--threshold=20", "--no-pager", path).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", unit, err, out)
		}
	}
	// What it does not know it says, and some of it does not fail it.
	if out, err := exec.Command(analyze, verify...).CombinedOutput(); err != nil || strings.Contains(string(out), dir) {
		t.Errorf("%v\n%s", err, out)
	}
	broken := filepath.Join(dir, "broken.service")
	if err := os.WriteFile(broken, []byte("[Service]\nExecStart="+program+"\nProtectSytem=strict\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, _ := exec.Command(analyze, "verify", "--man=no", broken).CombinedOutput(); !strings.Contains(string(out), dir) {
		t.Errorf("a misspelt line passes: %s", out)
	}
}
