package filesystem

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/regferry/regferry/backends"
)

// item is an object in scratch, whole. Name is what stands there for at,
// which is the object's key, or a directory on the way to it that was missing.
type item struct {
	key, name, at string
	size          int64
	synced        bool     // durable by itself, with each directory on the way
	held          *os.File // an unfinished upload's lock, kept until the rename
	keep          bool     // a later run will ask for it
}

// placeTries bounds the changes around us that one rename puts up with, beside
// one for each directory on the way: a registry's garbage collection may remove
// directories that we just saw.
const placeTries = 20

// place renames an item to its key. What is missing of the way there is made
// in scratch around the item and comes into sight with it, since a registry
// serves a directory below tags/ as a tag before it has a link. Where the
// directory has come to be meanwhile, only what is in ours is moved into it.
func (s *Store) place(it item) *backends.Error {
	err := s.rename(it)
	if it.held != nil {
		it.held.Close()
	}
	if err != nil {
		return putFailure(it.key, inTheWay(err))
	}
	return nil
}

// drop lets go of items that will not be renamed. Where one cannot be removed
// the others stay, too, for Close or a later run to remove: on a mount whose
// server is away, each of them would wait for it.
func (s *Store) drop(items ...item) {
	var err error
	for _, it := range items {
		if err == nil && !it.keep {
			err = s.scratch.discard(it.name)
		}
		if it.held != nil {
			it.held.Close()
		}
	}
}

// putFailure never says that a key was not found: what is missing then is
// something that somebody else has just removed.
func putFailure(key string, err error) *backends.Error {
	e := failure("put", key, err)
	if e.Class == backends.NotFound {
		e.Class = backends.Transient
	}
	return e
}

func (s *Store) rename(it item) (err error) {
	made := []string{it.name} // what has to go if this fails
	defer func() {
		if err != nil {
			s.undo(it, made)
		}
	}()
	var emptied []string // our directories whose content was moved elsewhere
	for range placeTries + strings.Count(it.key, "/") {
		err = s.renameOnce(it)
		switch {
		case err == nil:
			for i := len(emptied) - 1; i >= 0; i-- {
				s.scratch.dir.rmdir(emptied[i])
			}
			return nil
		case errors.Is(err, fs.ErrNotExist):
			if !strings.Contains(it.at, "/") {
				return err // the root is gone, or what was in scratch
			}
			var failed error
			it, failed = s.wrap(it)
			made = append(made, it.name)
			if failed != nil {
				return failed
			}
		case it.at != it.key && (errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, fs.ErrExist)):
			emptied = append(emptied, it.name)
			it = it.unwrapped()
		default:
			return err
		}
	}
	return fmt.Errorf("the directories on the way to it change all the time: %w", err)
}

// undo removes what is left in scratch of a rename that failed, of which made[0]
// was the item. An unfinished upload that a later run will ask for goes back to
// its name; once it was moved from there, the name may be another store's.
func (s *Store) undo(it item, made []string) {
	file := it.name + it.key[len(it.at):]
	kept := it.keep && s.backTo(made[0], file)
	if kept || it.held != nil && file != made[0] {
		made = made[1:]
	}
	for _, name := range made {
		s.scratch.discard(name)
	}
}

// backTo gives an unfinished upload, which is file now, its name again and says
// whether it has it.
func (s *Store) backTo(name, file string) bool {
	if file != name {
		if _, err := s.scratch.dir.lstat(name); !errors.Is(err, fs.ErrNotExist) {
			return false
		}
		if err := s.scratch.dir.rename(file, s.scratch.dir, name); err != nil {
			return false
		}
	}
	_ = s.scratch.dir.chmod(name, 0o600) // or a mode without writing would keep the later run out
	return true
}

func (s *Store) renameOnce(it item) error {
	to, err := s.moveIn(it)
	if err != nil {
		return err
	}
	defer to.close()
	if it.synced {
		return to.sync()
	}
	return nil
}

// moveIn renames an item into its directory, which it returns. Between its
// opening and the rename no Delete moves that directory out: the item would go
// with it.
func (s *Store) moveIn(it item) (dir, error) {
	s.moves.RLock()
	defer s.moves.RUnlock()
	to, err := s.tree.openDir(parent(it.at))
	if err != nil {
		return dir{}, err
	}
	if err := s.scratch.dir.rename(it.name, to, base(it.at)); err != nil {
		to.close()
		return dir{}, err
	}
	return to, nil
}

// wrap makes the parent of what the item stands for, around it.
func (s *Store) wrap(it item) (item, error) {
	outer := s.scratch.next()
	if err := s.mkdir(outer); err != nil {
		return it, err
	}
	if err := s.scratch.dir.rename(it.name, s.scratch.dir, outer+"/"+base(it.at)); err != nil {
		s.scratch.dir.rmdir(outer)
		return it, err
	}
	it.name, it.at = outer, parent(it.at)
	if it.synced {
		return it, s.syncDir(outer)
	}
	return it, nil
}

// unwrapped is the item without its outermost directory.
func (it item) unwrapped() item {
	next, _, _ := strings.Cut(it.key[len(it.at)+1:], "/")
	it.name += "/" + next
	it.at += "/" + next
	return it
}

func (s *Store) syncDir(name string) error {
	d, err := s.scratch.dir.openDir(name)
	if err != nil {
		return err
	}
	defer d.close()
	return d.sync()
}
