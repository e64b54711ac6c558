package location

import (
	"errors"
	"fmt"

	"github.com/regferry/regferry/backends/filesystem"
	"github.com/regferry/regferry/backends/s3"
)

// ErrNested says that one side lies in the other.
var ErrNested = errors.New("source and destination overlap")

// CheckApart refuses a destination that is inside the source, or the reverse,
// or the same: a migration would read what it writes.
func CheckApart(source, destination string) error {
	a, err := parse(source)
	if err != nil {
		return err
	}
	b, err := parse(destination)
	if err != nil {
		return err
	}
	nested, err := overlap(a, b)
	if err != nil {
		return err
	}
	if nested {
		return fmt.Errorf("%w: %s and %s are the same directory or one lies in the other; choose a destination beside the source", ErrNested, Redacted(source), Redacted(destination))
	}
	return nil
}

func overlap(a, b place) (bool, error) {
	switch a := a.(type) {
	case volume:
		if b, ok := b.(volume); ok {
			return filesystem.Nested(a.dir, b.dir)
		}
	case s3Bucket:
		if b, ok := b.(s3Bucket); ok {
			return s3.Nested(a.o, b.o), nil
		}
	}
	return false, nil // different systems
}
