package mirror

import (
	"context"
	"errors"
	"time"

	"github.com/regferry/regferry/migrate"
)

// Ending is how a mirror is brought to its end.
type Ending struct {
	// ReadOnly is called when all but the last is across: it returns when nobody
	// pushes any more. May be nil.
	ReadOnly func(context.Context) error
	Recorder migrate.Recorder
	Progress *migrate.Progress
}

// Final is how it went.
type Final struct {
	Summary migrate.Summary
	Window  time.Duration // from the return of ReadOnly on: how long nobody could push
	Marked  bool          // the destination has the marker: see [Mark]
}

// Finish makes a round, waits until nobody pushes, goes on until nothing
// changes, checks at the destination that every tag has what a pull of it needs,
// and leaves the marker. It is called instead of Run.
func (m *Mirror) Finish(ctx context.Context, f Ending) (Final, error) {
	var out Final
	m.finishing = true
	err := m.session(ctx, func(ctx context.Context) error {
		if err := m.round(ctx, true); err != nil {
			return err
		}
		if f.ReadOnly != nil {
			if err := f.ReadOnly(ctx); err != nil {
				return err
			}
		}
		begin := time.Now()
		o := m.Migrate
		o.Final, o.Checkpoint = true, m.state.path("checkpoint")
		o.Shared, o.Watch, o.Recorder, o.Progress = m.shared, m.newLook(false).watch(ctx), f.Recorder, f.Progress
		m.show.state(Finishing, "")
		var err error
		out.Summary, err = migrate.Run(ctx, m.src, m.dst, o)
		if out.Window = time.Since(begin); err != nil {
			return err
		}
		if t := out.Summary.Last(); t.Undone()+t.Damaged > 0 {
			return nil // nobody should switch to it
		}
		if err := errors.Join(m.tags.sync(), m.lease.check(ctx)); err != nil {
			return err
		}
		out.Marked = true
		return Mark(ctx, m.dst, m.src.Location(), m.lease.name)
	})
	m.show.state(Done, "")
	return out, m.usedUp(err)
}
