package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// asProgram makes the test binary the program: what is killed then has the
// race detector if the test has it, and nothing is built a second time.
const asProgram = "REGFERRY_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(run(os.Args[1:]))
	}
	testscript.Main(m, map[string]func(){"regferry": func() { os.Exit(run(os.Args[1:])) }})
}
