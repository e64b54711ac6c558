package checkpoint

import (
	"errors"
	"fmt"
	"strings"

	"github.com/regferry/regferry/backends"
)

// ErrRefused matches every error that says that this file cannot be used for
// this migration: exit code 6. A refused file is left as it was.
var ErrRefused = errors.New("the checkpoint was refused")

// ErrLocked matches a [LockedError].
var ErrLocked = errors.New("the checkpoint is in use")

const another = "name another file with --checkpoint"

// LockedError says that another process has the file open.
type LockedError struct {
	Path string
	PID  int    // of the last run that the file knows of; 0 if it could not be read
	Host string // where that PID is meant
}

func (e *LockedError) Error() string {
	who := "another process"
	if e.PID != 0 {
		who = fmt.Sprintf("process %d on %s", e.PID, backends.Printable(e.Host))
	}
	return fmt.Sprintf("checkpoint %s is in use by %s: wait for it, stop it, or %s", backends.Printable(e.Path), who, another)
}

// Is matches ErrLocked and ErrRefused.
func (e *LockedError) Is(target error) bool { return target == ErrLocked || target == ErrRefused }

// MismatchError says that the file belongs to another migration.
type MismatchError struct {
	Path       string
	Have, Want Identity // of the file, of the caller
}

func (e *MismatchError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "checkpoint %s is of another migration:", backends.Printable(e.Path))
	for _, d := range []struct{ name, have, want string }{
		{"source", e.Have.Source, e.Want.Source},
		{"destination", e.Have.Destination, e.Want.Destination},
		{"root", e.Have.Root, e.Want.Root},
	} {
		if d.have != d.want {
			fmt.Fprintf(&b, " its %s is %s, not %s;", d.name, backends.Printable(d.have), backends.Printable(d.want))
		}
	}
	fmt.Fprintf(&b, " correct the locations, or %s", another)
	return b.String()
}

// Is matches ErrRefused.
func (e *MismatchError) Is(target error) bool { return target == ErrRefused }

// FormatError says that the file was written by a later regferry.
type FormatError struct {
	Path    string
	Version int // of the format of the file
}

func (e *FormatError) Error() string {
	return fmt.Sprintf("checkpoint %s has format %d, and this regferry knows formats up to %d: use the regferry that wrote it, or %s",
		backends.Printable(e.Path), e.Version, Format, another)
}

// Is matches ErrRefused.
func (e *FormatError) Is(target error) bool { return target == ErrRefused }

// CorruptError says that the file is damaged, or no checkpoint at all.
type CorruptError struct {
	Path string
	Err  error
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("checkpoint %s is damaged or no checkpoint: %v: %s; without one the migration lists both sides again and loses nothing",
		backends.Printable(e.Path), e.Err, another)
}

func (e *CorruptError) Unwrap() error { return e.Err }

// Is matches ErrRefused.
func (e *CorruptError) Is(target error) bool { return target == ErrRefused }

// AccessError says that the file could not be made, opened, locked or
// written: a missing directory, permissions, a full disk, a symbolic link.
type AccessError struct {
	Path string
	Op   string // open, create, lock, write
	Err  error
}

func (e *AccessError) Error() string {
	return fmt.Sprintf("checkpoint %s: cannot %s it: %v: put that right, or %s", backends.Printable(e.Path), e.Op, e.Err, another)
}

func (e *AccessError) Unwrap() error { return e.Err }

// Is matches ErrRefused.
func (e *AccessError) Is(target error) bool { return target == ErrRefused }
