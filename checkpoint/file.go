package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Identity says which migration a file belongs to. All strings are printable
// and hold no secret: source and destination are what Location() of the
// stores returns.
type Identity struct {
	Source      string `json:"source"`
	Destination string `json:"destination"`
	Root        string `json:"root"`  // docker/registry/v2
	Scope       string `json:"scope"` // what is migrated: filters, --also
}

// Options of Open; the zero value works.
type Options struct {
	// Interval is how long changes gather before they are committed: at most
	// 1 s, by default 500 ms.
	Interval time.Duration

	// Sync is the destination's. It is called before each commit that claims
	// anything, from one goroutine at a time, and returns nil when all that
	// was Put before is durable. If it fails, the commit is not made and the
	// error stays: see [File.Err]. It must return by itself (Close waits for
	// it) and must not call the File, except for Fail. nil means that a Put
	// that returned is durable.
	//
	// After a *backends.SyncError the cursors are committed but none of the
	// digests that were queued with them: it names keys, the checkpoint knows
	// digests. The caller's Sync records those keys with Fail.
	Sync func(context.Context) error

	Version string // of regferry, for the record of the run
}

const (
	defaultInterval = 500 * time.Millisecond
	longestInterval = time.Second
)

// File is an open checkpoint. Its methods may be called from any goroutine.
// Those that return no error queue in memory; one goroutine, which Close
// ends, commits.
type File struct {
	path     string
	db       *bolt.DB
	raw      *os.File // of db
	sync     func(context.Context) error
	interval time.Duration
	scope    string
	run      Run
	runKey   []byte

	flushing sync.Mutex // one flush at a time; before committing
	commits  sync.Mutex // one access to db at a time; before mu
	tails    map[string]tail
	failed   failed // as committed
	nextFail uint64
	totals   Totals // as committed
	broken   bool   // bbolt panicked: it may hold its own locks for ever

	mu       sync.Mutex
	room     *sync.Cond // pending was taken, or there is an error
	pending  *batch
	inflight *batch // taken, not yet committed; nil if none
	pass     Pass
	shards   map[string]place // including what is queued
	uploads  map[string]bool  // keys that have a record
	saves    map[string]uploadRecord
	err      error // the first failure of a Sync or a commit
	closed   bool

	wake chan struct{} // pending is no longer empty
	full chan struct{} // pending has no room left
	stop chan struct{}
	done chan struct{}
}

// Open opens the checkpoint at path for this migration, or creates it, with
// mode 0600, in a directory that exists. Only one process has it open.
//
// A file that is refused is left as it was, and the error matches
// [ErrRefused]: a *[LockedError] (which matches [ErrLocked]), *[MismatchError],
// *[FormatError], *[CorruptError] or *[AccessError]. If only the scope is
// another one, the progress of the pass under way is forgotten, no more.
func Open(path string, id Identity, o Options) (*File, error) {
	for range 5 { // as long as others create or delete it at the same time
		f, err := openExisting(path, id, o)
		if errors.Is(err, fs.ErrNotExist) {
			f, err = openNew(path, id, o)
		}
		if err == nil {
			go f.flushLoop()
			return f, nil
		}
		if !errors.Is(err, errMoved) && err != fs.ErrExist {
			return nil, err
		}
	}
	return nil, &AccessError{Path: path, Op: "open", Err: errMoved}
}

func openExisting(path string, id Identity, o Options) (*File, error) {
	raw, err := hold(path, true)
	if err != nil {
		return nil, err
	}
	s, err := readHeld(raw, path)
	if err == nil && !s.identity.is(id) {
		have := Identity{Source: s.identity.Source, Destination: s.identity.Destination, Root: s.identity.Root, Scope: s.pass.Scope}
		err = &MismatchError{Path: path, Have: have, Want: id}
	}
	if err != nil {
		raw.Close()
		return nil, err
	}
	f := newFile(path, id, o, s)
	f.raw = raw
	err = guard(path, func() (err error) {
		f.db, err = database(raw)
		return err
	})
	if err == nil {
		err = f.commit(f.begin)
	}
	if err != nil {
		f.shut()
		if !errors.Is(err, ErrRefused) {
			err = &AccessError{Path: path, Op: "open", Err: err}
		}
		return nil, err
	}
	tighten(raw)
	return f, nil
}

