package filesystem

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
)

// putBack puts what was moved out where it was, and returns errWritten. What
// cannot be put back stays in .regferry, and the error says where.
func (s *Store) putBack(out takenOut) error {
	err := s.restore(item{key: out.at, name: out.name, at: out.at, synced: true})
	if err == nil {
		return errWritten
	}
	stray := strayPrefix + strings.ToLower(rand.Text())
	if e := s.scratch.dir.rename(out.name, s.scratch.dir, stray); e != nil {
		return errors.Join(err, e)
	}
	return fmt.Errorf("what others wrote to %s meanwhile could not be put back and is in %s/%s, move it from there: %w", out.at, scratchName, stray, err)
}

// restore is a rename that replaces nothing: what has come to be in the place
// of a file is newer, and a directory's content is moved into the one that is
// there.
func (s *Store) restore(it item) error {
	what, err := s.scratch.dir.lstat(it.name)
	if err != nil {
		return err
	}
	for range placeTries + strings.Count(it.key, "/") {
		if what.kind() != isDir && it.at == it.key && s.deletable(it.key) == nil {
			return s.scratch.dir.unlink(it.name)
		}
		err = s.renameOnce(it)
		taken := errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, fs.ErrExist)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, fs.ErrNotExist) && strings.Contains(it.at, "/"):
			if it, err = s.wrap(it); err != nil {
				return err
			}
		case taken && it.at != it.key:
			it = it.unwrapped()
		case taken:
			return s.restoreEach(it)
		default:
			return err
		}
	}
	return err
}

func (s *Store) restoreEach(it item) error {
	d, err := s.scratch.dir.openDir(it.name)
	if err != nil {
		return err
	}
	entries, err := d.entries(make([]byte, listBuffer))
	d.close()
	if err != nil {
		return err
	}
	for _, e := range inOrder(entries) {
		name := strings.TrimSuffix(e.name, "/")
		at := it.key + "/" + name
		if err := s.restore(item{key: at, name: it.name + "/" + name, at: at, synced: it.synced}); err != nil {
			return err
		}
	}
	return s.scratch.dir.rmdir(it.name)
}
