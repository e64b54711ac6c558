package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/location"
	"github.com/regferry/regferry/migrate"
	"github.com/regferry/regferry/verify"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/report"
)

const verifyLong = `Prove that a registry's storage is sound, or that two are equal, and say whose
damage each fault is. Nothing is written, at either side.

--level presence compares names and sizes by listings alone. --level checksum
also asks the service for the digests that it keeps. --level content reads and
hashes every blob, of the destination only when two are compared. A blob that
cannot be proved so counts at the next lower level, and the summary says how
many did. At every level each link and manifest is followed (--references), so
that each tag is proved to have all that a pull of it needs.

Findings on stdout begin with + (only at the source), - (only at the
destination), * (both have it, and something is wrong) or ! (could not be read).
` + locationHelp + verifyExitHelp

const verifyExitHelp = `
Exit codes:
  0    equal and sound
  2    wrong usage or configuration
  3    the two differ, or the destination is damaged
  4    damage at the source, or at the only side, and no other; or nothing of
       what is there could be proved
  6    the checkpoint was refused or cannot be written
  7    a side cannot be reached or read
  130  interrupted by SIGINT, 143 by SIGTERM; the report says so
`

const verifyExample = `  regferry verify --on /var/lib/registry
  regferry verify --on s3://registry/prod?region=eu-central-1 --level checksum --report audit.html --report audit.json
  regferry verify --from /var/lib/registry --to /mnt/nfs/registry --level content --checkpoint audit.checkpoint
  regferry verify --on /var/lib/registry --level content --sample 5% --sample-round 7
  regferry verify --on /mnt/msr --metadata database --tags tags.txt`

// verification is what the flags of verify say.
type verification struct {
	on, from, to string
	level        string
	references   bool
	sample       string
	round        uint64
	tags         string
	metadata     string
	limit        int64
	bandwidth    size
	checkpoint   string
	reports      []string
	log          logFlags
	at           sides
	sig          *signals
	head         report.Head
	options      verify.Options
}

func newVerify(sig *signals, code *int) *cobra.Command {
	v := &verification{sig: sig}
	c := &cobra.Command{
		Use: "verify --on LOCATION | --from LOCATION --to LOCATION", Short: "Prove that a registry's storage is sound, or that two are equal",
		Long: verifyLong, Example: verifyExample, Args: locationsAreFlags,
		RunE: func(c *cobra.Command, _ []string) error {
			v.options.Stop, v.head = sig.stop, newHead(c)
			var err error
			*code, err = v.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr())
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&v.on, "on", "", "the storage to audit")
	f.StringVar(&v.from, "from", "", "the source to compare with")
	f.StringVar(&v.to, "to", "", "the destination to audit and compare")
	v.at.add(f, false)
	f.StringVar(&v.level, "level", string(verify.Checksum), "how blobs are proved: presence, checksum or content")
	f.BoolVar(&v.references, "references", true, "follow every link and manifest; --references=false for listings alone")
	f.StringVar(&v.sample, "sample", "", "prove only a share of the blobs, such as 5%, chosen by their digests; all must be present")
	f.Uint64Var(&v.round, "sample-round", 0, "which share: successive rounds cover all")
	f.StringArrayVar((*[]string)(&v.options.Repositories), "repository", nil, "only repositories that match `GLOB`, with the blobs they need; repeatable; ** crosses slashes")
	f.StringVar(&v.tags, "tags", "", "also prove the tags in `FILE`, a line repository:tag@sha256:... each, as a registry with a database exports them")
	f.StringVar(&v.metadata, "metadata", "auto", "where the registry keeps its tags: storage, database or auto")
	f.Int64Var(&v.limit, "limit-findings", 0, "most findings kept in reports, notices at most a quarter of them; all are counted; 0: no limit")
	f.StringVar(&v.checkpoint, "checkpoint", "", "`FILE` that keeps what was proved until the audit is complete, to go on from")
	f.IntVar(&v.options.Workers, "workers", verify.DefaultWorkers, "requests in flight")
	f.Var(&v.bandwidth, "bandwidth", "most bytes a second read to hash blobs, such as 50MiB; 0: no limit")
	addReport(f, &v.reports)
	v.log.add(f)
	return c
}

// check refuses what cannot be meant, before anything is opened.
func (v *verification) check(errOut io.Writer) (log *slog.Logger, err error) {
	usage := func(err error) (*slog.Logger, error) { return nil, usageError{err} }
	if log, err = v.log.logger(errOut); err != nil {
		return nil, err
	}
	const example = "for example: regferry verify --on /var/lib/registry, or: regferry verify --from /var/lib/registry --to /mnt/nfs/registry"
	two := v.from != "" && v.to != ""
	if (v.on != "") == two || v.on != "" && v.from+v.to != "" {
		return usage(fmt.Errorf("give --on alone, or both --from and --to, %s", example))
	}
	if err := checkWorkers(v.options.Workers); err != nil {
		return nil, err
	}
	if v.limit < 0 {
		return usage(fmt.Errorf("--limit-findings %d: give a number such as 1000, or 0 for no limit", v.limit))
	}
	v.options.Bandwidth, v.options.SkipReferences = int64(v.bandwidth), !v.references
	if v.options.Level, err = verify.ParseLevel(v.level); err != nil {
		return usage(err)
	}
	if v.options.Sample, err = verify.ParseSample(v.sample, v.round); err != nil {
		return usage(err)
	}
	if v.options.Metadata, err = verify.ParseMetadata(v.metadata); err != nil {
		return usage(err)
	}
	if err := v.options.Repositories.Check(); err != nil {
		return usage(err)
	}
	if v.options.Repositories.Some() && !v.references {
		return usage(errors.New("--repository with --references=false: which blobs a repository needs is known from its references only; leave one of the two out"))
	}
	if v.options.Tags, err = v.readTags(); err != nil {
		return usage(fmt.Errorf("--tags: %w", err))
	}
	if two {
		if err := v.at.from.CheckApart(v.from, v.at.to, v.to); err != nil {
			return nil, fmt.Errorf("--from and --to: %w", err)
		}
	}
	return log, nil
}

