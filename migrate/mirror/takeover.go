package mirror

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"time"

	"github.com/regferry/regferry/verify"
	"github.com/regferry/regferry/verify/layout"
)

// takeover is what Takeover has done so far. It is kept, since who leaves the
// flag in a unit or a manifest does not mean to take over at each start.
type takeover struct {
	Marker string    `json:"marker,omitempty"` // that was gone past; another one is obeyed
	Begun  time.Time `json:"begun,omitzero"`   // the lease is ours and the marker accepted
	Done   time.Time `json:"done,omitzero"`    // a full round has gone to its end since
}

// takesOver says that what somebody else wrote is no reason to stop.
func (m *Mirror) takesOver() bool { return m.taking.Load() }

// mayTakeOver says that Takeover has not begun: neither the lease nor the marker
// of a finish counts.
func (m *Mirror) mayTakeOver() bool { return m.Takeover && m.state.head.Takeover.Begun.IsZero() }

// rearm makes ready for another takeover: a start without the flag says that the
// next one with it is meant.
func (m *Mirror) rearm() error {
	t := &m.state.head.Takeover
	if m.Takeover || m.finishing || t.Begun.IsZero() {
		return nil
	}
	t.Begun, t.Done = time.Time{}, time.Time{}
	return m.state.writeHead()
}

// beginTakeover accepts the marker that stands, once.
func (m *Mirror) beginTakeover(ctx context.Context) error {
	if !m.mayTakeOver() {
		return nil
	}
	f, found, err := readFinished(ctx, m.dst)
	if err != nil {
		return err
	}
	if found {
		m.state.head.Takeover.Marker = f.id()
	}
	m.state.head.Takeover.Begun = time.Now().UTC()
	return m.state.writeHead()
}

// notFinished is asked again and again: a migration may be finished while this
// mirror stands by, or by somebody who does not know of it.
func (m *Mirror) notFinished(ctx context.Context) error {
	if m.mayTakeOver() {
		return nil
	}
	return checkFinished(ctx, m.dst, m.state.head.Takeover.Marker)
}

// settle ends what holds until a full round has gone to its end: Takeover, and
// that what the destination holds is taken for what was there before. What the
// round left undone does not put it off, for that may be so for ever.
func (m *Mirror) settle() error {
	m.strangers.mu.Lock()
	m.strangers.new = false
	m.strangers.mu.Unlock()
	h := &m.state.head
	h.Settled = true
	if m.taking.Swap(false) {
		h.Takeover.Done = time.Now().UTC()
	}
	return errors.Join(m.tags.sync(), m.state.writeHashes("foreign", m.strangers.hashes()), m.state.writeHead())
}

// accept takes what a tag of the destination holds for ours, while taking over:
// the source's may be left undone now and be due later.
func (m *Mirror) accept(ctx context.Context, k layout.Key, p verify.Pair) error {
	if len(p.Dst.MD5) == md5.Size {
		return m.tags.note(k.Repository, k.Tag, [md5.Size]byte(p.Dst.MD5))
	}
	data, err := readObject(ctx, m.dst, p.Key)
	if err != nil {
		return nil //nolint:nilerror // what nobody can read is looked at again before it is overwritten
	}
	return m.tags.note(k.Repository, k.Tag, md5.Sum(data))
}

// usedUp says of a refusal that Takeover, which was given, is over.
func (m *Mirror) usedUp(err error) error {
	if t := m.state.head.Takeover; m.Takeover && !t.Begun.IsZero() && errors.Is(err, ErrGuard) {
		return fmt.Errorf("%w (--takeover is given, and has taken over on %s already; to take over anew, start once without it)", err, t.Begun.Format(time.DateTime+" MST"))
	}
	return err
}
