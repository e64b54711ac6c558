package bucket

import (
	"context"
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

func failed(op, key string, err error) error {
	return &backends.Error{Op: op, Key: key, Class: classOf(err), Err: err}
}

// classOf leaves Unknown what is the caller's own context, and what has a class
// already.
func classOf(err error) backends.Class {
	var classified *backends.Error
	if errors.Is(err, context.Canceled) || errors.As(err, &classified) {
		return backends.Unknown
	}
	return classes[gcerrors.Code(err)]
}
