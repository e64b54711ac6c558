package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// asProgram makes the test binary the program, which then has the race
// detector if the test has it.
const asProgram = "REGFERRY_TEST_AS_PROGRAM"

// binary is the program as users run it, built once: with the race detector it
// would take five times as long, and many tests run it many times.
var binary = sync.OnceValues(func() (string, error) {
	build := exec.Command("go", "build", "-trimpath", "-o", binaryPath, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as make build and make release, so that all share what is compiled
	out, err := build.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return binaryPath, err
})

func built(t *testing.T) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// binaryPath is where tests that set TMPDIR do not take it along.
var binaryPath = filepath.Join(os.TempDir(), "regferry-test-"+strconv.Itoa(os.Getpid()))

// tidy removes the binary at the end.
type tidy struct{ m *testing.M }

func (t tidy) Run() int {
	defer os.Remove(binaryPath)
	return t.m.Run()
}

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(run(os.Args[1:]))
	}
	testscript.Main(tidy{m}, map[string]func(){"regferry": func() { os.Exit(run(os.Args[1:])) }})
}
