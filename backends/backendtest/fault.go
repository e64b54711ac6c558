package backendtest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/regferry/regferry/backends"
)

// Fault is one thing that goes wrong. The zero value is none: use the
// functions that make them. A fault strikes once unless Times or Always says
// more.
type Fault struct {
	kind  kind
	err   error
	n     int64
	wait  time.Duration
	times int
}

type kind string

const (
	fail, lost, block, delay              kind = "Fail", "Lost", "Block", "Delay"
	failAfter, truncate, blockAfter, more kind = "FailAfter", "Truncate", "BlockAfter", "Extra"
	flip, swap, vanish                    kind = "Flip", "Swap", "Vanish"
)

// strikes says on which operations a kind can fire.
var strikes = map[kind][]string{
	fail:       {"list", "stat", "open", "put", "sync", "space", "clean", "copy", "digest", "delete", "get", "replace"},
	block:      {"list", "stat", "open", "put", "sync", "space", "clean", "copy", "digest", "delete", "get", "replace"},
	delay:      {"list", "stat", "open", "put", "sync", "space", "clean", "copy", "digest", "delete", "get", "replace"},
	lost:       {"put", "sync", "clean", "copy", "delete", "replace"},
	failAfter:  {"list", "open", "put"},
	blockAfter: {"list", "open", "put"},
	truncate:   {"open", "put"},
	more:       {"open", "put"},
	flip:       {"open", "put"},
	swap:       {"list"},
	vanish:     {"list"},
}

// Fail makes the call fail and not happen. An err that is no *backends.Error is
// made one; a backends.Class gives its class.
func Fail(err error) Fault { return Fault{kind: fail, err: err} }

// Lost lets the call happen and loses the answer: err is returned instead.
func Lost(err error) Fault { return Fault{kind: lost, err: err} }

// Block holds the call until its context is done.
func Block() Fault { return Fault{kind: block} }

// Delay holds the call for d, or until its context is done, and lets it go on.
func Delay(d time.Duration) Fault { return Fault{kind: delay, wait: d} }

// FailAfter ends a body, the content of a Put, or a listing with err when n
// bytes, or objects, have come.
func FailAfter(n int64, err error) Fault { return Fault{kind: failAfter, n: n, err: err} }

// BlockAfter holds a body, content or listing after n bytes or objects until
// its context is done.
func BlockAfter(n int64) Fault { return Fault{kind: blockAfter, n: n} }

// Truncate ends a body or content with io.EOF after n bytes, if there are more.
func Truncate(n int64) Fault { return Fault{kind: truncate, n: n} }

// Extra appends n bytes to a body or content.
func Extra(n int64) Fault { return Fault{kind: more, n: n} }

// Flip changes a bit of the byte at this offset of the object, when it is read.
func Flip(offset int64) Fault { return Fault{kind: flip, n: offset} }

// Swap exchanges the object number n, from 0, with the next one of a listing.
func Swap(n int64) Fault { return Fault{kind: swap, n: n} }

// Vanish lets an object be listed, and from then on it is NotFound and in no
// listing, until it is put again. Each object that vanishes counts as a time.
func Vanish() Fault { return Fault{kind: vanish} }

// Times lets the fault strike n calls.
func (f Fault) Times(n int) Fault { f.times = n; return f }

// Always lets the fault strike every call.
func (f Fault) Always() Fault { f.times = -1; return f }

// Faults are the faults of one store. Wrap or WrapRead it, then arm them with On.
type Faults struct {
	t     testing.TB
	mu    sync.Mutex
	armed []*armed
	gone  map[string]*armed // vanished keys
	first sync.Once
	fired chan struct{}
}

type armed struct {
	Fault
	op    string
	match func(string) bool
	left  int // calls it may still strike; negative: all
	fired int
}

// NewFaults makes an empty set that is checked when the test ends.
func NewFaults(t testing.TB) *Faults {
	f := &Faults{t: t, gone: map[string]*armed{}, fired: make(chan struct{})}
	t.Cleanup(func() { f.Check(t) })
	return f
}

// Key matches one key.
func Key(key string) func(string) bool { return func(k string) bool { return k == key } }

// On arms a fault for an operation (list, stat, open, put, sync, space, clean,
// copy, digest, delete, get, replace) on the keys that match; nil matches all. A listing's key is its prefix, but
// for Vanish it is the object's. The faults of one operation are tried in the
// order in which they were armed, and one call meets at most one.
func (f *Faults) On(op string, match func(key string) bool, fault Fault) {
	f.t.Helper()
	if !slices.Contains(strikes[fault.kind], op) {
		f.t.Fatalf("the fault %s can never fire on %q", fault.kind, op)
	}
	if fault.times == 0 {
		fault.times = 1
	}
	if match == nil {
		match = func(string) bool { return true }
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = append(f.armed, &armed{Fault: fault, op: op, match: match, left: fault.times})
}

// Check fails the test for each armed fault that never fired.
func (f *Faults) Check(t testing.TB) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.armed {
		if a.fired == 0 {
			t.Errorf("the fault %s(%d) on %s never fired", a.kind, a.n, a.op)
		}
	}
}

// take returns the fault that this call meets, nil if none.
func (f *Faults) take(op, key string) *armed {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, a := range f.armed {
		if a.op == op && a.kind != vanish && a.left != 0 && a.match(key) {
			a.left--
			return a
		}
	}
	return nil
}

// vanishing is called for each object that is listed. It says whether the
// object has gone, and lets it go if a fault is armed for it.
func (f *Faults) vanishing(key string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gone[key] != nil {
		return true
	}
	for _, a := range f.armed {
		if a.kind == vanish && a.left != 0 && a.match(key) {
			a.left--
			f.gone[key] = a
			break
		}
	}
	return false
}

func (f *Faults) vanished(op, key string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.gone[key]
	if a == nil {
		return nil
	}
	a.fired++
	return &backends.Error{Op: op, Key: key, Class: backends.NotFound, Err: errInjected}
}

func (f *Faults) back(key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.gone, key)
}

func (f *Faults) fire(a *armed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a.fired++
	f.first.Do(func() { close(f.fired) })
}

// Fired is closed when a fault has struck, other than Vanish.
func (f *Faults) Fired() <-chan struct{} { return f.fired }

var errInjected = errors.New("injected")

// injected makes err a store's error.
func injected(op, key string, err error) error {
	var e *backends.Error
	if errors.As(err, &e) {
		return err
	}
	if class, ok := err.(backends.Class); ok {
		return &backends.Error{Op: op, Key: key, Class: class, Err: errInjected}
	}
	return &backends.Error{Op: op, Key: key, Err: fmt.Errorf("injected: %w", err)}
}
