package filesystem

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/regferry/regferry/backends"
)

// A tree is a root directory. Paths are resolved by the kernel, in one call,
// with openat2: below the root and through no symbolic link. Where a
// container's system call filter refuses openat2, they are walked.
type tree struct {
	dir
	root    *os.Root // for what is rare: symbolic links, removing whole trees
	top     *os.File // keeps the descriptor of dir
	openat2 bool
}

// A dir is an open directory; names are relative to it.
type dir struct{ fd int }

func openTree(path string) (*tree, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	top, err := root.Open(".")
	if err != nil {
		root.Close()
		return nil, err
	}
	t := &tree{dir: dir{int(top.Fd())}, root: root, top: top, openat2: true}
	fd, err := t.open(".", unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		t.openat2 = false
		return t, nil
	}
	unix.Close(fd)
	return t, nil
}

func (t *tree) close() error { return errors.Join(t.top.Close(), t.root.Close()) }

// gone says whether the root was removed, in which case each name in it is
// absent and a listing of it is not to be believed.
func (t *tree) gone() bool {
	var st unix.Stat_t
	return unix.Fstat(t.fd, &st) != nil || st.Nlink == 0
}

// open opens what a path names. A symbolic link anywhere in it is ELOOP.
func (t *tree) open(path string, flags int) (int, error) {
	if !t.openat2 {
		return t.walk(path, flags)
	}
	how := unix.OpenHow{
		Flags:   uint64(flags | unix.O_CLOEXEC),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	}
	for tries := 0; ; tries++ {
		fd, err := unix.Openat2(t.fd, path, &how)
		// EAGAIN: something was renamed meanwhile, so the kernel cannot prove
		// that the path stays below the root. Bounded, since it is also what
		// opening without blocking says of a file that Samba has a lease on.
		if err != unix.EINTR && (err != unix.EAGAIN || tries > 100) {
			return fd, err
		}
	}
}

// walk does the same by one open for each component.
func (t *tree) walk(path string, flags int) (int, error) {
	at := dir{t.fd}
	for {
		name, rest, more := strings.Cut(path, "/")
		how := flags | unix.O_NOFOLLOW
		if more {
			how = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW
		}
		fd, err := openat(at.fd, name, how, 0)
		if err == unix.ENOTDIR {
			// O_DIRECTORY hides that it is a link.
			if st, e := at.lstat(name); e == nil && st.mode&fs.ModeSymlink != 0 {
				err = unix.ELOOP
			}
		}
		if at.fd != t.fd {
			at.close()
		}
		if err != nil || !more {
			return fd, err
		}
		at, path = dir{fd}, rest
	}
}

func (t *tree) openDir(path string) (dir, error) {
	fd, err := t.open(path, unix.O_RDONLY|unix.O_DIRECTORY)
	return dir{fd}, err
}

func (t *tree) stat(path string) (info, error) {
	// O_NOFOLLOW is for walk: O_PATH alone would follow the last component.
	fd, err := t.open(path, unix.O_PATH)
	if err != nil {
		return info{}, err
	}
	defer unix.Close(fd)
	st, err := fstat(fd)
	if err == nil && st.mode&fs.ModeSymlink != 0 {
		err = unix.ELOOP
	}
	return st, err
}

// openFile does not block on a pipe that nobody writes to.
func (t *tree) openFile(path string) (*os.File, info, error) {
	fd, err := t.open(path, unix.O_RDONLY|unix.O_NONBLOCK)
	if err == unix.ENXIO { // a socket
		st, err := t.stat(path)
		if err == nil {
			err = regular(st.mode)
		}
		return nil, st, err
	}
	if err != nil {
		return nil, info{}, err
	}
	st, err := fstat(fd)
	if err == nil {
		err = regular(st.mode)
	}
	if err != nil {
		unix.Close(fd)
		return nil, info{}, err
	}
	return os.NewFile(uintptr(fd), path), st, nil
}

func openat(at int, name string, flags int, mode fs.FileMode) (int, error) {
	for {
		fd, err := unix.Openat(at, name, flags|unix.O_CLOEXEC, uint32(mode.Perm()))
		if err != unix.EINTR {
			return fd, err
		}
	}
}

func (d dir) close() { unix.Close(d.fd) }

