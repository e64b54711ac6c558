package mirror

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/regferry/regferry/backends"
)

// What ends a mirror for good; all are [ErrGuard].
var (
	// ErrGuard is what a human has to look at before anything more is written or
	// deleted: exit code 5.
	ErrGuard = errors.New("a guard of the destination refused")
	// ErrFinished says that the destination is in use: a migration to it was
	// finished, and who goes on might overwrite what was pushed since.
	ErrFinished = fmt.Errorf("%w: the migration to it was finished", ErrGuard)
	// ErrOtherWriter says that somebody else writes the destination.
	ErrOtherWriter = fmt.Errorf("%w: somebody else writes it", ErrGuard)
	// ErrHeld says that another mirror holds the lease.
	ErrHeld = fmt.Errorf("%w: another mirror holds it", ErrGuard)
)

// errLeaseLost ends what is under way when the lease could not be renewed; the
// mirror then stands by.
var errLeaseLost = errors.New("the lease of the destination was lost")

// StateError says that what a mirror has to remember cannot be read or written.
type StateError struct{ Err error }

// Error says that it is about the state.
func (e *StateError) Error() string { return "the state of the mirror: " + e.Err.Error() }

// Unwrap gives the cause.
func (e *StateError) Unwrap() error { return e.Err }

// Passing says that a file could not be read or written, as where a volume is full
// or away for a while. What is damaged, another's or forbidden stays so.
func (e *StateError) Passing() bool {
	file := errors.As(e.Err, new(*fs.PathError)) || errors.As(e.Err, new(*os.LinkError)) || errors.As(e.Err, new(*os.SyscallError))
	return file && !errors.Is(e.Err, fs.ErrPermission)
}

func stateError(err error) error {
	if err == nil || errors.As(err, new(*StateError)) {
		return err
	}
	return &StateError{err}
}

// otherWriter names what somebody else wrote.
func otherWriter(what, key string) error {
	return fmt.Errorf("%w: %s at the destination, %s, comes from neither the source nor this mirror; if the registry was switched over, leave it; else go on with --takeover", ErrOtherWriter, what, backends.Printable(key))
}