func openNew(path string, id Identity, o Options) (*File, error) {
	s := &state{shards: map[string]place{}}
	f := newFile(path, id, o, s)
	var err error
	f.db, f.raw, err = create(path, func(tx *bolt.Tx) error {
		head := identityRecord{Source: id.Source, Destination: id.Destination, Root: id.Root, Created: f.run.Started}
		return errors.Join(
			f.begin(tx),
			put(tx, headBucket, []byte(keyMagic), []byte(magic)),
			putJSON(tx, headBucket, []byte(keyFormat), Format),
			putJSON(tx, headBucket, []byte(keyIdentity), head),
		)
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

func newFile(path string, id Identity, o Options, s *state) *File {
	if o.Interval <= 0 {
		o.Interval = defaultInterval
	}
	host, _ := os.Hostname()
	f := &File{
		path: path, sync: o.Sync, interval: min(o.Interval, longestInterval), scope: id.Scope,
		run:    Run{Started: time.Now().UTC(), PID: os.Getpid(), Host: host, Version: o.Version},
		runKey: number(s.lastRun + 1),
		tails:  map[string]tail{}, failed: s.failed, nextFail: s.nextFail + 1, totals: s.totals,
		pending: new(batch), pass: s.pass, shards: s.shards, uploads: map[string]bool{}, saves: map[string]uploadRecord{},
		wake: make(chan struct{}, 1), full: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	f.room = sync.NewCond(&f.mu)
	for key := range s.uploads {
		f.uploads[key] = true
	}
	underWay := s.pass.Number > 0 && !s.pass.Complete && !s.pass.Dropped
	f.pass.Resumed = underWay && s.pass.Scope == id.Scope
	f.pass.Dropped = s.pass.Dropped || underWay && !f.pass.Resumed
	if !f.pass.Resumed {
		f.shards = map[string]place{}
	}
	return f
}

// begin makes the buckets, those too that are younger than the file, records
// the run, and forgets the pass if the scope is another one.
func (f *File) begin(tx *bolt.Tx) error {
	for _, b := range buckets {
		if _, err := tx.CreateBucketIfNotExists(b); err != nil {
			return err
		}
	}
	if err := putJSON(tx, runBucket, f.runKey, f.run); err != nil {
		return err
	}
	runs := tx.Bucket(runBucket)
	for n := count(runs); n > keptRuns; n-- {
		oldest, _ := runs.Cursor().First()
		if err := runs.Delete(oldest); err != nil {
			return err
		}
	}
	if !f.pass.Dropped {
		return nil
	}
	return errors.Join(empty(tx, shardBucket), putJSON(tx, headBucket, []byte(keyPass), f.pass))
}

func count(b *bolt.Bucket) (n int) {
	_ = b.ForEach(func(_, _ []byte) error { n++; return nil })
	return n
}

// SetOutcome says how the run ended ("done", "interrupted", the text of an
// error without secrets), for who reads the file; Close writes it.
func (f *File) SetOutcome(how string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.run.How = clip(how, longestMessage)
}

// Err returns the error of the first Sync or commit that failed, nil if none
// did. Nothing is committed after it.
func (f *File) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// Close commits what is queued and unlocks the file. It returns what Err
// does, or what went wrong in closing. Closing again does nothing.
func (f *File) Close() error {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return nil
	}
	f.closed = true
	f.run.Ended = time.Now().UTC()
	run := f.run
	f.pending.run = &run
	f.room.Broadcast()
	f.mu.Unlock()

	close(f.stop)
	<-f.done
	err := f.flush()
	if shut := f.shut(); err == nil && shut != nil {
		err = &AccessError{Path: f.path, Op: "close", Err: shut}
	}
	return err
}

// shut lets go of the file without a commit.
func (f *File) shut() error {
	f.commits.Lock()
	defer f.commits.Unlock()
	if f.db == nil || f.broken {
		return f.raw.Close()
	}
	return f.db.Close()
}

// commit makes one durable change of the file. The first error is final.
func (f *File) commit(change func(*bolt.Tx) error) error {
	f.commits.Lock()
	defer f.commits.Unlock()
	return f.commitHeld(change)
}

// commitHeld is commit for who holds commits. It keeps an error before others
// can commit, so that whoever shared this commit sees it.
func (f *File) commitHeld(change func(*bolt.Tx) error) error {
	if f.broken {
		return &CorruptError{Path: f.path, Err: errors.New("an earlier access failed")}
	}
	err := guard(f.path, func() error { return f.db.Update(change) })
	if errors.As(err, new(*CorruptError)) {
		f.broken = true
	} else if err != nil {
		err = &AccessError{Path: f.path, Op: "write", Err: err}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail(err)
	return err
}

// view reads a committed state of the file. It never runs beside a commit:
// where one faults, bbolt keeps locks that the other would wait for.
func (f *File) view(look func(*bolt.Tx) error) error {
	f.commits.Lock()
	defer f.commits.Unlock()
	if f.broken {
		return f.Err()
	}
	err := guard(f.path, func() error { return f.db.View(look) })
	if errors.As(err, new(*CorruptError)) {
		f.broken = true
		f.mu.Lock()
		defer f.mu.Unlock()
		f.fail(err)
	}
	return err
}

// guard turns what bbolt does about a file that was damaged after it was
// opened into an error: it panics, or the read of a memory map faults because
// the file was cut short or its disk fails.
func guard(path string, do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = &CorruptError{Path: path, Err: fmt.Errorf("%v", r)}
		}
	}()
	err = do()
	if errors.Is(err, errSum) {
		return &CorruptError{Path: path, Err: err}
	}
	return err
}

// usable returns why the file cannot be used any more. The caller holds mu.
func (f *File) usable() error {
	if f.err == nil && f.closed {
		return fmt.Errorf("checkpoint: %w", fs.ErrClosed)
	}
	return f.err
}
