package filesystem

import (
	"context"
	"errors"
	"io/fs"
	"strings"

	"github.com/regferry/regferry/backends"
)

// keptLevels is how many directories on the way to a key stay when they are
// empty: those that a registry fails without, such as docker/registry/v2/blobs.
const keptLevels = 4

// Delete removes a file together with the directories that have nothing else in
// them, but for the first four on the way. They go out of sight at once, by the
// rename of the topmost one, as they came into it: a registry serves a directory
// below tags/ as a tag. nil means durable, in groups as well.
//
// Whoever else writes into such a directory in the moment in which it is moved
// finds his file put back, and the error is Changed.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := s.delete(ctx, key); err != nil {
		return fail("delete", key, err)
	}
	return nil
}

func (s *Store) delete(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := checkKey(key); err != nil {
		return err
	}
	if err := s.queue.refuses(); err != nil {
		return err
	}
	if err := s.queue.placed(ctx, key); err != nil {
		return err
	}
	if strings.HasPrefix(key, scratchName+"/") { // a PutIf may be at it
		unlock, err := s.lockReplace(ctx)
		if err != nil && !errors.Is(err, errNoLocks) {
			return err
		}
		if err == nil {
			defer unlock()
		}
	}
	out, err := s.takeOut(key)
	switch {
	case absent(err) && s.tree.gone():
		return errRootGone
	case absent(err):
		return nil
	case err != nil:
		return inTheWay(err)
	}
	defer out.from.close()
	if err := s.drain(out); err != nil {
		return err
	}
	return out.from.sync()
}

// takenOut is what a deletion has moved out of sight.
type takenOut struct {
	key  string
	at   string // what was moved: a directory on the way to the key, or nothing but the file
	name string // where it is in scratch; empty for a file, which has gone
	from dir    // where it was
}

// takeOut moves the topmost directory that has nothing but the key in it into
// scratch, or removes the file where there is none. No Put of this store comes
// in between.
func (s *Store) takeOut(key string) (takenOut, error) {
	s.moves.Lock()
	defer s.moves.Unlock()
	out := takenOut{key: key}
	var err error
	if out.at, err = s.alone(key); err != nil {
		return out, err
	}
	if out.from, err = s.tree.openDir(parent(out.at)); err != nil {
		return out, err
	}
	if out.at == key {
		err = out.from.unlink(base(key))
	} else {
		out.name = s.scratch.next()
		err = out.from.rename(base(out.at), s.scratch.dir, out.name)
	}
	if err != nil {
		out.from.close()
	}
	return out, err
}

// alone returns the topmost directory that has nothing in it but the way to key,
// or else the key itself.
func (s *Store) alone(key string) (string, error) {
	if err := s.deletable(key); err != nil {
		return "", err
	}
	at := key
	for range strings.Count(key, "/") - keptLevels {
		d, err := s.tree.openDir(parent(at))
		if err != nil {
			return "", err
		}
		only, err := d.holdsNoOther(base(at))
		d.close()
		if err != nil {
			return "", err
		}
		if !only {
			break
		}
		at = parent(at)
	}
	return at, nil
}

// deletable is fs.ErrNotExist for a directory. A symbolic link is deleted, and
// what it leads to is not.
func (s *Store) deletable(key string) error {
	d, err := s.tree.openDir(parent(key))
	if err != nil {
		return err
	}
	defer d.close()
	st, err := d.lstat(base(key))
	if err != nil || st.kind() == isLink {
		return err
	}
	return regular(st.mode)
}

var errWritten = backends.Refuse(backends.Changed, "somebody else wrote to a directory that went with it; what he wrote was put back: list again")

// drain removes what was moved out: the file, and directories as far as they are
// empty. A file that is not the key's is never removed.
func (s *Store) drain(out takenOut) error {
	if out.name == "" {
		return nil
	}
	file := out.name + out.key[len(out.at):]
	dirs := dirsUp(file, out.name)
	for i, name := range append([]string{file}, dirs[:len(dirs)-1]...) {
		if only, err := s.holdsNoOther(dirs[i], base(name)); err != nil || !only {
			return errors.Join(err, s.putBack(out))
		}
	}
	if err := s.scratch.dir.unlink(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(err, s.putBack(out))
	}
	for _, name := range dirs {
		if s.scratch.dir.rmdir(name) == nil {
			continue
		}
		if empty, err := s.holdsNoOther(name, ""); err != nil || !empty {
			return errors.Join(err, s.putBack(out))
		}
		return nil // NFS keeps a file there that is open somewhere
	}
	return nil
}

func (s *Store) holdsNoOther(dir, name string) (bool, error) {
	d, err := s.scratch.dir.openDir(dir)
	if err != nil {
		return false, err
	}
	defer d.close()
	return d.holdsNoOther(name)
}

// dirsUp are the directories on the way from a file up to top.
func dirsUp(file, top string) (all []string) {
	for dir := parent(file); len(dir) >= len(top); dir = parent(dir) {
		all = append(all, dir)
	}
	return all
}
