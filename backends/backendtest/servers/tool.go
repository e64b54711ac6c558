package servers

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Tool returns the path of a program the tests need: from REGFERRY_TOOLS, else
// ~/.cache/regferry/bin (where .ci/tools puts it), else PATH. If there is none
// the test is skipped, or fails where REGFERRY_CI is set. With -short it is
// always skipped: nothing real is run.
func Tool(t testing.TB, name string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("-short runs no real programs")
	}
	home, _ := os.UserHomeDir()
	dir := cmp.Or(os.Getenv("REGFERRY_TOOLS"), filepath.Join(home, ".cache", "regferry", "bin"))
	for _, candidate := range []string{filepath.Join(dir, name), name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	Missing(t, name+" is not installed: run .ci/tools")
	return ""
}

// Missing skips a test that lacks something of its machine, or fails it where
// REGFERRY_CI is set.
func Missing(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("REGFERRY_CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}
