package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/regferry/regferry/backends/location"
	"github.com/regferry/regferry/migrate"
	"github.com/regferry/regferry/migrate/mirror"
	"github.com/regferry/regferry/verify/report"
)

const finishLong = `Bring a mirror to its end, to switch a registry over to the destination.

It makes a last full round while the registry runs, says when to set the
registry read-only (and, where --for names a platform with a database, to back
that up), goes on until nothing changes, checks at the destination that every
tag has what a pull of it needs, and leaves a marker there, so that no mirror or
migration overwrites what is pushed to it from then on. Then it prints the
configuration to switch to and the command that keeps the old storage usable for
a way back. Stop the mirror of the two first: it is this one that goes on.
` + locationHelp + exitHelp

// finish is what the flags of mirror finish say.
type finish struct {
	pair     pairFlags
	reports  []string
	platform string
	readOnly bool // it is already
	log      logFlags
	sig      *signals
	in       io.Reader
}

func newFinish(sig *signals, code *int) *cobra.Command {
	n := &finish{sig: sig}
	c := &cobra.Command{
		Use: "finish --from LOCATION --to LOCATION", Short: "Bring a mirror to its end, to switch over to the destination",
		Long: finishLong, Args: locationsAreFlags,
		Example: "  regferry mirror finish --from /var/lib/registry --to 's3://images/registry?region=eu-central-1' --report move.html",
		RunE: func(c *cobra.Command, _ []string) error {
			var err error
			n.in = c.InOrStdin()
			*code, err = n.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr(), newHead(c))
			return err
		},
	}
	f := c.Flags()
	n.pair.addMove(f)
	n.pair.addRounds(pflag.NewFlagSet("", pflag.ContinueOnError)) // as they are: there is one round, and it deletes nothing
	addReport(f, &n.reports)
	f.StringVar(&n.platform, "for", "distribution", "`PLATFORM` whose configuration is printed: "+strings.Join(location.Platforms(), ", "))
	f.BoolVar(&n.readOnly, "read-only", false, "the registry is read-only already, and its metadata backed up: do not ask")
	n.log.add(f)
	return c
}

func (n *finish) run(ctx context.Context, out, errOut io.Writer, head report.Head) (int, error) {
	p := &n.pair
	if err := p.check(); err != nil {
		return exitUsage, err
	}
	log, err := n.log.logger(errOut)
	if err != nil {
		return exitUsage, err
	}
	if !slices.Contains(location.Platforms(), n.platform) {
		return exitUsage, usageError{fmt.Errorf("--for %q: say one of %s", n.platform, strings.Join(location.Platforms(), ", "))}
	}
	o := p.options
	if o.State, err = p.stateOf(); err != nil {
		return exitUsage, err
	}
	progress := new(migrate.Progress)
	shown := newDisplay(errOut, log, migrating(progress))
	p.at.notice(shown.notice)
	o.Owner, o.Stop, o.Log, o.Open = hostName(), n.sig.stop, log, opened(p)
	o.Migrate.Bandwidth, _ = p.bandwidth.At(time.Now())
	m, err := mirror.New(o)
	if err != nil {
		return exitCheckpoint, err
	}
	seen := new(recorder)
	head.Source, head.Destination = p.redacted()
	if err := seen.open(head, n.reports); err != nil {
		return exitUsage, errors.Join(err, m.Close())
	}
	started := time.Now()
	final, err := m.Finish(ctx, mirror.Ending{
		ReadOnly: func(ctx context.Context) error { return n.wait(ctx, errOut) },
		Recorder: seen, Progress: progress,
	})
	err = errors.Join(err, m.Close())
	o.Migrate.Final = true
	end := outcome{
		m:       &migration{from: p.from, to: p.to, head: head, sig: n.sig, options: o.Migrate},
		summary: final.Summary, err: err, started: started, finished: time.Now(), seen: seen,
	}
	err = errors.Join(err, seen.close(end.head(), end.numbers(), end.fields()), end.print(out))
	if err == nil && final.Marked {
		err = n.next(ctx, out, final)
	}
	return outcomeCode(final.Summary), err
}

// wait says that the registry has to be read-only now, and waits for a word
// where somebody can give it. Without, it goes on: what is still pushed is a
// reason to make one more pass.
func (n *finish) wait(ctx context.Context, errOut io.Writer) error {
	if n.readOnly {
		return nil
	}
	file, ok := n.in.(*os.File)
	asked := ok && term.IsTerminal(int(file.Fd()))
	text, err := n.pause(asked)
	if err == nil {
		_, err = io.WriteString(errOut, text)
	}
	if err != nil || !asked {
		return err
	}
	said := make(chan error, 1)
	go func() { // ends with the process where nobody presses a key: a terminal cannot be interrupted
		_, err := bufio.NewReader(file).ReadString('\n')
		said <- err
	}()
	select {
	case err := <-said:
		return err
	case <-n.sig.stop:
		return context.Canceled
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// pause is what is to be done before the last copy. Metadata that is backed up
// later may name images that the copy has not.
func (n *finish) pause(asked bool) (string, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "\nNOW set the registry read-only, as --for %s has it:\n\n", n.platform)
	database, err := location.Pause(&b, n.platform)
	if err != nil {
		return "", err
	}
	if !database {
		b.WriteString("\nWhere its metadata is in a database, back that up, too; --for msr and --for harbor say how.\n")
	}
	if asked {
		b.WriteString("\nOnce that is done, press Enter. ")
		return b.String(), nil
	}
	b.WriteString("\nNobody is there to press Enter: it goes on now, until nothing changes. A backup that is made from now on may be newer\nthan the last copy: make it before this command, with the registry read-only, and give --read-only.\n")
	return b.String(), nil
}

// next is what is to be done.
func (n *finish) next(ctx context.Context, out io.Writer, final mirror.Final) error {
	p := &n.pair
	from, to := p.redacted()
	var b bytes.Buffer
	fmt.Fprintf(&b, "\nNobody could push for %s. The registry is to be switched to %s now:\n\n", final.Window.Round(100*time.Millisecond), to)
	if err := p.at.to.Switch(ctx, &b, p.to, n.platform); err != nil {
		fmt.Fprintf(&b, "# %v\n", printable(err.Error()))
	}
	if extra := final.Summary.Last().TagsExtra; extra > 0 {
		fmt.Fprintf(&b, "\n%s only the destination has; the command below would bring them to the old storage, too.\n", count(extra, "tag", "tags"))
	}
	fmt.Fprintf(&b, "\nUntil the old storage is given up, this keeps it usable for a way back:\n\n  regferry mirror --from %s --to %s\n", shellQuoted(to), shellQuoted(from))
	_, err := out.Write(b.Bytes())
	return err
}

// shellQuoted is an argument as one types it.
func shellQuoted(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-:=", r)
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