// openDir opens one name, which must be a directory itself.
func (d dir) openDir(name string) (dir, error) {
	fd, err := openat(d.fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	return dir{fd}, err
}

// entries returns everything in a directory, unsorted, some of it twice if the
// file system does so; buf is scratch for the kernel's answers, at least 4 KiB.
func (d dir) entries(buf []byte) ([]entry, error) {
	var list []entry
	for {
		n, err := unix.Getdents(d.fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			return list, err
		}
		if list, err = d.parse(list, buf[:n]); err != nil {
			return nil, err
		}
	}
}

// holdsNoOther says whether a directory that was just opened has nothing but
// name, if that. It reads no more of a large one than it needs to.
func (d dir) holdsNoOther(name string) (bool, error) {
	buf := make([]byte, 4<<10)
	for {
		n, err := unix.Getdents(d.fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n <= 0 {
			return err == nil, err
		}
		list, err := d.parse(nil, buf[:n])
		if err != nil || hasOther(list, name) {
			return false, err
		}
	}
}

// parse reads records of struct linux_dirent64: inode, offset (8 bytes each),
// length of the record (2), type (1), name, a zero byte, padding. An inode of 0
// is no sign of a name that is gone: FUSE and an old XFS have it for good ones.
func (d dir) parse(list []entry, b []byte) ([]entry, error) {
	for len(b) > 0 {
		record, name := firstRecord(b)
		if record == nil {
			return nil, errBrokenRecord
		}
		b = b[len(record):]
		if string(name) == "." || string(name) == ".." {
			continue
		}
		e := entry{kind: kindOf(record[18])}
		if record[18] == unix.DT_UNKNOWN { // some file systems do not say
			st, err := d.lstat(string(name))
			if err == unix.ENOENT {
				continue
			}
			if err != nil {
				return nil, err
			}
			e.kind = st.kind()
		}
		if e.kind == isDir {
			name = name[:len(name)+1]
			name[len(name)-1] = '/'
		}
		e.name = string(name)
		list = append(list, e)
	}
	return list, nil
}

var errBrokenRecord = backends.Refuse(backends.Transient, "the system's answer to what is in a directory cannot be read")

// firstRecord is what b begins with, and the name in it, which a byte follows;
// nil for what is no record.
func firstRecord(b []byte) (record, name []byte) {
	const header = 19
	if len(b) < header {
		return nil, nil
	}
	size := int(binary.NativeEndian.Uint16(b[16:]))
	if size <= header || size > len(b) {
		return nil, nil
	}
	n := bytes.IndexByte(b[header:size], 0)
	if n <= 0 {
		return nil, nil
	}
	return b[:size], b[header : header+n]
}

func kindOf(direntType byte) kind {
	switch direntType {
	case unix.DT_DIR:
		return isDir
	case unix.DT_REG:
		return isFile
	case unix.DT_LNK:
		return isLink
	}
	return isOther
}

func (d dir) lstat(name string) (info, error) {
	var st unix.Stat_t
	for {
		err := unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
		if err == nil {
			return infoOf(&st), nil
		}
		if err != unix.EINTR {
			return info{}, err
		}
	}
}

// A mountID is equal for two directories between which the kernel renames: those
// of one file system (of btrfs, one subvolume), if they are of one mount.
type mountID struct{ device, mount uint64 } // mount is 0 before Linux 5.8

func (d dir) mountID() (mountID, error) {
	var st unix.Statx_t
	for {
		err := unix.Statx(d.fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, unix.STATX_MNT_ID, &st)
		switch err {
		case nil:
		case unix.EINTR:
			continue
		case unix.ENOSYS, unix.EPERM: // an old kernel, or a container's system call filter
			st, err := fstat(d.fd)
			return mountID{device: st.dev}, err
		default:
			return mountID{}, err
		}
		id := mountID{device: unix.Mkdev(st.Dev_major, st.Dev_minor)}
		if st.Mask&unix.STATX_MNT_ID != 0 {
			id.mount = st.Mnt_id
		}
		return id, nil
	}
}

func fstat(fd int) (info, error) {
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	return infoOf(&st), err
}

func fileInfo(f *os.File) (info, error) { return fstat(int(f.Fd())) }

func infoOf(st *unix.Stat_t) info {
	i := info{size: st.Size, mtime: time.Unix(st.Mtim.Unix()), uid: int(st.Uid), gid: int(st.Gid), ino: st.Ino, dev: uint64(st.Dev)}
	i.mode = fs.FileMode(st.Mode & 0o777)
	if st.Mode&unix.S_ISGID != 0 {
		i.mode |= fs.ModeSetgid
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		i.mode |= fs.ModeDir
	case unix.S_IFLNK:
		i.mode |= fs.ModeSymlink
	case unix.S_IFIFO:
		i.mode |= fs.ModeNamedPipe
	case unix.S_IFSOCK:
		i.mode |= fs.ModeSocket
	case unix.S_IFBLK, unix.S_IFCHR:
		i.mode |= fs.ModeDevice
	}
	return i
}
