package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/migrate"
)

const preflightLong = `Find out before a migration whether it can succeed: open both sides, try the
rights by a scratch object that is removed again, compare clocks and room, ask
each store for what an operator should know (versions, rules that expire or
archive, locks), say what each power that is missing costs, and estimate how
long it takes, where listings tell the sizes. Nothing but the scratch object is
written, and the directory of a volume, if it is absent.
` + locationHelp + `
Exit codes:
  0    ready; read the warnings
  2    wrong usage or configuration
  7    a side cannot be reached, read or written, or has no room
`

const preflightExample = `  regferry preflight --from /var/lib/registry --to s3://registry/prod?region=eu-central-1`

// preflight is what the flags of the command say.
type preflight struct {
	from, to string
	workers  int
	lasting  time.Duration
	log      logFlags
	at       sides
}

func newPreflight(code *int) *cobra.Command {
	p := new(preflight)
	c := &cobra.Command{
		Use: "preflight --from LOCATION --to LOCATION", Short: "Find out whether a migration can succeed, and how long it takes",
		Long: preflightLong, Example: preflightExample, Args: locationsAreFlags,
		RunE: func(c *cobra.Command, _ []string) error {
			var err error
			*code, err = p.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr())
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&p.from, "from", "", "the storage to read")
	f.StringVar(&p.to, "to", "", "the storage to write")
	p.at.add(f, false)
	f.IntVar(&p.workers, "workers", migrate.DefaultWorkers, "requests in flight")
	f.DurationVar(&p.lasting, "read-for", 5*time.Second, "how long to read from the source, to know its speed; 0: not at all")
	p.log.add(f)
	return c
}

func (p *preflight) run(ctx context.Context, out, errOut io.Writer) (int, error) {
	log, err := p.log.logger(errOut)
	if err != nil {
		return exitUsage, err
	}
	if err := errors.Join(checkSides("preflight", p.from, p.to), checkWorkers(p.workers)); err != nil {
		return exitUsage, err
	}
	if err := p.at.from.CheckApart(p.from, p.at.to, p.to); err != nil {
		return exitUsage, fmt.Errorf("--from and --to: %w", err)
	}
	p.at.notice(func(text string) { log.Warn(text) })
	src, err := p.at.from.Source(ctx, p.from)
	if err != nil {
		return exitSide, sideError("--from", p.from, backends.Source, err)
	}
	defer src.Close()
	if err := holdsRegistry(ctx, p.at.from, "--from", p.from, src); err != nil {
		return exitUsage, err
	}
	dst, err := p.at.to.Destination(ctx, p.to)
	if err != nil {
		return exitSide, sideError("--to", p.to, backends.Destination, err)
	}
	found, err := migrate.Check(ctx, src, dst, p.workers, p.lasting)
	if err = errors.Join(err, dst.Close()); err != nil {
		return exitSide, &migrate.Fault{Err: err}
	}
	code := exitDone
	if found.TooSmall() {
		code = exitSide
	}
	_, err = io.WriteString(out, preflightText(found))
	return code, err
}

// preflightText is what was found, for people.
func preflightText(p migrate.Preflight) string {
	t := newTable()
	n := p.Need
	t.row("source", "%s: read; %s objects, %s", p.Source.Location, humanize.Comma(n.Objects), bytesOf(n.Bytes))
	if n.Unsized > 0 {
		t.row("", "and the sizes of %s are in no listing", count(n.Unsized, "object", "objects"))
	}
	t.row("destination", "%s: %s", p.Destination.Location, tried(p.Destination.Trial))
	toCopy := bytesOf(n.ToWrite)
	if n.Unknown > 0 {
		toCopy += " and what listings do not tell"
	}
	t.row("to copy", "%s objects, %s, that the destination has not", humanize.Comma(n.Missing), toCopy)
	if s := p.Destination.Space; s != nil {
		t.row("room", "%s free", roomText(*s))
	}
	switch {
	case n.Unknown > 0 && p.Rate > 0:
		t.row("time", "not known, at %s/s from the source", bytesOf(int64(p.Rate)))
	case n.Unknown == 0 && p.Rate > 0:
		t.row("time", "about %s, at %s/s from the source, if the destination and the line keep up", p.Estimate.Round(time.Second), bytesOf(int64(p.Rate)))
	}
	for _, w := range warnings(p) {
		t.row("!", "%s", w)
	}
	t.row("note", "garbage collection, of either registry, deletes what was just copied: turn it off until the switch is done")
	verdict := "ready\n"
	switch {
	case p.TooSmall():
		verdict = "NOT READY: the destination has no room for what is missing\n"
	case len(warnings(p)) > 0:
		verdict = "ready, with " + count(int64(len(warnings(p))), "warning", "warnings") + "\n"
	}
	return t.String() + powerTable(p) + verdict
}

