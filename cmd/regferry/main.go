// Command regferry moves the storage of a container registry.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	_ "time/tzdata" // an image without zone files has local times too
	"unicode"
	"unicode/utf8"
)

func main() {
	os.Exit(run(os.Args[1:]))
}

var errInterrupted = errors.New("interrupted; the same command goes on from here, with a checkpoint, or else begins anew")

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
	fmt.Fprintln(os.Stderr, "regferry:", printable(err.Error()))
	return code
}

// printable is a text fit for a terminal: the system's errors repeat the names
// of files as they are, and those may hold anything.
func printable(text string) string {
	var b strings.Builder
	for _, r := range text {
		if r == '\n' || r != utf8.RuneError && unicode.IsGraphic(r) {
			b.WriteRune(r)
			continue
		}
		b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
	}
	return b.String()
}
