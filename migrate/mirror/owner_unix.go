//go:build unix

package mirror

import (
	"errors"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// giveAway lets the owner of the state's directory have a file in it, where root
// does what is else done by a service with a user of its own.
func giveAway(f *os.File) error {
	if os.Geteuid() != 0 {
		return nil
	}
	var dir, file unix.Stat_t
	if err := errors.Join(unix.Stat(filepath.Dir(f.Name()), &dir), unix.Fstat(int(f.Fd()), &file)); err != nil {
		return err
	}
	// Of a file with two names one may be elsewhere, and the directory is not root's.
	if dir.Uid == 0 || file.Uid != 0 || file.Nlink != 1 || file.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil
	}
	return f.Chown(int(dir.Uid), int(dir.Gid))
}

// giveAwayAll is for what others make there, too, such as the checkpoint.
func giveAwayAll(dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		f, err := os.OpenFile(filepath.Join(dir, e.Name()), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
		if err != nil {
			continue // a link, or gone
		}
		if err := errors.Join(giveAway(f), f.Close()); err != nil {
			return err
		}
	}
	return nil
}
