package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/regferry/regferry/backends/location"
	"github.com/regferry/regferry/migrate"
	"github.com/regferry/regferry/migrate/mirror"
	"github.com/regferry/regferry/verify"
)

const mirrorLong = `Keep a second storage of a registry equal to the first, for as long as it runs.

Every --interval a round looks for what is new at the source and brings it to
the destination, as migrate does; notifications of the registry, sent to
/events, are followed at once. Nothing is deleted without --delete. One mirror
writes a destination at a time, a second one stands by. It stops, with exit code
5, where somebody else writes the destination, or a migration to it was
finished.
` + locationHelp + exitHelp

const mirrorExample = `  regferry mirror --from /var/lib/registry --to 's3://images/registry?region=eu-central-1'
  regferry mirror --config mirror.yaml
  regferry mirror --config mirror.yaml --check
  regferry mirror finish --from /var/lib/registry --to 's3://images/registry?region=eu-central-1'
  regferry mirror approve --from /var/lib/registry --to 's3://images/registry?region=eu-central-1'`

const defaultListen = "127.0.0.1:9640"

// mirrors is what the flags of mirror say that holds for all pairs.
type mirrors struct {
	config, listen    string
	certFile, keyFile string
	tokenFile         string
	openEvents, pprof bool
	check, once       bool
	log               logFlags
	one               pairFlags // of the command line
	sig               *signals
}

func newMirror(sig *signals, code *int) *cobra.Command {
	s := &mirrors{sig: sig}
	c := &cobra.Command{
		Use: "mirror --from LOCATION --to LOCATION | --config FILE", Short: "Keep a second storage equal, continuously",
		Long: mirrorLong, Example: mirrorExample, Args: locationsAreFlags,
		RunE: func(c *cobra.Command, _ []string) error {
			var err error
			*code, err = s.run(c.Context(), c.Flags(), c.OutOrStdout(), c.ErrOrStderr())
			return err
		},
	}
	f := c.Flags()
	s.one.add(f)
	f.StringVar(&s.config, "config", "", "`FILE` in YAML with one or more mirrors, instead of the flags of one")
	f.BoolVar(&s.check, "check", false, "say whether flags and configuration are right, and do nothing; no storage is asked")
	f.BoolVar(&s.once, "once", false, "one full round of each mirror, then end")
	s.addCommon(f)
	c.AddCommand(newFinish(sig, code), newApprove())
	return c
}

// addCommon defines what may stand beside mirrors in a configuration, too.
func (s *mirrors) addCommon(f *pflag.FlagSet) {
	f.StringVar(&s.listen, "listen", defaultListen, "`ADDRESS` of the page, health, metrics and notifications; none for none")
	f.StringVar(&s.certFile, "listen-cert", "", "`FILE` with the certificate to listen with, PEM; it may be replaced while this runs")
	f.StringVar(&s.keyFile, "listen-key", "", "`FILE` with its key")
	f.StringVar(&s.tokenFile, "events-token-file", "", "`FILE` with the token that senders of notifications have to give as \"Authorization: Bearer TOKEN\"")
	f.BoolVar(&s.openEvents, "events-open", false, "take notifications without a token, though --listen is not this machine only")
	f.BoolVar(&s.pprof, "pprof", false, "serve /debug/pprof/")
	s.log.add(f)
}

// pairFlags are what the flags, or an entry of a configuration, say of one
// mirror.
type pairFlags struct {
	name, from, to                      string
	state, metadata, sample, deleteMost string
	memory                              size
	bandwidth                           migrate.Timetable
	at                                  sides
	options                             mirror.Options
}

func (p *pairFlags) add(f *pflag.FlagSet) {
	p.addMove(f)
	p.addRounds(f)
}

// addRounds defines what rounds need to know that are made again and again.
func (p *pairFlags) addRounds(f *pflag.FlagSet) {
	o := &p.options
	f.DurationVar(&o.Interval, "interval", mirror.DefaultInterval, "between the begins of rounds")
	f.DurationVar(&o.FullEvery, "full-every", mirror.DefaultFullEvery, "how often a round lists blobs, too; between, only repositories are listed")
	f.StringVar(&p.sample, "sample", mirror.DefaultSample, "share of the destination's blobs that each full round proves again; 0 for none")
	f.BoolVar(&o.Delete, "delete", false, "delete at the destination what the source has lost")
	f.DurationVar(&o.DeleteAfter, "delete-after", mirror.DefaultDeleteAfter, "for how long the source must not have it")
	f.StringVar(&p.deleteMost, "max-delete", mirror.DefaultMaxDelete, "most objects, and share of all, that are deleted without asking")
}

