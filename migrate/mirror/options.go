package mirror

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/migrate"
	"github.com/regferry/regferry/verify"
)

// Options say how one destination is kept equal to one source.
type Options struct {
	Name    string          // of the pair, for people
	Migrate migrate.Options // of each round; Checkpoint, Shared, Watch and what chooses a round's parts are the mirror's own
	State   string          // directory of what a mirror has to remember
	Open    Open            // both sides, anew after each fault

	Interval  time.Duration // between the begins of rounds; default DefaultInterval
	FullEvery time.Duration // how often blobs are listed, too; 0: in each round
	Sample    verify.Sample // which blobs of the destination each full round proves again
	NoSample  bool          // none

	Delete      bool
	DeleteAfter time.Duration // how long an object has to be absent from the source; default DefaultDeleteAfter
	MaxDelete   Limit         // of one plan; the zero value allows nothing

	Lease    time.Duration // after which silence another mirror takes over; default DefaultLease
	Owner    string        // of the lease, for people: the host's name
	Takeover bool          // go on where somebody else wrote, or where a migration was finished
	Once     bool          // one full round

	Stop <-chan struct{} // closed: what is under way is finished, and Run ends; may be nil
	Log  *slog.Logger    // may be nil

	Retried func(error) // is told of an error after which something is tried again; may be nil

	now func() time.Time // with a monotonic reading, in tests another
}

// Open opens both sides, which are closed by whoever called it.
type Open func(context.Context) (backends.ReadStore, backends.Store, error)

// Defaults of Options.
const (
	DefaultInterval    = 5 * time.Minute
	DefaultFullEvery   = time.Hour
	DefaultSample      = "0.1%"
	DefaultDeleteAfter = 24 * time.Hour
	DefaultMaxDelete   = "10000,25%"
	DefaultLease       = time.Minute
)

// leastToDelete leaves room for a Delete beside a renewal that failed.
const leastToDelete = time.Minute

// Check refuses options that cannot be meant.
func (o Options) Check() error {
	switch {
	case o.Interval < 0, o.FullEvery < 0, o.DeleteAfter < 0:
		return errors.New("--interval, --full-every and --delete-after are not negative, for example --interval 5m")
	case o.Lease != 0 && o.Lease < 2*time.Second:
		return fmt.Errorf("--lease %v: give at least 2s, for example --lease 1m", o.Lease)
	case o.Delete && o.Lease != 0 && o.Lease < leastToDelete:
		return fmt.Errorf("--lease %v with --delete: give at least %v, so that no deletion is under way when another mirror takes over", o.Lease, leastToDelete)
	}
	return o.Migrate.Check()
}

func (o Options) withDefaults() Options {
	if o.Interval == 0 {
		o.Interval = DefaultInterval
	}
	if o.Lease == 0 {
		o.Lease = DefaultLease
	}
	if o.DeleteAfter == 0 {
		o.DeleteAfter = DefaultDeleteAfter
	}
	if o.Migrate.Workers <= 0 {
		o.Migrate.Workers = migrate.DefaultWorkers
	}
	if o.Migrate.Memory <= 0 {
		o.Migrate.Memory = migrate.DefaultMemory
	}
	if o.Migrate.Patience <= 0 {
		o.Migrate.Patience = migrate.DefaultPatience
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.now == nil {
		o.now = time.Now
	}
	o.Migrate.Stop = o.Stop
	return o
}

// Limit is how much one plan may delete.
type Limit struct {
	Objects int64
	Percent float64 // of the objects of the destination
}

// ParseLimit reads the flag --max-delete: "500", "5%" or "500,5%". Both hold.
func ParseLimit(text string) (Limit, error) {
	l := Limit{Objects: math.MaxInt64, Percent: 100}
	bad := fmt.Errorf("--max-delete %q: give a number of objects, a share of them, or both: --max-delete 500,5%%", text)
	if text == "" {
		return l, bad
	}
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if share, ok := strings.CutSuffix(part, "%"); ok {
			p, err := strconv.ParseFloat(share, 64)
			if err != nil || !(p >= 0 && p <= 100) {
				return l, bad
			}
			l.Percent = p
			continue
		}
		n, err := strconv.ParseInt(part, 10, 64)
		if err != nil || n < 0 {
			return l, bad
		}
		l.Objects = n
	}
	return l, nil
}

// exceeded says why a plan of so many objects out of all is refused, nothing if
// it is not.
func (l Limit) exceeded(objects, all int64) string {
	switch share := 100 * float64(objects) / float64(max(all, 1)); {
	case objects > l.Objects:
		return fmt.Sprintf("%d objects would be deleted, and --max-delete allows %d", objects, l.Objects)
	case share > l.Percent:
		return fmt.Sprintf("%.1f%% of the objects of the destination would be deleted, and --max-delete allows %g%%", share, l.Percent)
	}
	return ""
}
