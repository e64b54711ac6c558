package filesystem

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/regferry/regferry/backends"
)

const (
	ownPrefix   = "tmp-"    // one directory for each open store
	partialName = "partial" // contents that a later run goes on with
	lockName    = "lock"    // in a store's directory, held as long as the store is open; in .regferry, by a PutIf
	strayPrefix = "stray-"  // what could not be put back in its place
)

// scratch is where files are made before they are renamed to their keys. All
// names in it are relative to dir, which is .regferry below the root.
type scratch struct {
	tree  *tree
	dir   dir
	own   string   // this store's directory
	lock  *os.File // nil where the file system has no locks
	count atomic.Uint64
}

// newScratch tries again when another store, closing or cleaning, removes what
// was just made.
func newScratch(t *tree) (*scratch, error) {
	var err error
	for range 20 {
		var s *scratch
		if s, err = tryScratch(t); err == nil {
			return s, nil
		}
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errLocked) {
			return nil, err
		}
	}
	return nil, err
}

func tryScratch(t *tree) (*scratch, error) {
	if err := t.mkdir(scratchName, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	d, err := t.openDir(scratchName)
	if err != nil {
		return nil, err
	}
	s := &scratch{tree: t, dir: d, own: ownPrefix + strings.ToLower(rand.Text())}
	if err := s.make(); err != nil {
		// Not RemoveAll: whoever cleans may be at it.
		d.unlink(s.own + "/" + lockName)
		d.rmdir(s.own)
		d.close()
		t.rmdir(scratchName)
		return nil, err
	}
	return s, nil
}

// make makes the store's own directory and locks it, which is how others know
// that it is not left over.
func (s *scratch) make() error {
	if err := s.dir.mkdir(s.own, 0o755); err != nil {
		return err
	}
	f, err := s.dir.create(s.own+"/"+lockName, 0o600)
	if err != nil {
		return err
	}
	if err := lock(f); err != nil {
		f.Close()
		if errors.Is(err, errNoLocks) {
			return nil
		}
		return err
	}
	if !s.names(s.own+"/"+lockName, f) { // cleaned before it was locked
		f.Close()
		return fs.ErrNotExist
	}
	s.lock = f
	return nil
}

// names says whether name still names the open file f. Whoever locks a file
// has to ask: its last owner may have removed it, or renamed it to its key.
func (s *scratch) names(name string, f *os.File) bool {
	is, err := fileInfo(f)
	if err != nil {
		return false
	}
	there, err := s.dir.lstat(name)
	return err == nil && is.ino == there.ino && is.dev == there.dev
}

// next returns a new name in the store's own directory.
func (s *scratch) next() string {
	return s.own + "/" + strconv.FormatUint(s.count.Add(1), 10)
}

// discard removes what was made under a name, if it is there.
func (s *scratch) discard(name string) error {
	err := s.dir.unlink(name)
	switch {
	case err == nil, errors.Is(err, syscall.ENOENT):
		return nil
	case classOf(err) == backends.Transient: // so it would be for each file in it
		return err
	}
	return s.tree.root.RemoveAll(scratchName + "/" + name)
}

// close removes what is this store's, and the common directories when they
// are empty, so that no side files stay.
func (s *scratch) close() error {
	defer s.dir.close()
	if err := s.removeOwn(s.own, s.lock); err != nil {
		return fmt.Errorf("removing unfinished work: %w", err)
	}
	s.dir.rmdir(partialName)
	s.tree.rmdir(scratchName)
	return nil
}

// removeOwn removes the directory of a store whose lock is held, if there is
// one. The lock's name goes while the lock is held, so that nobody takes it for
// his; the lock itself goes before the directory, since NFS keeps a file that is
// open under another name in there (.nfs and a number) until it is closed.
func (s *scratch) removeOwn(name string, held *os.File) error {
	if held != nil {
		s.dir.unlink(name + "/" + lockName)
		held.Close()
	}
	return s.tree.root.RemoveAll(scratchName + "/" + name)
}
