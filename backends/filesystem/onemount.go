package filesystem

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/regferry/regferry/backends"
)

// usual are the directories of a registry of which one, or one above it, may be
// a mount or a subvolume of its own.
var usual = [...]string{"docker/registry/v2/blobs/sha256", "docker/registry/v2/repositories"}

// oneMount refuses a root that has one of them on another mount than scratch:
// nothing can be renamed to it, not even between two mounts of one file system,
// so that each object there would fail by itself. What else is wrong with them
// is left to the objects.
func (s *Store) oneMount() (err error) {
	if s.mount, err = s.scratch.dir.mountID(); err != nil {
		return err
	}
	for _, name := range usual {
		d, at, err := s.nearest(name)
		if err != nil {
			continue
		}
		err = s.sameMount(d, at)
		d.close()
		if err != nil {
			return err
		}
	}
	return nil
}

// reachable is nil if things can be renamed into what there is of a directory
// and those on the way to it.
func (s *Store) reachable(name string) error {
	d, at, err := s.nearest(name)
	if err != nil {
		return inTheWay(err)
	}
	defer d.close()
	return s.sameMount(d, at)
}

// nearest opens a directory or, where it is missing, the last one that there is
// on the way to it.
func (s *Store) nearest(name string) (d dir, at string, err error) {
	for {
		d, err = s.tree.openDir(name)
		if name == "." || !errors.Is(err, fs.ErrNotExist) {
			return d, name, err
		}
		name = parent(name)
	}
}

// sameMount refuses an open directory that nothing can be renamed to.
func (s *Store) sameMount(d dir, at string) error {
	id, err := d.mountID()
	if err != nil || id == s.mount {
		return err
	}
	where := backends.Printable(filepath.Join(s.path, s.topmost(at)))
	return backends.Refuse(backends.Unsupported, fmt.Sprintf("%s is a mount or a subvolume of its own, and nothing can be renamed to it from %s, where all is made whole: have everything below the root on one file system until the migration is done",
		where, scratchName))
}

// topmost is the first directory on the way to one on another mount that is
// not on scratch's.
func (s *Store) topmost(at string) string {
	for i := range len(at) {
		if at[i] != '/' {
			continue
		}
		d, err := s.tree.openDir(at[:i])
		if err != nil {
			return at
		}
		id, err := d.mountID()
		d.close()
		if err == nil && id != s.mount {
			return at[:i]
		}
	}
	return at
}
