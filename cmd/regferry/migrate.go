package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/location"
	"github.com/regferry/regferry/migrate"
	"github.com/regferry/regferry/migrate/mirror"
	"github.com/regferry/regferry/verify/report"
)

const migrateLong = `Move a registry's storage from one place to another.

Blobs are proved against the digest in their name while they are copied; tags
appear at the destination only when everything a pull of them needs is there.
The source is only read and may go on serving and taking pushes. Interrupted,
killed or out of power, the same command goes on where it stopped.
` + locationHelp + exitHelp

const migrateExample = `  regferry migrate --from /var/lib/registry --to /mnt/nfs/registry
  regferry migrate --from /var/lib/registry --to 'file:///mnt/nfs/registry?uid=1000&gid=1000' --report move.json
  regferry migrate --from /var/lib/registry --to /mnt/nfs/registry --dry-run
  regferry migrate --from /var/lib/registry --to /mnt/nfs/registry --repository 'team/**' --bandwidth 50MiB
  regferry migrate --from /var/lib/registry --to /mnt/nfs/registry --final     (registry read-only)
  regferry migrate --from old-values.yaml --to new-values.yaml`

// migration is what the flags of migrate say.
type migration struct {
	from, to   string
	checkpoint string
	reports    []string
	dryRun     bool
	listen     string
	takeover   bool // go on with what was finished
	memory     size
	bandwidth  size
	metadata   string
	log        logFlags
	at         sides
	free       int64 // bytes at the destination of a dry run; -1: not known
	options    migrate.Options
	head       report.Head
	sig        *signals
}

