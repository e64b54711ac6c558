package verify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify/report"
)

// Options say what to verify. Both stores are only read.
type Options struct {
	Source      backends.ReadStore // the only side of an audit
	Destination backends.ReadStore // nil: an audit of Source alone

	Level          Level // default Presence
	SkipReferences bool  // do not read links and manifests to prove what they name
	Sample         Sample
	Repositories   Globs    // only these, and the blobs they need
	Tags           []Image  // to be proved as well, without a link of the tag
	Metadata       Metadata // where the tags are kept; default MetadataAuto

	Workers   int   // requests in flight; default DefaultWorkers
	Bandwidth int64 // bytes a second read to hash blobs; 0: no limit

	Journal  Journal   // keeps what was proved, for an audit that is interrupted; may be nil
	Recorder Recorder  // may be nil
	Progress *Progress // may be nil

	Inventory *Inventory      // is filled by an audit of a whole store; may be nil
	Stop      <-chan struct{} // closed: the run ends at once, with what it has found; may be nil

	sleep func(context.Context, time.Duration) error // instead of sleeping, in tests
}

// DefaultWorkers is the default of Options.Workers.
const DefaultWorkers = 16

// Level is how a blob is proved. Where one cannot be had, the next lower
// counts, and the report says of how many blobs.
type Level string

// The levels.
const (
	Presence Level = "presence" // it is there, with the size that the other side has
	Checksum Level = "checksum" // the service has kept a digest of it, and that is its name
	Content  Level = "content"  // it was read and hashed now
)

// ParseLevel reads the flag --level.
func ParseLevel(s string) (Level, error) {
	switch l := Level(s); l {
	case Presence, Checksum, Content:
		return l, nil
	}
	return "", fmt.Errorf("--level %q: say presence, checksum or content, for example --level content to read and hash everything", s)
}

// Journal keeps which blobs were proved, shard by shard, so that an audit that
// was interrupted need not read them again.
type Journal interface {
	// Proved returns what interrupted runs of this audit proved of a shard.
	Proved(shard string) (ProvedSet, error)
	// Prove queues that a blob was proved.
	Prove(shard string, d digest.Digest)
}

// ProvedSet is what blobs are looked up in.
type ProvedSet interface{ Has(digest.Digest) bool }

// Recorder is told what is found, concurrently.
type Recorder interface {
	Finding(report.Finding)
	Repository(report.Repository)
}

// ErrStopped is the error of a run that Stop ended. It is a cancellation.
var ErrStopped = fmt.Errorf("the run was stopped: %w", context.Canceled)

// Check refuses options that cannot be meant.
func (o Options) Check() error {
	if o.Source == nil {
		return errors.New("there is no store to verify")
	}
	return errors.Join(o.Repositories.Check(), o.Sample.Check())
}

func (o Options) withDefaults() Options {
	if o.Level == "" {
		o.Level = Presence
	}
	if o.Workers <= 0 {
		o.Workers = DefaultWorkers
	}
	if o.Metadata == "" {
		o.Metadata = MetadataAuto
	}
	if o.Recorder == nil {
		o.Recorder = nobody{}
	}
	if o.Journal == nil {
		o.Journal = noJournal{}
	}
	if o.Progress == nil {
		o.Progress = new(Progress)
	}
	return o
}

type nobody struct{}

func (nobody) Finding(report.Finding)       {}
func (nobody) Repository(report.Repository) {}

type noJournal struct{}

func (noJournal) Proved(string) (ProvedSet, error) {
	return noJournal{}, nil
}
func (noJournal) Prove(string, digest.Digest) {}
func (noJournal) Has(digest.Digest) bool      { return false }
