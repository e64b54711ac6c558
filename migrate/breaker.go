package migrate

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/regferry/regferry/backends"
)

// breaker tells a fault of the run from faults of objects: a full destination
// at once, a side that answers nobody any more after a while, one on which
// object after object fails after many.
type breaker struct {
	patience time.Duration
	waiting  atomic.Bool // for a side to answer

	mu    sync.Mutex
	sides map[backends.Side]*spell
}

// spell is how long it has gone badly on one side.
type spell struct {
	row  int       // objects that failed, with none getting through in between
	away time.Time // when the first try met no answer, with nothing heard since; zero: it answers
}

// maxRow is how many objects may fail one after the other on one side before
// the side is given up.
const maxRow = 100

// DefaultPatience is how long a side may give no answer at all before the run
// ends: longer than a service takes to restart or fail over, shorter than an
// operator takes to wonder.
const DefaultPatience = 2 * time.Minute

// tried takes note of a try. Each of them may last many requests of the SDK, so
// what fails in all of them for so long is the side and not the object.
func (b *breaker) tried(err error) error {
	side, class := backends.SideOf(err), backends.ClassOf(err)
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.spell(side)
	if class != backends.Transient {
		s.away = time.Time{} // whatever it says, it answers
		return nil
	}
	if s.away.IsZero() {
		s.away = time.Now()
		b.waiting.Store(true)
	}
	if away := time.Since(s.away); away >= b.patience {
		return &Fault{fmt.Errorf("the %s has not answered for %v: %w", side, away.Round(time.Second), err)}
	}
	return nil
}

// failed takes note of an object that was given up.
func (b *breaker) failed(err error) error {
	side, class := backends.SideOf(err), backends.ClassOf(err)
	if side == backends.Destination && class == backends.Full {
		return &Fault{err}
	}
	if class == backends.Corrupt || class == backends.NotFound || class == backends.Unsupported {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.spell(side)
	if s.row++; s.row < maxRow {
		return nil
	}
	return &Fault{err}
}

// answered takes note of a listing that goes well, and of bytes that come or are
// kept: it is called for each few of them, and while all is well it costs nothing.
// That objects can be listed does not say that they can be read or written, nor
// one part that another can.
func (b *breaker) answered(side backends.Side) {
	if !b.waiting.Load() {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spell(side).away = time.Time{}
	for _, s := range b.sides {
		if !s.away.IsZero() {
			return
		}
	}
	b.waiting.Store(false)
}

func (b *breaker) succeeded(sides ...backends.Side) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, side := range sides {
		*b.spell(side) = spell{}
	}
}

func (b *breaker) spell(side backends.Side) *spell {
	if b.sides == nil {
		b.sides = make(map[backends.Side]*spell)
	}
	if b.sides[side] == nil {
		b.sides[side] = new(spell)
	}
	return b.sides[side]
}
