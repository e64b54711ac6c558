//go:build !linux

package filesystem

import (
	"io/fs"
	"os"
	"path"
	"runtime"
	"syscall"
)

// A tree is a root directory. Off Linux all goes through os.Root, one system
// call for each component of a path.
type tree struct {
	dir
	root *os.Root
}

// A dir is a directory below the root; at is its path there.
type dir struct {
	root *os.Root
	at   string
}

func openTree(path string) (*tree, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return &tree{dir: dir{root, "."}, root: root}, nil
}

func (t *tree) close() error { return t.root.Close() }

func (t *tree) gone() bool {
	_, err := os.Stat(t.root.Name())
	return err != nil
}

// plain is ELOOP where a component of a path is a symbolic link. Between this
// and the use of the path somebody may put one there; os.Root still keeps that
// inside the root.
func (t *tree) plain(name string) error {
	for i := 0; i <= len(name); i++ {
		if i < len(name) && name[i] != '/' {
			continue
		}
		st, err := t.root.Lstat(name[:i])
		if err != nil {
			return err
		}
		if st.Mode()&fs.ModeSymlink != 0 {
			return syscall.ELOOP
		}
		if i < len(name) && !st.IsDir() {
			return syscall.ENOTDIR
		}
	}
	return nil
}

func (t *tree) openDir(name string) (dir, error) {
	if err := t.plain(name); err != nil {
		return dir{}, err
	}
	st, err := t.root.Lstat(name)
	if err == nil && !st.IsDir() {
		err = syscall.ENOTDIR
	}
	return dir{t.root, name}, err
}

func (t *tree) stat(name string) (info, error) {
	if err := t.plain(name); err != nil {
		return info{}, err
	}
	return t.lstat(name)
}

func (t *tree) openFile(name string) (*os.File, info, error) {
	st, err := t.stat(name)
	if err == nil {
		err = regular(st.mode)
	}
	if err != nil {
		return nil, info{}, err
	}
	f, err := t.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, info{}, err
	}
	if st, err = fileInfo(f); err != nil {
		f.Close()
		return nil, info{}, err
	}
	return f, st, nil
}

func (d dir) close() {}

func (d dir) path(name string) string { return path.Join(d.at, name) }

func (d dir) openDir(name string) (dir, error) {
	st, err := d.lstat(name)
	if err == nil && !st.mode.IsDir() {
		err = syscall.ENOTDIR
	}
	return dir{d.root, d.path(name)}, err
}

func (d dir) entries([]byte) ([]entry, error) {
	f, err := d.root.Open(d.at)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all, err := f.ReadDir(-1)
	list := make([]entry, len(all))
	for i, a := range all {
		list[i] = entry{a.Name(), info{mode: a.Type()}.kind()}
		if list[i].kind == isDir {
			list[i].name += "/"
		}
	}
	return list, err
}

func (d dir) holdsNoOther(name string) (bool, error) {
	list, err := d.entries(nil)
	return err == nil && !hasOther(list, name), err
}

func (d dir) lstat(name string) (info, error) {
	st, err := d.root.Lstat(d.path(name))
	if err != nil {
		return info{}, err
	}
	return infoOf(st), nil
}

// A mountID is equal for two directories of one file system.
type mountID struct{ device uint64 }

func (d dir) mountID() (mountID, error) {
	st, err := d.lstat(".")
	return mountID{st.dev}, err
}

func fileInfo(f *os.File) (info, error) {
	st, err := f.Stat()
	if err != nil {
		return info{}, err
	}
	return infoOf(st), nil
}

func (d dir) create(name string, mode fs.FileMode) (*os.File, error) {
	return d.root.OpenFile(d.path(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
}

func (d dir) update(name string, mode fs.FileMode) (*os.File, error) {
	return d.root.OpenFile(d.path(name), os.O_RDWR|os.O_CREATE, mode)
}

func (d dir) existing(name string) (*os.File, error) {
	return d.root.OpenFile(d.path(name), os.O_RDWR|syscall.O_NONBLOCK, 0)
}

func (d dir) mkdir(name string, mode fs.FileMode) error { return d.root.Mkdir(d.path(name), mode) }
func (d dir) chmod(name string, mode fs.FileMode) error { return d.root.Chmod(d.path(name), mode) }
func (d dir) chown(name string, uid, gid int) error     { return d.root.Lchown(d.path(name), uid, gid) }
func (d dir) unlink(name string) error                  { return d.root.Remove(d.path(name)) }
func (d dir) rmdir(name string) error                   { return d.root.Remove(d.path(name)) }

// rename asks first, since Windows would replace a file by a directory.
func (d dir) rename(old string, to dir, name string) error {
	there, err := to.lstat(name)
	if err == nil {
		here, err := d.lstat(old)
		switch {
		case err != nil:
			return err
		case here.mode.IsDir() && there.mode.IsDir():
			// As on Linux: an empty directory is replaced.
			if to.rmdir(name) != nil {
				return syscall.ENOTEMPTY
			}
		case here.mode.IsDir():
			return syscall.ENOTDIR
		case there.mode.IsDir():
			return syscall.EISDIR
		}
	}
	return d.root.Rename(d.path(old), to.path(name))
}

// sync makes the names in a directory durable where the system can; Windows
// cannot open one for that.
func (d dir) sync() error {
	f, err := d.root.Open(d.at)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil && runtime.GOOS != "windows" {
		return err
	}
	return nil
}

func datasync(f *os.File) error { return f.Sync() }
