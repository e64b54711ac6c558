package backends

import (
	"context"
	"strings"
)

// Syncer is a store that buys durability in groups: a Put that returned nil
// is durable, and visible, after the next Sync that returned nil. Sync may be
// called while Puts and other Syncs run; it covers the Puts that returned
// before it was called.
//
// An error that is a *[SyncError] names the keys that failed; all else that
// was Put before is durable. After any other error nothing since the last
// Sync is sure, and the store is not to be written again.
type Syncer interface {
	Sync(ctx context.Context) error
}

// Spacer is a store that knows how much room it has.
type Spacer interface {
	Space(ctx context.Context) (Space, error)
}

// Space is in bytes; Free is what a writer may use.
type Space struct{ Total, Free int64 }

// Cleaner is a store that keeps unfinished work in a scratch place of its
// own. Clean removes what dead runs left there, but not the uploads whose
// tokens are in keep nor what a living process holds, and returns how many
// things it removed.
type Cleaner interface {
	Clean(ctx context.Context, keep map[string]bool) (int, error)
}

// Powers is the table of what a store can do beyond the contract, collected
// once, so that nobody asks twice and an operator can read it.
type Powers struct {
	Syncer  Syncer
	Spacer  Spacer
	Cleaner Cleaner
}

// PowersOf collects the powers of s.
func PowersOf(s ReadStore) Powers {
	var p Powers
	p.Syncer, _ = s.(Syncer)
	p.Spacer, _ = s.(Spacer)
	p.Cleaner, _ = s.(Cleaner)
	return p
}

// String lists the powers by name, for preflight.
func (p Powers) String() string {
	var names []string
	add := func(has bool, name string) {
		if has {
			names = append(names, name)
		}
	}
	add(p.Syncer != nil, "sync in groups")
	add(p.Spacer != nil, "free space")
	add(p.Cleaner != nil, "clean scratch")
	if names == nil {
		return "none"
	}
	return strings.Join(names, ", ")
}
