package location

import (
	"errors"
	"fmt"

	"github.com/regferry/regferry/backends/azure"
	"github.com/regferry/regferry/backends/filesystem"
	"github.com/regferry/regferry/backends/gcs"
	"github.com/regferry/regferry/backends/oss"
	"github.com/regferry/regferry/backends/s3"
	"github.com/regferry/regferry/backends/swift"
)

// ErrNested says that one side lies in the other.
var ErrNested = errors.New("source and destination overlap")

// CheckApart refuses a destination that is inside the source, or the reverse,
// or the same: a migration would read what it writes.
func CheckApart(source, destination string) error {
	return Opener{}.CheckApart(source, Opener{}, destination)
}

// CheckApart is that of sides with an Opener each: o is the source's.
func (o Opener) CheckApart(source string, to Opener, destination string) error {
	a, err := o.parse(source)
	if err != nil {
		return err
	}
	b, err := to.parse(destination)
	if err != nil {
		return err
	}
	nested, err := overlap(a.place, b.place)
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
			return s3.Nested(a.Options, b.Options), nil
		}
	case azureContainer:
		if b, ok := b.(azureContainer); ok {
			return azure.Nested(a.Options, b.Options), nil
		}
	case gcsBucket:
		if b, ok := b.(gcsBucket); ok {
			return gcs.Nested(a.Options, b.Options), nil
		}
	case swiftContainer:
		if b, ok := b.(swiftContainer); ok {
			return swift.Nested(a.Options, b.Options), nil
		}
	case ossBucket:
		if b, ok := b.(ossBucket); ok {
			return oss.Nested(a.Options, b.Options), nil
		}
	}
	return false, nil // different systems
}
