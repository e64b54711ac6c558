package mirror

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/regferry/regferry/backends"
)

// lease is the right to write a destination, which one mirror has at a time. It
// is an object there, which its holder writes again every quarter of its time.
// Who waits for it goes by its own clock alone: a lease whose count does not
// move for its whole time is over; for the same owner, which may be one that was
// killed or a copy of its state that lives, after three quarters. Where the store cannot write on condition, it
// is never taken from another: two might take it at once.
type lease struct {
	dst   backends.Store
	put   backends.ConditionalPutter // nil: none
	owner string                     // of the state, who may take it back sooner than others
	last  string                     // session before this one of the process, which has ended
	self  string                     // of this session: a copied state is not a second holder
	name  string                     // of the owner, for people
	lasts time.Duration
	now   func() time.Time

	mu      sync.Mutex
	version string
	count   uint64
	renewed time.Time // begin of the last renewal that went well
	looked  time.Time // begin of the last reading that found it ours
}

// leaseRecord is what the object holds.
type leaseRecord struct {
	Owner    string    `json:"owner"`
	Session  string    `json:"session"`
	Name     string    `json:"name"`
	Count    uint64    `json:"count"` // of the writings, so that no two are alike
	Seconds  float64   `json:"seconds"`
	Renewed  time.Time `json:"renewed"` // for people
	Released bool      `json:"released"`
}

func (m *Mirror) newLease(dst backends.Store) *lease {
	l := &lease{
		dst: dst, put: backends.PowersOf(dst).ConditionalPutter, lasts: m.Lease, now: m.now,
		owner: m.state.head.Owner, last: m.lastSession, self: rand.Text(), name: fmt.Sprintf("%s, process %d", m.Owner, os.Getpid()),
	}
	m.lastSession = l.self
	return l
}

// read returns what stands at the destination; nothing is a released lease.
func (l *lease) read(ctx context.Context) (r leaseRecord, version string, err error) {
	var data []byte
	if put := l.conditional(); put != nil {
		data, version, err = put.Get(ctx, leaseKey)
	} else {
		data, err = readObject(ctx, l.dst, leaseKey)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return leaseRecord{Released: true}, "", nil
	}
	if err != nil {
		return r, "", backends.At(backends.Destination, err)
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, "", &backends.Error{Side: backends.Destination, Op: "read", Key: leaseKey, Class: backends.Corrupt, Err: fmt.Errorf("%w; remove it if no other mirror writes there", err)}
	}
	return r, version, nil
}

// write takes or renews it. Changed says that another was faster.
func (l *lease) write(ctx context.Context, version string, count uint64, released bool) error {
	begin := l.now()
	data, err := json.Marshal(leaseRecord{l.owner, l.self, l.name, count, l.lasts.Seconds(), time.Now().UTC().Truncate(time.Second), released})
	if err != nil {
		return err
	}
	if put := l.conditional(); put != nil {
		version, err = put.PutIf(ctx, leaseKey, data, version)
	} else {
		err = l.plain(ctx, data)
	}
	if err != nil {
		return backends.At(backends.Destination, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.version, l.count, l.renewed, l.looked = version, count, begin, begin
	return nil
}

// conditional is nil where the service turned out to ignore conditions.
func (l *lease) conditional() backends.ConditionalPutter {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.put
}

func (l *lease) unconditional() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.put = nil
}

func (l *lease) plain(ctx context.Context, data []byte) error {
	_, err := l.dst.Put(ctx, leaseKey, backends.Content{Size: int64(len(data)), Open: func(_ context.Context, offset int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data[offset:])), nil
	}})
	if syncer := backends.PowersOf(l.dst).Syncer; err == nil && syncer != nil {
		err = syncer.Sync(ctx)
	}
	return err
}

// acquire waits until the lease is ours, or, in a hurry, until it is sure that
// another mirror lives. waiting is told who has it.
func (l *lease) acquire(ctx context.Context, takeover, hurry bool, waiting func(holder string)) error {
	var last leaseRecord
	var since time.Time
	for moves := 0; ; {
		r, version, err := l.read(ctx)
		if err != nil {
			return err
		}
		if r.Session != last.Session || r.Count != last.Count || since.IsZero() {
			last, since = r, l.now()
			moves++
		}
		ours, most := r.Owner == l.owner, time.Duration(r.Seconds*float64(time.Second))
		if ours {
			most = sooner(most)
		}
		conditional, silent := l.conditional() != nil, l.now().Sub(since) > most
		switch {
		case r.Released || ours && r.Session == l.last || takeover || silent && (conditional || ours):
			err := l.write(ctx, version, r.Count+1, false)
			switch {
			case err == nil && conditional:
				return nil
			case err == nil:
				return l.settle(ctx)
			case conditional && errors.Is(err, backends.Unsupported):
				l.unconditional()
				continue
			case !errors.Is(err, backends.Changed):
				return err
			}
		case hurry && (moves > 1 || silent):
			return fmt.Errorf("%w: %s; stop that one first, or go on with --takeover", ErrHeld, backends.Printable(r.Name))
		default:
			waiting(r.Name)
		}
		if err := sleep(ctx, min(l.lasts/4, 5*time.Second)); err != nil {
			return err
		}
	}
}