// addMove defines what a single round needs to know.
func (p *pairFlags) addMove(f *pflag.FlagSet) {
	p.memory = migrate.DefaultMemory
	o := &p.options
	f.StringVar(&p.name, "name", "registry", "of the mirror, in metrics and on the page")
	f.StringVar(&p.from, "from", "", "the storage to read")
	f.StringVar(&p.to, "to", "", "the storage to keep equal")
	p.at.add(f, false)
	f.StringVar(&p.state, "state", "", "`DIRECTORY` of what the mirror remembers; with --config, of one for each name (default one for each pair of locations below ~/.local/state/regferry)")
	f.DurationVar(&o.Lease, "lease", mirror.DefaultLease, "silence after which another mirror takes over; with --delete at least 1m")
	f.BoolVar(&o.Takeover, "takeover", false, "go on, once, although somebody else wrote the destination, another mirror holds it, or a migration to it was finished")
	f.StringArrayVar(&o.Migrate.Repositories, "repository", nil, "only repositories that match `GLOB`, with the blobs they need; repeatable; ** crosses slashes")
	f.StringArrayVar(&o.Migrate.Also, "also", nil, "also copy what lies below the key `PREFIX`, beside docker/registry/v2; repeatable")
	f.BoolVar(&o.Migrate.WithholdBroken, "withhold-broken", false, "leave out tags that cannot be pulled at the source either")
	f.StringVar(&p.metadata, "metadata", "auto", "where the registry keeps its tags: storage, database or auto")
	f.IntVar(&o.Migrate.Workers, "workers", migrate.DefaultWorkers, "requests in flight")
	f.Var(&p.memory, "memory", "most memory for data in flight")
	f.Var(&p.bandwidth, "bandwidth", "most bytes a second read from the source, such as 50MiB, or by time of day: \"08:00,50MiB 20:00,off\"")
	f.DurationVar(&o.Migrate.Patience, "patience", migrate.DefaultPatience, "how long a side may give no answer at all before a round ends")
}

// plainName is fit for a directory and for a label of a metric.
var plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// check refuses what cannot be meant; nothing is opened.
func (p *pairFlags) check() error {
	err := errors.Join(checkSides("mirror", p.from, p.to), checkWorkers(p.options.Migrate.Workers))
	if err != nil {
		return err
	}
	o := &p.options
	o.Name = p.name
	if !plainName.MatchString(p.name) {
		return usageError{fmt.Errorf("--name %q: give letters, digits and . _ -, for example --name main", p.name)}
	}
	o.Migrate.Memory, o.Migrate.Version = int64(p.memory), version()
	if p.memory < 1<<20 {
		return usageError{fmt.Errorf("--memory %s: give at least 1MiB, for example --memory 128MiB", &p.memory)}
	}
	if o.Interval <= 0 {
		return usageError{fmt.Errorf("--interval %v: give a time, for example --interval 5m", o.Interval)}
	}
	if o.NoSample = strings.Trim(p.sample, "0.%") == ""; !o.NoSample {
		if o.Sample, err = verify.ParseSample(p.sample, 0); err != nil {
			return usageError{err}
		}
	}
	if o.MaxDelete, err = mirror.ParseLimit(p.deleteMost); err != nil {
		return usageError{err}
	}
	if o.Migrate.Metadata, err = migrate.ParseMetadata(p.metadata); err != nil {
		return usageError{err}
	}
	if len(o.Migrate.Repositories) > 0 && o.Delete {
		return usageError{errors.New("--delete with --repository: what only part of the registry needs cannot be told from what nobody needs; leave one of them out")}
	}
	if err := o.Check(); err != nil {
		return usageError{err}
	}
	if err := p.at.from.CheckApart(p.from, p.at.to, p.to); err != nil {
		return fmt.Errorf("--from and --to: %w", err)
	}
	return nil
}

// stateOf is the directory of what the mirror remembers.
func (p *pairFlags) stateOf() (string, error) {
	if p.state != "" {
		return p.state, nil
	}
	path, err := statePath(p.at, p.from, p.to)
	if err != nil {
		return "", err
	}
	return path + ".mirror", nil
}

// hostName is for people, to tell mirrors apart.
func hostName() string {
	name, err := os.Hostname()
	if err != nil {
		return "a host without a name"
	}
	return name
}

// redacted are both sides, for the log.
func (p *pairFlags) redacted() (from, to string) {
	return location.Redacted(p.from), location.Redacted(p.to)
}
