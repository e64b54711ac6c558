// Command regferry moves the storage of a container registry.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
)

func main() {
	os.Exit(run(os.Args[1:]))
}

var errInterrupted = errors.New("interrupted; the same command goes on from here")

// run is main as a function: it returns the exit code.
func run(args []string) int {
	sig := newSignals()
	defer sig.close()
	code := exitDone
	root := newRoot(sig, &code)
	root.SetArgs(args)
	err := root.ExecuteContext(sig.context(context.Background()))
	if err == nil {
		return code
	}
	code = exitCode(err, sig)
	if code == sig.code() {
		err = errInterrupted
	}
	fmt.Fprintf(os.Stderr, "regferry: %v\n", err)
	return code
}
