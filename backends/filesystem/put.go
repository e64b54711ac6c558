package filesystem

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/regferry/regferry/backends"
)

// Put stores an object. In groups it is neither visible nor durable before the
// next Sync, though a full group becomes visible earlier. Contents of at least
// 1 MiB can be resumed, if they have a digest or Content.Saved is given.
func (s *Store) Put(ctx context.Context, key string, c backends.Content) (backends.Object, error) {
	it, err := s.stage(ctx, key, c)
	if err != nil {
		return backends.Object{}, putFailure(key, err)
	}
	if s.each {
		if e := s.place(it); e != nil {
			return backends.Object{}, e
		}
	} else if err := s.queue.add(ctx, it); err != nil {
		s.drop(it)
		return backends.Object{}, putFailure(key, err)
	}
	return backends.Object{Key: key, Size: c.Size}, nil
}

// stage writes the content to scratch.
func (s *Store) stage(ctx context.Context, key string, c backends.Content) (item, error) {
	if err := ctx.Err(); err != nil {
		return item{}, err
	}
	if err := checkKey(key); err != nil {
		return item{}, err
	}
	if c.Size < 0 {
		return item{}, backends.Refuse(backends.Unsupported, "the size has to be known before")
	}
	if err := s.queue.refuses(); err != nil {
		return item{}, err
	}
	exists, err := s.parentExists(key)
	if err != nil {
		return item{}, err
	}
	if c.Size >= partialMin {
		it, ok, err := s.stagePartial(ctx, key, c)
		if ok || err != nil {
			return it, err
		}
	}
	return s.stageFile(ctx, item{key: key, size: c.Size, synced: s.each}, exists, c)
}

// parentExists finds out early what rename would refuse: a file in the way of
// a directory, the reverse, or another mount.
func (s *Store) parentExists(key string) (bool, error) {
	d, err := s.tree.openDir(parent(key))
	if errors.Is(err, fs.ErrNotExist) && parent(key) != "." {
		return false, s.reachable(parent(parent(key)))
	}
	if err != nil {
		return false, inTheWay(err)
	}
	defer d.close()
	if err := s.sameMount(d, parent(key)); err != nil {
		return true, err
	}
	st, err := d.lstat(base(key))
	if err == nil && st.mode.IsDir() {
		return true, inTheWay(syscall.EISDIR)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return true, err
	}
	return true, nil
}

func inTheWay(err error) error {
	switch {
	case errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("a file is where a directory of this key has to be: %w", err)
	case errors.Is(err, syscall.EISDIR):
		return fmt.Errorf("a directory has this name: %w", err)
	case errors.Is(err, syscall.ELOOP):
		return errLinkOnTheWay
	case errors.Is(err, syscall.EXDEV):
		return fmt.Errorf("nothing can be renamed from %s into its directory, which is on another file system, mount or quota: %w", scratchName, err)
	}
	return err
}

// stageFile makes an ordinary temporary file: where the parent directory is
// missing, inside a directory that will be renamed to it.
func (s *Store) stageFile(ctx context.Context, it item, exists bool, c backends.Content) (item, error) {
	it.name, it.at = s.scratch.next(), it.key
	file := it.name
	if !exists {
		it.at, file = parent(it.key), it.name+"/"+base(it.key)
		if err := s.mkdir(it.name); err != nil {
			return item{}, err
		}
	}
	err := s.writeFile(ctx, file, it.synced, c)
	if err == nil && it.synced && !exists {
		err = s.syncDir(it.name)
	}
	if err != nil {
		s.scratch.discard(it.name)
		return item{}, err
	}
	return it, nil
}

func (s *Store) mkdir(name string) error {
	if err := s.scratch.dir.mkdir(name, s.owner.dirMode); err != nil {
		return err
	}
	return s.owner.directory(s.scratch.dir, name)
}

func (s *Store) writeFile(ctx context.Context, name string, synced bool, c backends.Content) error {
	f, err := s.scratch.dir.create(name, s.owner.fileMode)
	if err != nil {
		return err
	}
	err = copyContent(ctx, f, c)
	if err == nil {
		err = s.owner.file(f)
	}
	if err == nil && synced {
		err = f.Sync()
	}
	// close(2) is where NFS tells of a quota.
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}
