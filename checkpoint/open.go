package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	bolt "go.etcd.io/bbolt"
)

// patience is how long a lock is waited for: a run that was told to stop may
// be about to let go.
const patience = time.Second

// errMoved says that path names another file than the one that was locked.
var errMoved = errors.New("it was replaced while it was opened")

// hold opens and locks the existing file at path: exclusively, or shared and
// for reading only. It returns fs.ErrNotExist as it is.
func hold(path string, write bool) (*os.File, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, err
	case err != nil:
		return nil, &AccessError{Path: path, Op: "open", Err: err}
	}
	// Before opening: opening a FIFO waits for its other end, and opening a
	// device may do anything.
	if err := regular(path, info); err != nil {
		return nil, err
	}
	flag := os.O_RDONLY
	if write {
		flag = os.O_RDWR
	}
	f, err := os.OpenFile(path, flag|openFlags, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, err
	case err != nil:
		return nil, &AccessError{Path: path, Op: "open", Err: err}
	}
	if err := lockNamed(f, path, write); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func regular(path string, info fs.FileInfo) error {
	what := ""
	switch mode := info.Mode(); {
	case mode.IsRegular():
		return nil
	case mode.IsDir():
		what = "it is a directory, not a file"
	case mode&fs.ModeSymlink != 0:
		what = "it is a symbolic link; name the file itself"
	default:
		what = fmt.Sprintf("it is no regular file (%v)", mode.Type())
	}
	return &AccessError{Path: path, Op: "open", Err: errors.New(what)}
}

// lockNamed locks f and makes sure that it is still what path names: who
// waited for the lock may hold a file that was deleted meanwhile.
func lockNamed(f *os.File, path string, write bool) error {
	if err := lock(f, write, patience); err != nil {
		if errors.Is(err, errBusy) {
			return lockedBy(f, path)
		}
		return &AccessError{Path: path, Op: "lock", Err: err}
	}
	info, err := f.Stat()
	if err != nil {
		return &AccessError{Path: path, Op: "open", Err: err}
	}
	named, err := os.Lstat(path)
	if err != nil || !os.SameFile(info, named) {
		return errMoved
	}
	return regular(path, info)
}

// lockedBy asks a file that is being written by its owner who that is. It may
// change under the reading; the checksum of the record decides.
func lockedBy(f *os.File, path string) error {
	locked := &LockedError{Path: path}
	info, err := f.Stat()
	if err != nil {
		return locked
	}
	for range 3 {
		if s, err := read(path, f, info.Size()); err == nil && len(s.runs) > 0 {
			last := s.runs[len(s.runs)-1]
			locked.PID, locked.Host = last.PID, last.Host
			return locked
		}
	}
	return locked
}

// readHeld reads a file that is locked.
func readHeld(f *os.File, path string) (*state, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, &AccessError{Path: path, Op: "read", Err: err}
	}
	return read(path, f, info.Size())
}

// database hands a locked file to bbolt, whose own lock on the same open file
// is then free to take.
func database(f *os.File) (*bolt.DB, error) {
	db, err := bolt.Open(f.Name(), 0o600, &bolt.Options{
		Timeout:      patience,
		PageSize:     4096, // not the machine's, which may be 64 KiB: pages are the unit of waste
		FreelistType: bolt.FreelistMapType,
		NoStatistics: true,
		OpenFile:     func(string, int, os.FileMode) (*os.File, error) { return f, nil },
	})
	if err != nil {
		return nil, err
	}
	db.AllocSize = 1 << 20 // how far the file grows at once; the default is 16 MiB
	return db, nil
}

const newPattern = ".regferry-checkpoint-*.new"

// create makes the file at path. It has another name until it is complete and
// durable, so that who is killed here leaves nothing, or a whole file, at
// path. It returns fs.ErrExist if another process was faster.
func create(path string, fill func(*bolt.Tx) error) (_ *bolt.DB, _ *os.File, err error) {
	dir := filepath.Dir(path)
	cleanNew(dir)
	f, err := os.CreateTemp(dir, newPattern)
	if err != nil {
		return nil, nil, &AccessError{Path: path, Op: "create", Err: err}
	}
	defer os.Remove(f.Name()) // its first name, in any case
	db, err := fillNew(f, fill)
	if err == nil {
		err = name(f.Name(), path)
	}
	if err == nil {
		err = syncDir(dir)
	}
	if err != nil {
		if db != nil {
			db.Close()
		}
		f.Close()
		if errors.Is(err, fs.ErrExist) {
			return nil, nil, fs.ErrExist
		}
		return nil, nil, &AccessError{Path: path, Op: "create", Err: err}
	}
	return db, f, nil
}

func fillNew(f *os.File, fill func(*bolt.Tx) error) (*bolt.DB, error) {
	if err := f.Chmod(0o600); err != nil { // whatever the umask took away
		return nil, err
	}
	// The lock is on the file, not on its name: from its first moment at path
	// it is in use.
	if err := lock(f, true, patience); err != nil {
		return nil, err
	}
	db, err := database(f)
	if err != nil {
		return nil, err
	}
	return db, db.Update(fill)
}

// name gives a file its name without ever replacing another. Where the file
// system has no hard links, it is renamed, and two runs that start within the
// same millisecond could replace one empty checkpoint by another.
func name(old, path string) error {
	err := os.Link(old, path)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	if _, there := os.Lstat(path); there == nil {
		return fs.ErrExist
	}
	if os.Rename(old, path) == nil {
		return nil
	}
	return err
}

// cleanNew removes what runs that were killed while creating left behind. An
// hour is far more than creating takes.
func cleanNew(dir string) {
	left, _ := filepath.Glob(filepath.Join(globless(dir), newPattern))
	for _, path := range left {
		if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) > time.Hour {
			os.Remove(path)
		}
	}
}

// tighten takes the permissions of others from a file that belongs to us. Who
// is not its owner may not change its mode; as it holds no secret, that is no
// reason to refuse it.
func tighten(f *os.File) {
	if info, err := f.Stat(); err == nil && info.Mode().Perm() != 0o600 {
		_ = f.Chmod(0o600)
	}
}

// globless escapes what Glob would take for a pattern.
func globless(dir string) string {
	var b []byte
	for _, c := range []byte(dir) {
		if c == '*' || c == '?' || c == '[' || c == '\\' {
			b = append(b, '\\')
		}
		b = append(b, c)
	}
	return string(b)
}