func newMigrate(sig *signals, code *int) *cobra.Command {
	m := &migration{memory: migrate.DefaultMemory}
	c := &cobra.Command{
		Use: "migrate --from LOCATION --to LOCATION", Short: "Move a registry's storage, once",
		Long: migrateLong, Example: migrateExample, Args: locationsAreFlags,
		RunE: func(c *cobra.Command, _ []string) error {
			m.options.Stop, m.sig, m.head = sig.stop, sig, newHead(c)
			var err error
			*code, err = m.run(c.Context(), c.OutOrStdout(), c.ErrOrStderr())
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&m.from, "from", "", "the storage to read")
	f.StringVar(&m.to, "to", "", "the storage to write; options as a query, such as ?uid=1000 or ?region=eu-central-1")
	m.at.add(f, false)
	f.StringVar(&m.checkpoint, "checkpoint", "", "`FILE` to go on from; \"none\" for none (default one for each pair of locations below ~/.local/state/regferry)")
	addReport(f, &m.reports)
	f.BoolVar(&m.dryRun, "dry-run", false, "say what would be copied, and copy nothing")
	f.BoolVar(&m.options.Final, "final", false, "go on until nothing changes, then check every tag at the destination")
	f.StringVar(&m.listen, "listen", "", "`ADDRESS` of a page that shows how far it is, such as 127.0.0.1:9640; also /metrics and /status")
	f.BoolVar(&m.takeover, "takeover", false, "go on although a migration to the destination was finished: what was pushed there since may be overwritten")
	f.StringArrayVar(&m.options.Repositories, "repository", nil, "only repositories that match `GLOB`, with the blobs they need; repeatable; ** crosses slashes")
	f.StringArrayVar(&m.options.Also, "also", nil, "also copy what lies below the key `PREFIX`, beside docker/registry/v2; repeatable")
	f.BoolVar(&m.options.RecheckExisting, "recheck-existing", false, "read and hash the blobs that the destination has already, also those that this migration copied before")
	f.BoolVar(&m.options.WithholdBroken, "withhold-broken", false, "leave out tags that cannot be pulled at the source either")
	f.StringVar(&m.metadata, "metadata", "auto", "where the registry keeps its tags: storage, database or auto")
	f.IntVar(&m.options.Workers, "workers", migrate.DefaultWorkers, "requests in flight")
	f.Var(&m.memory, "memory", "most memory for data in flight")
	f.Var(&m.bandwidth, "bandwidth", "most bytes a second read from the source, such as 50MiB; 0: no limit")
	f.DurationVar(&m.options.Patience, "patience", migrate.DefaultPatience, "how long a side may give no answer at all before the run ends")
	m.log.add(f)
	return c
}

// locationsAreFlags refuses two bare locations, which could be either way
// round.
func locationsAreFlags(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return fmt.Errorf("%q is given without a flag: say which side is which, --from SOURCE --to DESTINATION", args[0])
}

// run checks what can be checked before anything is opened, then migrates.
func (m *migration) run(ctx context.Context, out, errOut io.Writer) (int, error) {
	log, err := m.check(errOut)
	if err != nil {
		return exitUsage, err
	}
	m.options.Progress = new(migrate.Progress)
	shown := newDisplay(errOut, log, migrating(m.options.Progress))
	m.at.notice(shown.notice)
	src, err := m.at.from.Source(ctx, m.from)
	if err != nil {
		return exitSide, sideError("--from", m.from, backends.Source, err)
	}
	defer src.Close()
	if err := holdsRegistry(ctx, m.at.from, "--from", m.from, src); err != nil {
		return exitUsage, err
	}
	m.head.Source, m.head.Destination = location.Redacted(m.from), location.Redacted(m.to)
	seen := new(recorder)
	if err := seen.open(m.head, m.reports); err != nil {
		return exitUsage, err
	}
	m.options.Recorder, m.options.Version = seen, version()
	started := time.Now()
	stop, err := m.serve(ctx, log, started)
	if err != nil {
		return exitUsage, err
	}
	s, err := m.transfer(ctx, src, shown)
	err = errors.Join(err, stop())
	if err == nil && len(m.options.Repositories) > 0 && s.Last().Repositories == 0 {
		err = usageError{fmt.Errorf("--repository %s: no repository at the source matches; ** crosses slashes, for example --repository 'team/**'", strings.Join(m.options.Repositories, " "))}
	}
	end := outcome{m: m, summary: s, err: err, started: started, finished: time.Now(), seen: seen}
	err = errors.Join(err, seen.close(end.head(), end.numbers(), end.fields()), end.print(out))
	return outcomeCode(s), err
}

// serve shows the migration on a page, if that is wanted.
func (m *migration) serve(ctx context.Context, log *slog.Logger, started time.Time) (stop func() error, err error) {
	if m.listen == "" {
		return func() error { return nil }, nil
	}
	j := &job{from: m.head.Source, to: m.head.Destination, started: started, progress: m.options.Progress, Recorder: m.options.Recorder}
	m.options.Recorder = j
	return j.serve(ctx, m.listen, log)
}

// transfer opens the destination, for reading only in a dry run, and runs.
func (m *migration) transfer(ctx context.Context, src backends.ReadStore, d *display) (migrate.Summary, error) {
	if m.dryRun {
		dst, err := m.at.to.AsItIs(ctx, m.to)
		if err != nil {
			return migrate.Summary{}, sideError("--to", m.to, backends.Destination, err)
		}
		defer dst.Close()
		defer d.start()()
		s, err := migrate.Plan(ctx, src, dst, m.options)
		m.free = freeSpace(ctx, dst)
		return s, err
	}
	dst, err := m.at.to.Destination(ctx, m.to)
	if err != nil {
		return migrate.Summary{}, sideError("--to", m.to, backends.Destination, err)
	}
	if err := ready(ctx, d.log, src, dst, m.options.Checkpoint, m.takeover); err != nil {
		return migrate.Summary{}, errors.Join(err, dst.Close())
	}
	stop := d.start()
	s, err := migrate.Run(ctx, src, dst, m.options)
	stop()
	if t := s.Last(); err == nil && m.options.Final && len(m.options.Repositories) == 0 && t.Undone()+t.Damaged == 0 {
		err = mirror.Mark(ctx, dst, src.Location(), "migrate --final on "+hostName())
	}
	return s, errors.Join(err, backends.At(backends.Destination, dst.Close()))
}

// sideError says which flag named what could not be opened.
func sideError(flag, raw string, side backends.Side, err error) error {
	if where := (*location.Error)(nil); errors.As(err, &where) {
		return err // it says which, and nothing of a side was reached
	}
	hint, isVolume := "", !strings.Contains(raw, "://") || strings.HasPrefix(raw, "file:")
	switch class := backends.ClassOf(err); {
	case errors.As(err, new(*tls.CertificateVerificationError)):
		hint = "; have this machine trust the authority of the certificate (SSL_CERT_FILE names a file of authorities)"
	case errors.Is(err, http.ErrSchemeMismatch):
		hint = "; the address is of a service without TLS: give it with http://"
	case !isVolume && class == backends.Denied:
		hint = "; check the names, the credentials and their rights"
	case !isVolume && class == backends.Transient:
		hint = "; is the address right, and the service up?"
	case !isVolume, !errors.Is(err, fs.ErrNotExist):
	case side == backends.Source:
		hint = "; is the volume mounted?"
	default:
		hint = "; is the volume mounted? The destination is made, the directory above it is not"
	}
	return fmt.Errorf("%s: %w%s", given(flag, raw), backends.At(side, err), hint)
}

// given is a location as the user gave it: with a flag, or bare.
func given(flag, raw string) string {
	return strings.TrimPrefix(flag+" "+location.Redacted(raw), " ")
}
