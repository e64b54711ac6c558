// Command library moves a registry with regferry's Go packages instead of its
// command: go run ./examples/library SOURCE DESTINATION
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"

	"github.com/regferry/regferry/backends/filesystem"
	"github.com/regferry/regferry/migrate"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: library SOURCE DESTINATION")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := move(ctx, os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "library:", err)
		os.Exit(1)
	}
}

// move copies the registry below from to the directory to. It can be called
// again after any interruption.
func move(ctx context.Context, from, to string) (err error) {
	src, err := filesystem.OpenReader(from, filesystem.Options{})
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := filesystem.Open(to, filesystem.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()

	s, err := migrate.Run(ctx, src, dst, migrate.Options{Workers: 8})
	if err != nil {
		return err // a fault of the whole run: a full disk, a side that is gone
	}
	t := s.Last()
	fmt.Printf("%d blobs copied, %d were there, %d tags written\n", t.Copied, t.Present, t.TagsWritten)
	if n := t.Undone(); n > 0 {
		return fmt.Errorf("%d objects are left; run again", n)
	}
	return nil
}