// powerTable has a line for each power.
func powerTable(p migrate.Preflight) string {
	t := newTable()
	t.row("power", "source\tdestination\twithout it")
	for _, w := range powers {
		source := "" // which needs only some
		if w.source {
			source = yesNo(w.has(p.Source.Powers))
		}
		t.row(w.name, "%s\t%s\t%s", source, yesNo(w.has(p.Destination.Powers)), w.without)
	}
	return t.String()
}

func tried(t *backends.Trial) string {
	if t == nil {
		return "opened for writing"
	}
	end := "read and removed"
	if t.Stays != nil {
		end = "and read"
	}
	return fmt.Sprintf("a scratch object was written in %s, %s", t.Took.Round(100*time.Microsecond), end)
}

func roomText(s backends.Space) string {
	if s.FreeFiles < 0 {
		return bytesOf(s.Free)
	}
	return fmt.Sprintf("%s, and %s files,", bytesOf(s.Free), humanize.Comma(s.FreeFiles))
}

func yesNo(v bool) string {
	if v {
		return "yes"
	}
	return "no"
}

// powers are those that make a migration cheaper or safer.
var powers = []struct {
	name   string
	source bool // matters there, too
	has    func(backends.Powers) bool

	without string
}{
	{"compares checksums", false, func(p backends.Powers) bool { return p.Prover != nil }, "what happens to bytes on their way to the disk shows only in verify"},
	{"keeps digests", true, func(p backends.Powers) bool { return p.ChecksumReporter != nil }, "blobs that are there already are taken on trust, or read with --recheck-existing"},
	{"copies by itself", false, func(p backends.Powers) bool { return p.ServerSideCopier != nil }, "all bytes pass through this machine"},
	{"syncs in groups", false, func(p backends.Powers) bool { return p.Syncer != nil }, "each object is made durable by itself: no cost on a service, slower on a volume"},
	{"knows its room", false, func(p backends.Powers) bool { return p.Spacer != nil }, "that it is full shows when it is full"},
	{"cleans its scratch", false, func(p backends.Powers) bool { return p.Cleaner != nil }, "what a killed run leaves stays"},
	{"writes on condition", false, func(p backends.Powers) bool { return p.ConditionalPutter != nil }, "a mirror that stands by never takes over by itself"},
	{"deletes", false, func(p backends.Powers) bool { return p.Deleter != nil }, "mirror --delete deletes nothing"},
}

// clockApart is what signatures and leases do not forgive much more of.
const clockApart = time.Minute

func clockText(d time.Duration) string {
	way := "ahead of"
	if d < 0 {
		way = "behind"
	}
	return fmt.Sprintf("its clock is %s %s this machine's: set one of them right, since signatures expire and leftovers are judged by age", d.Abs(), way)
}

// warnings are sentences, each with its side.
func warnings(p migrate.Preflight) (all []string) {
	for _, text := range p.Source.Cautions {
		all = append(all, "source: "+text)
	}
	if n := p.Need.Unknown; n > 0 {
		all = append(all, "source: the sizes of "+count(n, "object", "objects")+" to copy are in no listing, so whether there is room and how long it takes is not known")
	}
	for _, text := range p.Destination.Cautions {
		all = append(all, "destination: "+text)
	}
	if t := p.Destination.Trial; t != nil && t.Clock.Abs() >= clockApart {
		all = append(all, "destination: "+clockText(t.Clock))
	}
	if s := p.Destination.Space; s != nil && !p.TooSmall() && s.Free < p.Need.ToWrite+p.Need.ToWrite/10 {
		all = append(all, "destination: it will be almost full, and then refuse pushes")
	}
	return all
}
