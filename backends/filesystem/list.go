package filesystem

import (
	"context"
	"errors"
	"iter"
	"strings"
	"syscall"

	"github.com/regferry/regferry/backends"
)

// maxDepth bounds the descriptors that a listing holds. A registry's keys
// have some fifteen components; what is deeper is listed as one odd object.
const maxDepth = 200

// listBuffer is for the kernel's answers: some 300 names of blobs.
const listBuffer = 32 << 10

// List yields the regular files below the root in the order of the contract.
// A directory is read whole and sorted, so that memory holds the names of the
// directories on the way to the current key. What is neither a regular file,
// nor a directory, nor a symbolic link to such a file inside the root, is
// listed with size -1. A file or directory that vanishes meanwhile is skipped;
// one that cannot be read ends the listing with an error. The directory of
// unfinished work at the top is not listed.
func (r *Reader) List(ctx context.Context, prefix, after string) iter.Seq2[backends.Object, error] {
	return func(yield func(backends.Object, error) bool) {
		start := prefix[:strings.LastIndexByte(prefix, '/')+1]
		at, within := ".", strings.TrimSuffix(start, "/")
		if start != "" {
			at = within
			if within == scratchName || strings.HasPrefix(within, scratchName+"/") || checkKey(within) != nil {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(backends.Object{}, fail("list", within, err))
			return
		}
		d, err := r.tree.openDir(at)
		if err != nil {
			if err = r.unlistable(err); err != nil {
				yield(backends.Object{}, fail("list", within, err))
			}
			return
		}
		defer d.close()
		l := listing{r: r, ctx: ctx, prefix: prefix, after: after, yield: yield, buf: make([]byte, listBuffer)}
		l.walk(d, start, 0)
	}
}

// unlistable returns nil if err means that there is nothing to list, which
// must not be said of a root that was unmounted or removed, nor of a tree that
// lies behind a symbolic link.
func (r *Reader) unlistable(err error) error {
	switch {
	case absent(err) && r.tree.gone():
		return errRootGone
	case absent(err):
		return nil
	case errors.Is(err, syscall.ELOOP):
		return errLinkedDirectory
	}
	return err
}

type listing struct {
	r             *Reader
	ctx           context.Context
	prefix, after string
	yield         func(backends.Object, error) bool
	buf           []byte
}

// walk lists the open directory at, which ends in "/" unless it is the root,
// and says whether to go on.
func (l *listing) walk(d dir, at string, depth int) bool {
	entries, err := d.entries(l.buf)
	if err == nil && at == "" && len(entries) == 0 && l.r.tree.gone() {
		err = errRootGone
	}
	if err != nil {
		if depth > 0 && absent(err) {
			return true
		}
		return l.fail(at, err)
	}
	if depth == maxDepth {
		for i := range entries {
			entries[i] = entry{strings.TrimSuffix(entries[i].name, "/"), notDir(entries[i].kind)}
		}
	}
	for _, e := range inOrder(entries) {
		key := at + e.name
		if !l.wants(key, e.kind) {
			continue
		}
		if err := l.ctx.Err(); err != nil {
			return l.fail(at, err)
		}
		if e.kind == isDir && !l.directory(d, e.name, key, depth) {
			return false
		}
		if e.kind != isDir && !l.file(d, e, key) {
			return false
		}
	}
	return true
}

// notDir makes a directory that is too deep an odd object.
func notDir(k kind) kind {
	if k == isDir {
		return isOther
	}
	return k
}

// wants says whether key, or for a directory anything in it, is to be listed.
func (l *listing) wants(key string, k kind) bool {
	if k != isDir {
		return strings.HasPrefix(key, l.prefix) && key > l.after && key != scratchName
	}
	if !strings.HasPrefix(key, l.prefix) && !strings.HasPrefix(l.prefix, key) {
		return false
	}
	return (key > l.after || strings.HasPrefix(l.after, key)) && key != scratchName+"/"
}

func (l *listing) directory(d dir, name, key string, depth int) bool {
	sub, err := d.openDir(name[:len(name)-1])
	if errors.Is(err, syscall.ENOENT) {
		return true
	}
	if errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) {
		// To list it now would break the order, to skip it would lose it.
		err = backends.Refuse(backends.Changed, "it was a directory and is now something else")
	}
	if err != nil {
		return l.fail(key, err)
	}
	defer sub.close()
	return l.walk(sub, key, depth+1)
}

func (l *listing) file(d dir, e entry, key string) bool {
	o := backends.Object{Key: key, Size: -1}
	if e.kind == isLink {
		st, err := l.r.followed(key)
		if errors.Is(err, syscall.ENOENT) {
			return true
		}
		if classOf(err) == backends.Transient {
			return l.fail(key, err)
		}
		if err == nil && st.mode.IsRegular() {
			o.Size, o.ModTime = st.size, st.mtime
		}
		return l.yield(o, nil)
	}
	st, err := d.lstat(e.name)
	if errors.Is(err, syscall.ENOENT) {
		return true
	}
	if err != nil {
		return l.fail(key, err)
	}
	if st.mode.IsRegular() {
		o.Size = st.size
	}
	o.ModTime = st.mtime
	return l.yield(o, nil)
}

// fail ends the listing.
func (l *listing) fail(at string, err error) bool {
	l.yield(backends.Object{}, fail("list", strings.TrimSuffix(at, "/"), err))
	return false
}
