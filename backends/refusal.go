package backends

import (
	"errors"
	"fmt"
	"io"
)

// Refuse is an error of a driver's own making: what is wrong, in words, and
// its class.
func Refuse(class Class, text string) error { return &refusal{class, text} }

type refusal struct {
	class Class
	text  string
}

func (r *refusal) Error() string { return r.text }
func (r *refusal) Unwrap() error { return r.class }

// SizeError is a content that is longer or shorter than it was said to be
// (rule P3), in bytes; of a longer one, only so much was read as tells.
type SizeError struct{ Got, Want int64 }

func (e SizeError) Error() string {
	if e.Got < e.Want {
		return fmt.Sprintf("the content ended after %d of %d bytes", e.Got, e.Want)
	}
	return fmt.Sprintf("the content goes on after %d bytes", e.Want)
}

// Unwrap lets a short content match io.ErrUnexpectedEOF.
func (e SizeError) Unwrap() error {
	if e.Got < e.Want {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// SourceError is what a content's reader said. It has the class it brings
// along, not one of the store that wanted to write it.
type SourceError struct{ Err error }

func (e SourceError) Error() string { return "reading the content: " + e.Err.Error() }

// Unwrap gives what the reader said.
func (e SourceError) Unwrap() error { return e.Err }

// OwnClass is the class of an error that no service made: a context's end and
// a source's fault are Unknown, since a class, if there is one, is further
// inside. A driver asks here before it judges by what its service answered; ok
// is false where that is needed.
func OwnClass(err error) (class Class, ok bool) {
	var (
		r    *refusal
		size SizeError
	)
	switch {
	case Ended(err), errors.As(err, new(SourceError)):
		return Unknown, true
	case errors.As(err, &size):
		return Changed, true
	case errors.As(err, &r):
		return r.class, true
	}
	return Unknown, false
}
