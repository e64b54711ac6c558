package filesystem

import (
	"context"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/regferry/regferry/backends"
)

// Space asks the file system; Free is what users other than root may use.
func (s *Reader) Space(ctx context.Context) (backends.Space, error) {
	if err := ctx.Err(); err != nil {
		return backends.Space{}, err
	}
	st, err := s.tree.statfs()
	if err != nil {
		return backends.Space{}, fail("stat", "", err)
	}
	unit := st.Frsize
	if unit <= 0 {
		unit = st.Bsize
	}
	space := backends.Space{
		Total: int64(st.Blocks) * unit, Used: int64(st.Blocks-st.Bfree) * unit, Free: int64(st.Bavail) * unit, FreeFiles: -1,
	}
	if st.Files > 0 { // btrfs says 0
		space.FreeFiles = int64(st.Ffree)
	}
	return space, nil
}

func (t *tree) statfs() (st unix.Statfs_t, err error) {
	for {
		if err = unix.Fstatfs(t.fd, &st); err != unix.EINTR {
			return st, err
		}
	}
}

// syncfs writes back the whole file system, other programs' data too.
func (t *tree) syncfs() error {
	for {
		if err := unix.Syncfs(t.fd); err != unix.EINTR {
			return err
		}
	}
}

// drain has written on NFS what earlier writers left behind, a run that ended
// while the server was away say, and takes no notice of the outcome: their locks
// are lost by then, so it is an error, and the first group would be said to have
// failed. What it says is not of this store. Elsewhere it might be of a rename
// of theirs that is in sight, so it is not asked for.
func (t *tree) drain() {
	if st, err := t.statfs(); err == nil && uint32(st.Type) == unix.NFS_SUPER_MAGIC {
		_ = t.syncfs()
	}
}

// OpenZFS is not in the kernel's list of numbers.
const zfsMagic = 0x2FC12FC1

// groupSync says whether syncfs can be relied on: since Linux 5.8 it returns
// the errors of writing back, on the file systems listed here. On others, an
// overlay or FUSE, it may do nothing at all. Those of the commit that ends it
// are returned since 5.17: before that, see syncJournal, only what has a journal
// that is written in order can be relied on, or what has none.
func (t *tree) groupSync(forced bool) (bool, error) {
	if forced {
		return true, nil
	}
	if !since(kernel(), 5, 8) {
		return false, nil
	}
	st, err := t.statfs()
	if err != nil {
		return false, err
	}
	switch uint32(st.Type) {
	case unix.EXT4_SUPER_MAGIC, // of ext2 and ext3 too
		unix.XFS_SUPER_MAGIC, unix.TMPFS_MAGIC, unix.NFS_SUPER_MAGIC:
		return true, nil
	case unix.BTRFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC, zfsMagic:
		return syncfsTells(), nil
	}
	return false, nil
}

// syncfsTells says whether syncfs returns the errors of the journal.
func syncfsTells() bool { return since(kernel(), 5, 17) }

func kernel() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

// since reads "6.1.0-28-amd64".
func since(release string, major, minor int) bool {
	first, rest, _ := strings.Cut(release, ".")
	second := rest[:len(rest)-len(strings.TrimLeft(rest, "0123456789"))]
	is, err := strconv.Atoi(first)
	if err != nil {
		return false
	}
	of, err := strconv.Atoi(second)
	return err == nil && (is > major || is == major && of >= minor)
}

// syncJournal has the journal written up to a change of the store's own
// directory. It is written in order, and not at all after an error, so when that
// went well all that was changed before is there, too.
func (s *scratch) syncJournal() error {
	now := []unix.Timespec{{Nsec: unix.UTIME_NOW}, {Nsec: unix.UTIME_NOW}}
	if err := unix.UtimesNanoAt(s.dir.fd, s.own, now, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	d, err := s.dir.openDir(s.own)
	if err != nil {
		return err
	}
	defer d.close()
	return d.sync()
}
