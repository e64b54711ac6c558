//go:build linux || darwin

package filesystem

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

var (
	errLocked  = errors.New("somebody else holds the lock")
	errNoLocks = errors.New("this file system has no locks")
)

// lock takes an exclusive lock on f, which the system takes back when f is
// closed or the process dies, or returns errLocked or errNoLocks.
func lock(f *os.File) error {
	for {
		switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err {
		case unix.EINTR:
		case unix.EWOULDBLOCK:
			return errLocked
		case unix.ENOLCK, unix.ENOSYS, unix.ENOTSUP, unix.EINVAL:
			return errNoLocks
		default:
			return err
		}
	}
}
