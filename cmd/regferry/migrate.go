package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/location"
	"github.com/regferry/regferry/migrate"
	"github.com/regferry/regferry/verify/report"
)

const migrateLong = `Move a registry's storage from one place to another.

Blobs are proved against the digest in their name while they are copied; tags
appear at the destination only when everything a pull of them needs is there.
The source is only read and may go on serving and taking pushes. Interrupted,
killed or out of power, the same command goes on where it stopped.
` + exitHelp

const migrateExample = `  regferry migrate --from /var/lib/registry --to /mnt/nfs/registry
  regferry migrate --from /var/lib/registry --to 'file:///mnt/nfs/registry?uid=1000&gid=1000' --report move.json
  regferry migrate --from /var/lib/registry --to /mnt/nfs/registry --dry-run
  regferry migrate --from /var/lib/registry --to /mnt/nfs/registry --repository 'team/**' --bandwidth 50MiB
  regferry migrate --from /var/lib/registry --to /mnt/nfs/registry --final     (registry read-only)`

// migration is what the flags of migrate say.
type migration struct {
	from, to   string
	checkpoint string
	report     string
	dryRun     bool
	memory     size
	bandwidth  size
	metadata   string
	log        logFlags
	options    migrate.Options
}

func newMigrate(sig *signals, code *int) *cobra.Command {
	m := &migration{memory: migrate.DefaultMemory}
	c := &cobra.Command{
		Use: "migrate --from LOCATION --to LOCATION", Short: "Move a registry's storage, once",
		Long: migrateLong, Example: migrateExample, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			m.options.Stop = sig.stop
			var err error
			*code, err = m.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr())
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&m.from, "from", "", "the storage to read: a directory, file:///DIRECTORY, or s3://BUCKET/PREFIX")
	f.StringVar(&m.to, "to", "", "the storage to write: likewise; options as a query, such as ?uid=1000 or ?region=eu-central-1")
	f.StringVar(&m.checkpoint, "checkpoint", "", "`FILE` to go on from; \"none\" for none (default one for each pair of locations below ~/.local/state/regferry)")
	f.StringVar(&m.report, "report", "", "write a report in JSON to `FILE`")
	f.BoolVar(&m.dryRun, "dry-run", false, "say what would be copied, and copy nothing")
	f.BoolVar(&m.options.Final, "final", false, "go on until nothing changes, then check every tag at the destination")
	f.StringArrayVar(&m.options.Repositories, "repository", nil, "only repositories that match `GLOB`, with the blobs they need; repeatable; ** crosses slashes")
	f.StringArrayVar(&m.options.Also, "also", nil, "also copy what lies below the key `PREFIX`, beside docker/registry/v2; repeatable")
	f.BoolVar(&m.options.RecheckExisting, "recheck-existing", false, "read and hash blobs that the destination had before, too")
	f.BoolVar(&m.options.WithholdBroken, "withhold-broken", false, "leave out tags that cannot be pulled at the source either")
	f.StringVar(&m.metadata, "metadata", "auto", "where the registry keeps its tags: storage, database or auto")
	f.IntVar(&m.options.Workers, "workers", migrate.DefaultWorkers, "requests in flight")
	f.Var(&m.memory, "memory", "most memory for data in flight")
	f.Var(&m.bandwidth, "bandwidth", "most bytes a second read from the source, such as 50MiB (default no limit)")
	m.log.add(f)
	return c
}

// run checks what can be checked before anything is opened, then migrates.
func (m *migration) run(ctx context.Context, out, errOut io.Writer) (int, error) {
	log, err := m.check(errOut)
	if err != nil {
		return exitUsage, err
	}
	src, err := location.OpenSource(m.from)
	if err != nil {
		return exitSide, sideError("--from", m.from, backends.Source, err)
	}
	defer src.Close()
	if err := m.looksLikeRegistry(ctx, src); err != nil {
		return exitUsage, err
	}
	file, recorder, err := m.openReport()
	if err != nil {
		return exitUsage, usageError{fmt.Errorf("--report: %w", err)}
	}
	m.options.Recorder, m.options.Progress, m.options.Version = recorder, new(migrate.Progress), version()
	started := time.Now()
	s, err := m.transfer(ctx, src, newDisplay(errOut, log, m.options.Progress))
	if err == nil && len(m.options.Repositories) > 0 && s.Last().Repositories == 0 {
		err = usageError{fmt.Errorf("--repository %s: no repository at the source matches; ** crosses slashes, for example --repository 'team/**'", strings.Join(m.options.Repositories, " "))}
	}
	end := outcome{m: m, summary: s, err: err, started: started, finished: time.Now(), seen: recorder}
	if file != nil {
		if wrote := file.Close(end.document()); wrote != nil {
			err = errors.Join(err, usageError{wrote})
		}
	}
	if printed := end.print(out); printed != nil {
		err = errors.Join(err, printed)
	}
	return outcomeCode(s), err
}

// transfer opens the destination, for reading only in a dry run, and runs.
func (m *migration) transfer(ctx context.Context, src backends.ReadStore, d *display) (migrate.Summary, error) {
	if m.dryRun {
		dst, err := location.OpenAsItIs(m.to)
		if err != nil {
			return migrate.Summary{}, sideError("--to", m.to, backends.Destination, err)
		}
		defer dst.Close()
		defer d.start()()
		return migrate.Plan(ctx, src, dst, m.options)
	}
	dst, err := location.OpenDestination(m.to)
	if err != nil {
		return migrate.Summary{}, sideError("--to", m.to, backends.Destination, err)
	}
	preflight(ctx, d.log, src, dst, m.options.Checkpoint)
	stop := d.start()
	s, err := migrate.Run(ctx, src, dst, m.options)
	stop()
	return s, errors.Join(err, backends.At(backends.Destination, dst.Close()))
}

// sideError says which flag named what could not be opened.
func sideError(flag, raw string, side backends.Side, err error) error {
	hint := ""
	switch {
	case !errors.Is(err, fs.ErrNotExist):
	case side == backends.Source:
		hint = "; is the volume mounted?"
	default:
		hint = "; is the volume mounted? The destination is made, the directory above it is not"
	}
	return fmt.Errorf("%s %s: %w%s", flag, location.Redacted(raw), backends.At(side, err), hint)
}

func (m *migration) openReport() (*report.File, *recorder, error) {
	r := new(recorder)
	if m.report == "" {
		return nil, r, nil
	}
	f, err := report.Create(m.report)
	r.file = f
	return f, r, err
}
