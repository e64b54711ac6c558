package filesystem

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"sync"

	"github.com/regferry/regferry/backends"
)

// Store writes a directory as a store. It is safe for concurrent use; Close
// comes after the last Put has returned.
type Store struct {
	*Reader
	scratch *scratch
	mount   mountID // of scratch
	owner   owner
	each    bool // durable with each Put, not in groups
	queue   queue
	moves   sync.RWMutex // held to write while a directory is moved out of sight
	closed  func() error
}

var (
	_ backends.Store   = (*Store)(nil)
	_ backends.Syncer  = (*Store)(nil)
	_ backends.Cleaner = (*Store)(nil)

	_ backends.Deleter           = (*Store)(nil)
	_ backends.ConditionalPutter = (*Store)(nil)
)

// Open opens a directory for writing and makes it if it is absent; its parent
// has to exist, so that a typing error or a volume that is not mounted does not
// become a copy in the wrong place. The options decide modes and owner of what
// will be written; an owner that cannot be set is Denied here and now.
func Open(name string, o Options) (*Store, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fail("open", "", err)
	}
	made, err := makeRoot(name, o)
	if err != nil {
		return nil, fail("open", "", err)
	}
	r, err := openReader(name)
	if err != nil {
		return nil, err
	}
	s := &Store{Reader: r}
	if err := s.prepare(o, made); err != nil {
		r.Close()
		return nil, fail("open", "", err)
	}
	return s, nil
}

func makeRoot(name string, o Options) (made bool, err error) {
	err = os.Mkdir(name, o.DirMode)
	if err == nil {
		return true, nil
	}
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if _, e := os.Stat(name); e == nil {
		return false, nil // on a read-only parent, say
	}
	return false, err
}

func (s *Store) prepare(o Options, made bool) error {
	top, err := s.tree.lstat(".")
	if err != nil {
		return err
	}
	var explicit bool
	s.owner, explicit = newOwner(o, top)
	if s.scratch, err = newScratch(s.tree); err != nil {
		return err
	}
	if err = s.oneMount(); err == nil {
		err = s.owner.probe(s.scratch, explicit)
	}
	if err == nil && made {
		err = s.owner.directory(s.tree.dir, ".")
	}
	if err == nil && s.owner.chown {
		// So that a later run can be that user's; if not, nothing is lost.
		_ = s.owner.directory(s.tree.dir, scratchName)
	}
	if err == nil {
		s.each, err = s.eachFile(o.Fsync)
	}
	if err != nil {
		return errors.Join(err, s.scratch.close())
	}
	if !s.each {
		s.tree.drain()
	}
	s.queue.init(s)
	s.closed = sync.OnceValue(s.close)
	return nil
}

func (s *Store) eachFile(way Fsync) (bool, error) {
	if way == FsyncEach {
		return true, nil
	}
	ok, err := s.tree.groupSync(way == FsyncGroup)
	return !ok, err
}

// Close makes durable and visible what was Put since the last Sync, removes
// what this store made in scratch, and ends. Unfinished uploads that
// Content.Saved was told of stay.
func (s *Store) Close() error { return s.closed() }

func (s *Store) close() error {
	var err error
	if s.queue.usable() {
		err = s.Sync(context.Background())
	}
	s.queue.close()
	return errors.Join(err, s.scratch.close(), s.Reader.Close())
}
