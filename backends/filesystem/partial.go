package filesystem

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
)

const (
	// partialMin is the size from which on a content can be resumed.
	partialMin = 1 << 20
	// unprovenPrefix is of names that do not follow from a digest.
	unprovenPrefix = "key-"
	// saveEvery is how many bytes are made durable at a time, and saveAge
	// after how long fewer are: a run may be slow and be killed often.
	saveEvery = 16 << 20
	saveAge   = 5 * time.Second
)

// partial is an unfinished upload: a file with a name that follows from the
// content's digest, so that any later run finds it.
type partial struct {
	f     *os.File
	name  string // in scratch, and the token
	c     backends.Content
	had   int64     // bytes found; they are compared with the content, never trusted
	off   int64     // bytes written or found equal
	saved int64     // bytes durable
	when  time.Time // they were
	known bool      // somebody else will ask for it: it was found, or Saved was told
	over  bool      // the source has given its verdict
}

// stagePartial writes a content that can be resumed. It says false where that
// is impossible or somebody writes the same content: an ordinary file will do.
func (s *Store) stagePartial(ctx context.Context, key string, c backends.Content) (item, bool, error) {
	p, err := s.openPartial(key, c)
	if p == nil || err != nil {
		return item{}, false, err
	}
	err = p.write(ctx)
	if err == nil {
		err = s.finish(p)
	}
	if err != nil {
		err = s.abandon(p, err)
		p.f.Close()
		return item{}, true, err
	}
	return item{key: key, name: partialName + "/" + p.name, at: key, size: c.Size, synced: s.each, held: p.f, keep: p.known}, true, nil
}

// partialToken names a content by its digest, so that a blob is found again
// whatever it is wanted for, or else by key and size; empty for none.
func partialToken(key string, c backends.Content) string {
	if c.Digest.Validate() == nil {
		return strings.ReplaceAll(string(c.Digest), ":", "-")
	}
	if c.Saved == nil {
		return ""
	}
	return unprovenPrefix + digest.FromString(fmt.Sprintf("%d %s", c.Size, key)).Encoded()
}

// isPartial says whether a name could have come from partialToken.
func isPartial(name string) bool {
	if hex, ok := strings.CutPrefix(name, unprovenPrefix); ok {
		return digest.NewDigestFromEncoded(digest.SHA256, hex).Validate() == nil
	}
	algorithm, hex, _ := strings.Cut(name, "-")
	return digest.Digest(algorithm+":"+hex).Validate() == nil
}

// openPartial returns nil where there are no locks: two processes would write
// one file, and the one that ends first would have made it visible.
func (s *Store) openPartial(key string, c backends.Content) (*partial, error) {
	name := partialToken(key, c)
	if s.scratch.lock == nil || name == "" {
		return nil, nil
	}
	path := partialName + "/" + name
	for range 20 {
		f, err := s.scratch.dir.update(path, 0o600)
		if errors.Is(err, fs.ErrNotExist) {
			err = s.mkdirPartial()
			if err == nil || errors.Is(err, fs.ErrExist) {
				continue
			}
		}
		if err != nil {
			return nil, err
		}
		st, err := fileInfo(f)
		if err == nil {
			err = lock(f)
		}
		if err == nil && s.scratch.names(path, f) {
			return &partial{f: f, name: name, c: c, had: st.size, known: st.size > 0}, nil
		}
		f.Close()
		if errors.Is(err, errLocked) || errors.Is(err, errNoLocks) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func (s *Store) mkdirPartial() error {
	err := s.scratch.dir.mkdir(partialName, 0o755)
	if err == nil && s.owner.chown {
		_ = s.owner.directory(s.scratch.dir, partialName) // see prepare
	}
	return err
}

// finish makes the file what Put promises, but for its name.
func (s *Store) finish(p *partial) error {
	st, err := fileInfo(p.f)
	if err == nil && st.size != p.c.Size {
		err = p.f.Truncate(p.c.Size)
	}
	if err != nil {
		return err
	}
	// It was made 0600, so that a registry's user cannot change it yet.
	w := s.owner
	w.chmodFile = true
	if err := w.file(p.f); err != nil {
		return err
	}
	if s.each {
		return p.f.Sync()
	}
	return nil
}

// abandon removes the file, unless a later run will ask for it (rule P6).
func (s *Store) abandon(p *partial, err error) error {
	if p.known && !p.hopeless(err) {
		return err
	}
	// Where a server is away that fails as well, and a later run has to do it.
	if e := s.scratch.dir.unlink(partialName + "/" + p.name); e != nil && !errors.Is(e, fs.ErrNotExist) && classOf(err) != backends.Transient {
		return errors.Join(err, e)
	}
	return err
}