// sooner is the silence after which the same owner takes a lease back. A holder
// has written for the last time before.
func sooner(lasts time.Duration) time.Duration { return lasts * 3 / 4 }

// settle is for stores that do not write on condition: after a moment, who
// wrote last has it.
func (l *lease) settle(ctx context.Context) error {
	if err := sleep(ctx, min(l.lasts/4, 2*time.Second)); err != nil {
		return err
	}
	return l.look(ctx)
}

// look reads the lease again.
func (l *lease) look(ctx context.Context) error {
	begin := l.now()
	r, _, err := l.read(ctx)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.Session != l.self || r.Released {
		return fmt.Errorf("%w to %s", errLeaseLost, backends.Printable(r.Name))
	}
	l.looked = begin
	return nil
}

// lookEvery is how old a reading of the lease may be when a tag is written.
const lookEvery = time.Second

// check says whether the destination may be written now.
func (l *lease) check(ctx context.Context) error {
	l.mu.Lock()
	now := l.now()
	old, silent := since(now, l.looked) > lookEvery, since(now, l.renewed)
	l.mu.Unlock()
	if silent >= l.lasts/2 {
		return fmt.Errorf("%w: it was not renewed for %v", errLeaseLost, silent.Round(time.Second))
	}
	if !old {
		return nil
	}
	return l.look(ctx)
}

// checkDelete says whether a Delete that begins now has ended when anybody may
// have the lease.
func (l *lease) checkDelete(ctx context.Context) error {
	if err := l.check(ctx); err != nil {
		return err
	}
	l.mu.Lock()
	silent := since(l.now(), l.renewed)
	l.mu.Unlock()
	if silent+backends.DetachedMost > sooner(l.lasts) {
		return fmt.Errorf("%w: it was not renewed for %v, and a deletion may take %v", errLeaseLost, silent.Round(time.Second), backends.DetachedMost)
	}
	return nil
}

// since is how long ago it was, by the clock that stands still while a machine
// is asleep or by the one that may be set, whichever says more. A clock that was
// set back says nothing.
func since(now, then time.Time) time.Duration {
	return max(now.Sub(then), now.Round(0).Sub(then.Round(0)))
}

// keep renews it until ctx ends, or until half its time went by without.
func (l *lease) keep(ctx context.Context) error {
	for pause := l.lasts / 4; ; {
		if err := sleep(ctx, pause); err != nil {
			return nil //nolint:nilerror // the end of the context ends the keeping
		}
		l.mu.Lock()
		version, count, left := l.version, l.count, l.lasts/2-l.now().Sub(l.renewed)
		l.mu.Unlock()
		if left <= 0 {
			return errLeaseLost
		}
		once, cancel := context.WithTimeout(ctx, left)
		err := l.renew(once, version, count)
		cancel()
		if errors.Is(err, backends.Changed) {
			err = l.adopt(ctx, count+1)
		}
		if errors.Is(err, errLeaseLost) {
			return err
		}
		if pause = l.lasts / 4; err != nil {
			pause = min(l.lasts/32, time.Second) // a fault that passes must not end a long round
		}
	}
}

// adopt takes a renewal for done whose answer was lost.
func (l *lease) adopt(ctx context.Context, count uint64) error {
	begin := l.now()
	r, version, err := l.read(ctx)
	if err != nil {
		return err
	}
	if r.Session != l.self || r.Count != count || r.Released {
		return fmt.Errorf("%w to %s", errLeaseLost, backends.Printable(r.Name))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.version, l.count, l.renewed, l.looked = version, count, begin, begin
	return nil
}

func (l *lease) renew(ctx context.Context, version string, count uint64) error {
	if l.conditional() == nil {
		if err := l.look(ctx); err != nil {
			return err
		}
	}
	return l.write(ctx, version, count+1, false)
}

// release lets another mirror have it at once.
func (l *lease) release(ctx context.Context) {
	ctx, cancel := backends.Detached(ctx)
	defer cancel()
	l.mu.Lock()
	version, count := l.version, l.count
	l.mu.Unlock()
	if l.conditional() == nil && l.look(ctx) != nil {
		return
	}
	_ = l.write(ctx, version, count+1, true) // else it ends by itself
}

// CheckHeld is [ErrHeld] where a mirror that lives writes the destination: a
// migration beside it may count on what the mirror deletes. It goes by the
// mirror's clock.
func CheckHeld(ctx context.Context, dst backends.ReadStore) error {
	var r leaseRecord
	found, err := readSmall(ctx, dst, leaseKey, &r)
	if err != nil || !found || r.Released {
		return err
	}
	if silent := time.Since(r.Renewed); silent.Abs() > 2*time.Duration(r.Seconds*float64(time.Second)) {
		return nil
	}
	return fmt.Errorf("%w: %s wrote there at %s; stop it first, or go on with --takeover", ErrHeld, backends.Printable(r.Name), r.Renewed.Format(time.DateTime+" MST"))
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
