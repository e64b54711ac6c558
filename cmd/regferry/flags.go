package main

import (
	"fmt"
	"io"
	"log/slog"
	"math"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// size is a flag in bytes.
type size int64

func (s *size) String() string {
	if *s == 0 {
		return "0" // as pflag knows a default that need not be told
	}
	return humanize.IBytes(uint64(*s))
}

// Type names the value in the help.
func (s *size) Type() string { return "size" }

// Set reads 64MiB, 1.5GB, 1000000.
func (s *size) Set(text string) error {
	n, err := humanize.ParseBytes(text)
	if err != nil || n > math.MaxInt64 {
		return fmt.Errorf("write a size such as 64MiB or 1GiB")
	}
	*s = size(n)
	return nil
}

// logFlags choose how the log on stderr looks.
type logFlags struct{ format, level string }

func (l *logFlags) add(f *pflag.FlagSet) {
	f.StringVar(&l.format, "log-format", "text", "how the log on stderr is written: text or json")
	f.StringVar(&l.level, "log-level", "info", "debug, info, warn or error")
}

func (l *logFlags) logger(to io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.level)); err != nil {
		return nil, usageError{fmt.Errorf("--log-level %q: say debug, info, warn or error", l.level)}
	}
	o := &slog.HandlerOptions{Level: level}
	switch l.format {
	case "text":
		return slog.New(slog.NewTextHandler(to, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(to, o)), nil
	}
	return nil, usageError{fmt.Errorf("--log-format %q: say text or json", l.format)}
}

// checkWorkers refuses a number of requests in flight that cannot be meant.
func checkWorkers(n int) error {
	if n < 1 || n > 1024 {
		return usageError{fmt.Errorf("--workers %d: give a number from 1 to 1024, for example --workers 32", n)}
	}
	return nil
}

// checkSides refuses a command without one of its two sides.
func checkSides(command, from, to string) error {
	for _, side := range [][2]string{{"--from", from}, {"--to", to}} {
		if side[1] == "" {
			return usageError{fmt.Errorf("%s is missing, for example: regferry %s --from /var/lib/registry --to /mnt/nfs/registry", side[0], command)}
		}
	}
	return nil
}

// oneLocation is for commands that have one, without a flag.
func oneLocation(example string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("give one LOCATION, for example: %s", example)
		}
		return nil
	}
}
