package bucket

import (
	"errors"

	"gocloud.dev/gcerrors"

	"github.com/regferry/regferry/backends"
)

// classes are gocloud's codes in ours. What is missing is Unknown: a driver
// gives that code to throttling and to a broken line alike.
var classes = map[gcerrors.ErrorCode]backends.Class{
	gcerrors.NotFound:          backends.NotFound,
	gcerrors.PermissionDenied:  backends.Denied,
	gcerrors.ResourceExhausted: backends.Throttled,
	gcerrors.Unimplemented:     backends.Unsupported,
	gcerrors.DeadlineExceeded:  backends.Transient,
}

func (s *Store) failed(op, key string, err error) error {
	return &backends.Error{Op: op, Key: key, Class: s.classOf(err), Err: err}
}

// classOf leaves Unknown what has a class already.
func (s *Store) classOf(err error) backends.Class {
	var classified *backends.Error
	if errors.As(err, &classified) {
		return backends.Unknown
	}
	if class, ok := backends.OwnClass(err); ok {
		return class
	}
	if s.hooks.Class != nil {
		if class := s.hooks.Class(err); class != backends.Unknown {
			return class
		}
	}
	return classes[gcerrors.Code(err)]
}
