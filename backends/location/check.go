package location

import (
	"errors"
	"fmt"

	"github.com/regferry/regferry/backends/filesystem"
)

// ErrNested says that one side lies in the other.
var ErrNested = errors.New("source and destination overlap")

// CheckApart refuses a destination that is inside the source, or the reverse,
// or the same: a migration would read what it writes.
func CheckApart(source, destination string) error {
	a, _, err := parse(source)
	if err != nil {
		return err
	}
	b, _, err := parse(destination)
	if err != nil {
		return err
	}
	nested, err := filesystem.Nested(a, b)
	if err != nil {
		return err
	}
	if nested {
		return fmt.Errorf("%w: %s and %s are the same directory or one lies in the other; choose a destination beside the source", ErrNested, source, destination)
	}
	return nil
}
