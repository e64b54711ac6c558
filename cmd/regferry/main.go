// Command regferry moves the storage of a container registry.
package main

import (
	"context"
	"fmt"
	"os"
)

func main() {
	os.Exit(run(os.Args[1:]))
}

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
	fmt.Fprintf(os.Stderr, "regferry: %v\n", err)
	return exitCode(err, sig)
}
