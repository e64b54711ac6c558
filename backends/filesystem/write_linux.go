package filesystem

import (
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// What writing needs of a directory. Names may be paths here, and are our own.

func (d dir) create(name string, mode fs.FileMode) (*os.File, error) {
	return d.openNew(name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW, mode)
}

// update opens a file for reading and writing, and makes it if need be.
func (d dir) update(name string, mode fs.FileMode) (*os.File, error) {
	return d.openNew(name, unix.O_RDWR|unix.O_CREAT|unix.O_NOFOLLOW, mode)
}

// existing opens a file for reading and writing.
func (d dir) existing(name string) (*os.File, error) {
	return d.openNew(name, unix.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
}

func (d dir) openNew(name string, flags int, mode fs.FileMode) (*os.File, error) {
	fd, err := openat(d.fd, name, flags, mode)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path.Base(name)), nil
}

func (d dir) mkdir(name string, mode fs.FileMode) error {
	return unix.Mkdirat(d.fd, name, uint32(mode.Perm()))
}

func (d dir) chmod(name string, mode fs.FileMode) error {
	bits := uint32(mode.Perm())
	if mode&fs.ModeSetgid != 0 {
		bits |= unix.S_ISGID
	}
	return unix.Fchmodat(d.fd, name, bits, 0)
}

func (d dir) chown(name string, uid, gid int) error {
	return unix.Fchownat(d.fd, name, uid, gid, unix.AT_SYMLINK_NOFOLLOW)
}

func (d dir) rename(old string, to dir, name string) error {
	return unix.Renameat(d.fd, old, to.fd, name)
}

func (d dir) unlink(name string) error { return unix.Unlinkat(d.fd, name, 0) }

func (d dir) rmdir(name string) error { return unix.Unlinkat(d.fd, name, unix.AT_REMOVEDIR) }

func (d dir) sync() error { return unix.Fsync(d.fd) }

// datasync makes a file's bytes and size durable, but not its times.
func datasync(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }
