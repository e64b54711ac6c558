package filesystem

import (
	"errors"
	"io/fs"
	"syscall"

	"github.com/regferry/regferry/backends"
)

var (
	errLinkedDirectory = backends.Refuse(backends.Unsupported, "a directory on the way is a symbolic link, and those are not followed: mount it, or move it, in place of the link")
	errEscapes         = backends.Refuse(backends.Unsupported, "it is a symbolic link that is absolute, leads nowhere or leaves the root: replace it by the file itself")
	errLinkOnTheWay    = backends.Refuse(backends.Unsupported, "a directory on the way is a symbolic link, and those are not followed: move what it leads to in place of the link; what is mounted there cannot be written either")
	errCasesAreOne     = backends.Refuse(backends.Unsupported, "the file system takes V1 and v1 for one name, and a registry has both as tags: take a directory that tells cases apart (on ext4 one without chattr +F, on ZFS a data set with casesensitivity=sensitive; what SMB serves often does not)")
	errRootGone        = backends.Refuse(backends.Transient, "the root directory was removed")
)

// fail makes the error of an operation on a key. What ended because of its
// context stays unclassified.
func fail(op, key string, err error) error { return failure(op, key, err) }

func failure(op, key string, err error) *backends.Error {
	return &backends.Error{Op: op, Key: key, Class: classOf(err), Err: err}
}

func classOf(err error) backends.Class {
	if class, ok := backends.OwnClass(err); ok {
		return class
	}
	var number syscall.Errno
	switch {
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
// NFS says of a file that another client replaced; ENOTCONN is what FUSE says
// whose program has died, and the others come of network file systems.
func classOfErrno(number syscall.Errno) backends.Class {
	switch number {
	case syscall.ENOENT:
		return backends.NotFound
	case syscall.EACCES, syscall.EPERM, syscall.EROFS:
		return backends.Denied
	case syscall.ENOSPC, syscall.EDQUOT:
		return backends.Full
	case syscall.EIO, syscall.ESTALE, syscall.EINTR, syscall.ETIMEDOUT, syscall.EAGAIN, syscall.EMFILE, syscall.ENFILE,
		syscall.ENOTCONN, syscall.ECONNABORTED, syscall.ECONNREFUSED, syscall.ECONNRESET,
		syscall.EHOSTDOWN, syscall.EHOSTUNREACH, syscall.ENETDOWN, syscall.ENETUNREACH:
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