func (v *verification) readTags() ([]verify.Image, error) {
	if v.tags == "" {
		return nil, nil
	}
	if !v.references {
		return nil, errors.New("it needs --references, to prove them")
	}
	f, err := os.Open(v.tags)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all, err := verify.ParseImages(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", v.tags, err)
	}
	chosen := slices.ContainsFunc(all, func(i verify.Image) bool { return v.options.Repositories.Match(i.Repository) })
	switch {
	case len(all) == 0:
		return nil, fmt.Errorf("%s: there is no tag in it; write a line repository:tag@sha256:... for each", v.tags)
	case !chosen:
		return nil, fmt.Errorf("%s: none of its tags is of a repository that --repository %s chooses", v.tags, strings.Join(v.options.Repositories, " "))
	}
	return all, nil
}

func (v *verification) run(ctx context.Context, out, errOut io.Writer) (int, error) {
	log, err := v.check(errOut)
	if err != nil {
		return exitUsage, err
	}
	shown := v.display(log, errOut)
	v.at.notice(shown.notice)
	flag := "--on"
	if v.on == "" {
		flag = "--from"
	}
	if err := v.openSides(ctx, flag); err != nil {
		return exitSide, err
	}
	defer v.closeSides()
	seen := &recorder{limit: v.limit}
	if err := seen.open(v.head, v.reports); err != nil {
		return exitUsage, err
	}
	s, err := v.verify(ctx, shown, seen)
	if err == nil && v.options.Repositories.Some() && len(s.Sides) == 0 {
		err = usageError{fmt.Errorf("--repository %s: no repository matches; ** crosses slashes, for example --repository 'team/**'", strings.Join(v.options.Repositories, " "))}
	}
	end := audited{v: v, summary: s, err: err, seen: seen}
	err = errors.Join(err, seen.close(end.head(), end.numbers(), nil), end.print(out))
	return end.code(), err
}

// display prepares to show how far the run is.
func (v *verification) display(log *slog.Logger, errOut io.Writer) *display {
	v.options.Progress = new(verify.Progress)
	return newDisplay(errOut, log, verifying(v.options.Progress, v.options.Level))
}

func (v *verification) verify(ctx context.Context, shown *display, seen *recorder) (verify.Summary, error) {
	kept, err := openAudit(v)
	if err != nil {
		return verify.Summary{}, err
	}
	v.options.Recorder, v.options.Journal = seen, kept.journal()
	stop := shown.start()
	s, err := verify.Run(ctx, v.options)
	stop()
	return s, errors.Join(err, kept.close(err == nil))
}

// openSides opens both sides, or the only one, for reading.
// What the user is told of begins with the flag, unless it is empty.
func (v *verification) openSides(ctx context.Context, flag string) error {
	raw := v.on + v.from // one of them
	v.head.Source = location.Redacted(raw)
	src, err := v.at.from.Source(ctx, raw)
	if err != nil {
		return sideError(flag, raw, backends.Source, err)
	}
	v.options.Source = src
	if err := holdsRegistry(ctx, v.at.from, flag, raw, v.options.Source); err != nil {
		v.closeSides()
		return err
	}
	if v.to == "" {
		return nil
	}
	v.head.Destination = location.Redacted(v.to)
	dst, err := v.at.to.Source(ctx, v.to)
	if err != nil {
		v.closeSides()
		return sideError("--to", v.to, backends.Destination, err)
	}
	v.options.Destination = dst
	if dir, err := v.at.to.Path(v.to); err == nil && nearby(dir) != "" {
		// Without one there is nothing to compare with: most likely a typing error.
		if err := holdsRegistry(ctx, v.at.to, "--to", v.to, dst); err != nil {
			v.closeSides()
			return err
		}
	}
	return nil
}

func (v *verification) closeSides() {
	for _, s := range []backends.ReadStore{v.options.Source, v.options.Destination} {
		if s != nil {
			s.Close() // it was only read
		}
	}
}

// holdsRegistry refuses a side without a registry in it, since nothing in it
// would be damaged.
func holdsRegistry(ctx context.Context, o location.Opener, flag, raw string, s backends.ReadStore) error {
	for _, err := range s.List(ctx, layout.Root, "") {
		if err != nil {
			return fmt.Errorf("%s: %w", given(flag, raw), &migrate.Fault{Err: backends.At(backends.Source, err)})
		}
		return nil
	}
	hint := "give what holds docker/, the rootdirectory of the registry's configuration"
	if dir, err := o.Path(raw); err == nil {
		if found := nearby(dir); found != "" {
			hint = "there is one in " + found + ": try " + given(flag, found)
		}
	}
	return usageError{fmt.Errorf("%s: there is no registry in it, nothing lies below %s; %s", given(flag, raw), strings.TrimSuffix(layout.Root, "/"), hint)}
}
