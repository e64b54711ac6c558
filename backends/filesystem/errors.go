package filesystem

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"

	"github.com/regferry/regferry/backends"
)

// refusal is an error of our own making, with its class.
type refusal struct {
	class backends.Class
	text  string
}

func (r *refusal) Error() string { return r.text }

// sizeError is a content that is longer or shorter than it was said to be
// (rule P3); of a longer one, only so much was read as tells.
type sizeError struct{ got, want int64 }

func (e sizeError) Error() string {
	if e.got < e.want {
		return fmt.Sprintf("the content ended after %d of %d bytes", e.got, e.want)
	}
	return fmt.Sprintf("the content goes on after %d bytes", e.want)
}

func (e sizeError) Unwrap() error {
	if e.got < e.want {
		return io.ErrUnexpectedEOF
	}
	return nil
}

// sourceError is what a content's reader said. It has the class it brings
// along, not one of this store.
type sourceError struct{ err error }

func (e sourceError) Error() string { return "reading the content: " + e.err.Error() }
func (e sourceError) Unwrap() error { return e.err }

var (
	errLinkedDirectory = &refusal{backends.Unsupported, "a directory on the way is a symbolic link, and those are not followed: mount it, or move it, in place of the link"}
	errEscapes         = &refusal{backends.Unsupported, "it is a symbolic link that is absolute, leads nowhere or leaves the root: replace it by the file itself"}
	errRootGone        = &refusal{backends.Transient, "the root directory was removed"}
)

// fail makes the error of an operation on a key. What ended because of its
// context stays unclassified.
func fail(op, key string, err error) error { return failure(op, key, err) }

func failure(op, key string, err error) *backends.Error {
	return &backends.Error{Op: op, Key: key, Class: classOf(err), Err: err}
}

func classOf(err error) backends.Class {
	var (
		r      *refusal
		number syscall.Errno
		source sourceError
		size   sizeError
	)
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.As(err, &source):
		return backends.Unknown // a class, if there is one, is further inside
	case errors.As(err, &size):
		return backends.Changed
	case errors.As(err, &r):
		return r.class
	case errors.As(err, &number) && classOfErrno(number) != backends.Unknown:
		return classOfErrno(number)
	case errors.Is(err, fs.ErrNotExist):
		return backends.NotFound
	case errors.Is(err, fs.ErrPermission):
		return backends.Denied
	}
	return backends.Unknown
}

// classOfErrno takes EMFILE and ENFILE for transient, not for a full store:
// descriptors come back as soon as other workers close theirs. ESTALE is what
// NFS says of a file that another client replaced.
func classOfErrno(number syscall.Errno) backends.Class {
	switch number {
	case syscall.ENOENT:
		return backends.NotFound
	case syscall.EACCES, syscall.EPERM, syscall.EROFS:
		return backends.Denied
	case syscall.ENOSPC, syscall.EDQUOT:
		return backends.Full
	case syscall.EIO, syscall.ESTALE, syscall.EINTR, syscall.ETIMEDOUT, syscall.EAGAIN, syscall.EMFILE, syscall.ENFILE:
		return backends.Transient
	case syscall.ENAMETOOLONG, syscall.ENOTDIR, syscall.EISDIR, syscall.ELOOP, syscall.EXDEV, syscall.EFBIG:
		return backends.Unsupported
	}
	return backends.Unknown
}

// absent says whether err means that a key to be read is not there. A file
// in the place of a directory means that too.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}
