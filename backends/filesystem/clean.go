package filesystem

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"
)

// deadAfter is for what has no lock: on file systems without them, and in the
// moment between the making of a directory and its locking, only age tells.
const deadAfter = 24 * time.Hour

// Clean removes from scratch the directories of stores that no longer run and
// the unfinished uploads that are neither in keep nor being written. It touches
// nothing whose name this package would not give, and follows no link.
func (s *Store) Clean(ctx context.Context, keep map[string]bool) (int, error) {
	dead, err := s.cleanEach(ctx, "", s.cleanOwn)
	if err != nil {
		return dead, fail("clean", "", err)
	}
	uploads, err := s.cleanEach(ctx, partialName, func(e entry) (bool, error) {
		return s.cleanPartial(e, keep)
	})
	if err != nil {
		return dead + uploads, fail("clean", "", err)
	}
	return dead + uploads, nil
}

func (s *Store) cleanEach(ctx context.Context, name string, clean func(entry) (bool, error)) (int, error) {
	d, err := s.tree.openDir(strings.TrimSuffix(scratchName+"/"+name, "/"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer d.close()
	entries, err := d.entries(make([]byte, listBuffer))
	if err != nil {
		return 0, err
	}
	removed := 0
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return removed, err
		}
		ok, err := clean(e)
		if err != nil {
			return removed, err
		}
		if ok {
			removed++
		}
	}
	return removed, nil
}

func (s *Store) cleanOwn(e entry) (bool, error) {
	name := strings.TrimSuffix(e.name, "/")
	random, ok := strings.CutPrefix(name, ownPrefix)
	if e.kind != isDir || !ok || name == s.scratch.own || len(random) < 20 || strings.Trim(random, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return false, nil
	}
	f, dead, err := s.lockDead(name+"/"+lockName, name)
	if f != nil {
		defer f.Close()
	}
	if err != nil || !dead {
		return false, err
	}
	return true, s.scratch.removeOwn(name, f)
}

func (s *Store) cleanPartial(e entry, keep map[string]bool) (bool, error) {
	if e.kind != isFile || keep[e.name] || !isPartial(e.name) {
		return false, nil
	}
	path := partialName + "/" + e.name
	f, dead, err := s.lockDead(path, path)
	if f != nil {
		defer f.Close()
	}
	if err != nil || !dead || f != nil && !s.scratch.names(path, f) {
		return false, err
	}
	return true, s.scratch.dir.unlink(path)
}

// lockDead locks a file of whoever does not run any more; aged is what to
// judge by where that cannot be told. The file, if any, stays locked until it
// is closed.
func (s *Store) lockDead(name, aged string) (*os.File, bool, error) {
	f, err := s.scratch.dir.existing(name)
	if err == nil {
		err = lock(f)
	}
	switch {
	case err == nil:
		return f, true, nil
	case errors.Is(err, errLocked):
		return f, false, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errNoLocks):
		st, err := s.scratch.dir.lstat(aged)
		if errors.Is(err, fs.ErrNotExist) {
			return f, false, nil
		}
		return f, err == nil && time.Since(st.mtime) > deadAfter, err
	case errors.Is(err, syscall.ELOOP), errors.Is(err, fs.ErrPermission):
		return f, false, nil // not ours
	}
	return f, false, err
}
