package filesystem

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"syscall"

	"github.com/regferry/regferry/backends"
)

// Reader reads a directory as a store. It has no method that writes, and
// makes nothing. It is safe for concurrent use.
type Reader struct {
	tree     *tree
	path     string      // absolute, without symbolic links
	was      os.FileInfo // of path when it was opened
	location string
}

var (
	_ backends.ReadStore = (*Reader)(nil)
	_ backends.Spacer    = (*Reader)(nil)
)

// OpenReader opens a directory, which must exist. The options are those of
// writing; a reader needs none.
func OpenReader(dir string, _ Options) (*Reader, error) {
	return openReader(dir)
}

func openReader(name string) (*Reader, error) {
	path, err := filepath.Abs(name)
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return nil, fail("open", "", err)
	}
	t, err := openTree(path)
	if err != nil {
		return nil, fail("open", "", err)
	}
	was, err := os.Stat(path)
	if err != nil {
		return nil, fail("open", "", errors.Join(err, t.close()))
	}
	slashed := filepath.ToSlash(path)
	if slashed[0] != '/' {
		slashed = "/" + slashed
	}
	u := url.URL{Scheme: "file", Path: slashed}
	return &Reader{tree: t, path: path, was: was, location: u.String()}, nil
}

// Location is "file://" and the absolute path without symbolic links, written
// as a URL.
func (r *Reader) Location() string { return r.location }

// InPlace is nil while the path still leads to the directory that was opened. It
// may have been moved, or something mounted over it: what is open stays readable,
// and is not what anybody means by the path any more.
func (r *Reader) InPlace(context.Context) error {
	now, err := os.Stat(r.path)
	if err != nil {
		return fail("open", "", err)
	}
	if !os.SameFile(r.was, now) {
		return &backends.Error{Op: "open", Class: backends.Changed, Err: errors.New(r.path + " is another directory than when it was opened")}
	}
	return nil
}

// Close lets go of the directory; bodies that are open stay so.
func (r *Reader) Close() error { return r.tree.close() }

// Stat returns size and time of a regular file, or of one inside the root
// that a symbolic link names.
func (r *Reader) Stat(ctx context.Context, key string) (backends.Object, error) {
	if err := ctx.Err(); err != nil {
		return backends.Object{}, fail("stat", key, err)
	}
	if err := checkKey(key); err != nil {
		return backends.Object{}, fail("stat", key, err)
	}
	st, err := r.tree.stat(key)
	if errors.Is(err, syscall.ELOOP) {
		if err = r.linked(key); err == nil {
			st, err = r.followed(key)
		}
	}
	if err == nil {
		err = regular(st.mode)
	}
	if err != nil {
		return backends.Object{}, fail("stat", key, reading(err))
	}
	return backends.Object{Key: key, Size: st.size, ModTime: st.mtime}, nil
}

// Open opens what Stat describes. A body yields what the file holds, also
// bytes that were added after it was opened, so that a digest sees them; if it
// ends before the size it had then, the error is Changed and wraps
// io.ErrUnexpectedEOF.
func (r *Reader) Open(ctx context.Context, key string, offset int64) (backends.Body, error) {
	if err := ctx.Err(); err != nil {
		return backends.Body{}, fail("open", key, err)
	}
	if err := checkKey(key); err != nil {
		return backends.Body{}, fail("open", key, err)
	}
	f, st, err := r.tree.openFile(key)
	if errors.Is(err, syscall.ELOOP) {
		if err = r.linked(key); err == nil {
			f, st, err = r.openFollowed(key)
		}
	}
	if err != nil {
		return backends.Body{}, fail("open", key, reading(err))
	}
	o := backends.Object{Key: key, Size: st.size, ModTime: st.mtime}
	return newBody(ctx, f, o, offset)
}

// linked returns nil if only the last component of key is a symbolic link.
// One to a directory is not followed, because a listing does not descend into
// it: it could be a loop, or list the same objects twice.
func (r *Reader) linked(key string) error {
	d, err := r.tree.openDir(parent(key))
	if errors.Is(err, syscall.ELOOP) {
		return errLinkedDirectory
	}
	if err == nil {
		d.close()
	}
	return err
}

// followed is stat through the symbolic link key, which os.Root keeps inside.
func (r *Reader) followed(key string) (info, error) {
	st, err := r.tree.root.Stat(key)
	if err != nil {
		return info{}, r.unfollowed(key, err)
	}
	if st.IsDir() {
		return info{}, errLinkedDirectory
	}
	return info{size: st.Size(), mtime: st.ModTime(), mode: st.Mode()}, nil
}

func (r *Reader) openFollowed(key string) (*os.File, info, error) {
	// The type first: to open a pipe for reading would let its writer go on.
	if st, err := r.followed(key); err != nil {
		return nil, info{}, err
	} else if err := regular(st.mode); err != nil {
		return nil, info{}, err
	}
	f, err := r.tree.root.OpenFile(key, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, info{}, r.unfollowed(key, err)
	}
	st, err := fileInfo(f)
	if err == nil {
		err = regular(st.mode)
	}
	if err != nil {
		f.Close()
		return nil, info{}, err
	}
	return f, st, nil
}

// unfollowed is the error for a link that cannot be followed, unless the
// trouble is another, or the link itself vanished.
func (r *Reader) unfollowed(key string, err error) error {
	if class := classOf(err); class == backends.Denied || class == backends.Transient {
		return err
	}
	if _, gone := r.tree.root.Lstat(key); gone != nil {
		return gone
	}
	return errEscapes
}

// reading is the error of a key that is only read: where a file is in the
// way of a directory, the key is absent and nothing else is wrong.
func reading(err error) error {
	if absent(err) {
		return syscall.ENOENT
	}
	return err
}
