package filesystem

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/regferry/regferry/backends"
)

// Nested says whether one of two directories is the other, or lies inside it,
// in which case a migration between them would read what it writes. It looks
// through symbolic links and bind mounts. The directories need not exist; where
// that cannot be told, the error says of which side.
func Nested(source, destination string) (bool, error) {
	a, err := resolve(source)
	if err != nil {
		return false, backends.At(backends.Source, fail("stat", "", err))
	}
	b, err := resolve(destination)
	if err != nil {
		return false, backends.At(backends.Destination, fail("stat", "", err))
	}
	if contains(a, b) || contains(b, a) {
		return true, nil
	}
	// A bind mount of a directory inside the other one has no parent in common
	// with it; the device and the path there have.
	a, b = devicePath(a), devicePath(b)
	return a != "" && b != "" && (below(a, b) || below(b, a)), nil
}

// resolve is EvalSymlinks for a path whose last components may be missing.
func resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	var missing []string
	for {
		real, err := filepath.EvalSymlinks(path)
		if err == nil {
			return filepath.Join(append([]string{real}, missing...)...), nil
		}
		up := filepath.Dir(path)
		if !errors.Is(err, fs.ErrNotExist) || up == path {
			return "", err
		}
		missing = append([]string{filepath.Base(path)}, missing...)
		path = up
	}
}

// contains compares by name and, for each directory on the way up from inner,
// by what the system says is the same directory.
func contains(outer, inner string) bool {
	if below(outer, inner) {
		return true
	}
	o, err := os.Stat(outer)
	if err != nil {
		return false
	}
	for {
		if i, err := os.Stat(inner); err == nil && os.SameFile(o, i) {
			return true
		}
		up := filepath.Dir(inner)
		if up == inner {
			return false
		}
		inner = up
	}
}

func below(outer, inner string) bool {
	rest, ok := strings.CutPrefix(inner, strings.TrimSuffix(outer, string(filepath.Separator)))
	return ok && (rest == "" || rest[0] == filepath.Separator)
}
