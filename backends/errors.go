package backends

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// Class says what kind of failure an error is, and so what to do about it.
// A Class is an error, so that errors.Is(err, backends.Full) asks for it.
type Class uint8

// The classes. A driver classifies once, next to its service; nobody above
// matches text.
const (
	Unknown     Class = iota // not classified: retried like Transient, reported as is
	NotFound                 // the key is absent; also fs.ErrNotExist
	Denied                   // permissions, credentials; also fs.ErrPermission
	Throttled                // the service asks for less
	Transient                // may pass by itself: network, EIO, a server restart
	Full                     // no space, no quota, no inodes: a fault of the whole run
	Corrupt                  // bytes that are not what their digest or checksum says
	Changed                  // the object is not the one that was listed
	Unsupported              // the store cannot do this, ever; also errors.ErrUnsupported
)

var classNames = [...]string{"unknown", "not found", "denied", "throttled", "transient", "full", "corrupt", "changed", "unsupported"}

// Error makes a Class usable with errors.Is.
func (c Class) Error() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return fmt.Sprintf("class %d", uint8(c))
}

// Is lets fs.ErrNotExist, fs.ErrPermission and errors.ErrUnsupported match.
func (c Class) Is(target error) bool {
	switch c {
	case NotFound:
		return target == fs.ErrNotExist
	case Denied:
		return target == fs.ErrPermission
	case Unsupported:
		return target == errors.ErrUnsupported
	}
	return false
}

// Retryable says whether the same call may succeed when it is made again.
func (c Class) Retryable() bool {
	return c == Unknown || c == Throttled || c == Transient || c == Changed
}

// Side is which of the two stores an error or a finding belongs to.
type Side string

// The sides.
const (
	Source      Side = "source"
	Destination Side = "destination"
)

// Error is every error of a store: side, operation, key and class around the
// cause. The store leaves Side empty; who holds both sides fills it with [At].
type Error struct {
	Side  Side
	Op    string // list, stat, open, read, put, sync, clean, delete, get, replace
	Key   string
	Class Class
	Err   error
}

// Error writes side, operation and key, quoted if it holds anything but
// printable ASCII, then the cause and its class. What was wrapped once more on
// the way, for its side, is said once.
func (e *Error) Error() string {
	if inner := (*Error)(nil); errors.As(e.Err, &inner) && inner.Op == e.Op && inner.Key == e.Key {
		if rest, ok := strings.CutPrefix(e.Err.Error(), inner.Error()); ok {
			c := *inner
			c.Side, c.Class = cmp.Or(e.Side, inner.Side), cmp.Or(inner.Class, e.Class)
			return c.Error() + rest
		}
	}
	var b strings.Builder
	if e.Side != "" {
		b.WriteString(string(e.Side) + ": ")
	}
	b.WriteString(e.Op)
	if e.Key != "" {
		b.WriteString(" " + Printable(e.Key))
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	if e.Class != Unknown {
		b.WriteString(" (" + e.Class.Error() + ")")
	}
	return b.String()
}

// Unwrap gives the class and the cause, so errors.Is finds either.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Class}
	}
	return []error{e.Class, e.Err}
}

// ClassOf returns the outermost class in err that is not Unknown, that of an
// *[Error] or one by itself; in joined errors the first. It is Unknown if there
// is none. A cancelled context is no class of its own.
func ClassOf(err error) Class {
	if c, ok := err.(Class); ok {
		return c
	}
	for _, cause := range causes(err) { // an *Error has its class among them
		if c := ClassOf(cause); c != Unknown {
			return c
		}
	}
	return Unknown
}

// causes unwraps one step, both ways. errors.As would do but for joined errors,
// of which it enters only the first that matches.
func causes(err error) []error {
	switch err := err.(type) {
	case interface{ Unwrap() error }:
		return []error{err.Unwrap()}
	case interface{ Unwrap() []error }:
		return err.Unwrap()
	}
	return nil
}

// Ended says whether the end of a context is among the causes of err. errors.Is
// does not tell: the timeouts of net and net/http, of a dial or of headers that
// do not come, say true to context.DeadlineExceeded, and there it is the service
// that does not answer. A net error that is a cancellation is of a context.
func Ended(err error) bool {
	return errors.Is(err, context.Canceled) || outOfTime(err)
}

func outOfTime(err error) bool {
	return err == context.DeadlineExceeded || slices.ContainsFunc(causes(err), outOfTime)
}

// At returns err with the side filled in, unless an *[Error] in it already
// names one: a Put that failed because its source could not be read is the
// source's error. It returns nil for nil, and leaves errors that are only a
// context's as they are.
func At(side Side, err error) error {
	var e *Error
	if err == nil || SideOf(err) != "" {
		return err
	}
	if errors.As(err, &e) {
		c := *e
		c.Side = side
		if err == error(e) {
			return &c
		}
		return &Error{Side: side, Op: e.Op, Key: e.Key, Class: ClassOf(err), Err: err}
	}
	if Ended(err) {
		return err
	}
	return &Error{Side: side, Op: "access", Err: err}
}

// SideOf returns the side that the innermost *[Error] naming one names; in
// joined errors the first.
func SideOf(err error) Side {
	for _, cause := range causes(err) {
		if side := SideOf(cause); side != "" {
			return side
		}
	}
	if e, ok := err.(*Error); ok {
		return e.Side
	}
	return ""
}

// SyncError names the objects of a group that could not be made visible.
type SyncError struct{ Failed []*Error }

// Error names the first key and counts the others.
func (e *SyncError) Error() string {
	if len(e.Failed) == 1 {
		return e.Failed[0].Error()
	}
	return fmt.Sprintf("%v, and %d more", e.Failed[0], len(e.Failed)-1)
}

// Unwrap gives the errors of the single objects.
func (e *SyncError) Unwrap() []error {
	errs := make([]error, len(e.Failed))
	for i, f := range e.Failed {
		errs[i] = f
	}
	return errs
}

// Printable returns a name that came from a store fit for a terminal or a
// log: as it is when it is printable ASCII without quotes, else quoted.
func Printable(name string) string {
	for _, r := range name {
		if r <= ' ' || r >= 0x7f || r == '"' || r == '\\' {
			return fmt.Sprintf("%+q", name)
		}
	}
	return name
}
