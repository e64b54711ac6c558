// Package location turns what a user writes into an open store.
//
// A location is a path, which is a volume, or a URL whose scheme names the
// system and whose query holds the options, named as the registry names them
// where the registry has them. Secrets come from the environment, never from a
// location, so it can be printed.
package location

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"gocloud.dev/blob/memblob"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/bucket"
	"github.com/regferry/regferry/backends/filesystem"
)

// OpenSource opens a location that is only read.
func OpenSource(raw string) (backends.ReadStore, error) {
	dir, o, err := parse(raw)
	if err != nil {
		return nil, err
	}
	return filesystem.OpenReader(dir, o)
}

// OpenDestination opens a location that is written, and makes its directory.
func OpenDestination(raw string) (backends.Store, error) {
	dir, o, err := parse(raw)
	if err != nil {
		return nil, err
	}
	return filesystem.Open(dir, o)
}

// OpenAsItIs opens a destination only to look at it. One that does not exist
// yet is an empty one, and is not made.
func OpenAsItIs(raw string) (backends.ReadStore, error) {
	s, err := OpenSource(raw)
	if errors.Is(err, fs.ErrNotExist) {
		return bucket.New(memblob.OpenBucket(nil), raw), nil
	}
	return s, err
}

// Path returns the directory of a location that is a volume.
func Path(raw string) (dir string, err error) {
	dir, _, err = parse(raw)
	return dir, err
}

// Error says what is wrong with a location, and shows a right one.
type Error struct {
	Location string
	Err      error
}

// Error quotes the location.
func (e *Error) Error() string {
	return fmt.Sprintf("location %q: %v; write a directory such as /var/lib/registry or file:///mnt/nfs/registry?uid=1000&gid=1000", e.Location, e.Err)
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

func parse(raw string) (dir string, o filesystem.Options, err error) {
	dir, o, err = parseFile(raw)
	if err != nil {
		return "", o, &Error{raw, err}
	}
	return dir, o, nil
}

func parseFile(raw string) (string, filesystem.Options, error) {
	o := filesystem.Options{}
	scheme, rest, isURL := strings.Cut(raw, "://")
	switch {
	case raw == "":
		return "", o, fmt.Errorf("it is empty")
	case !isURL:
		return raw, o, nil
	case scheme != "file":
		return "", o, fmt.Errorf("the scheme %q is not known here, only file and plain paths are", scheme)
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return "", o, err
	case u.Host != "" || u.Path == "":
		return "", o, fmt.Errorf("a file URL has three slashes and an absolute path, not file://%s", rest)
	case u.User != nil || u.Fragment != "":
		return "", o, fmt.Errorf("a file URL has a path and options, nothing else")
	}
	o, err = options(u.RawQuery, o)
	return u.Path, o, err
}

// options reads the query. A name that is not known is an error: an option
// with a slip in it must not be one that is silently not in force.
func options(query string, o filesystem.Options) (filesystem.Options, error) {
	q, err := url.ParseQuery(query)
	if err != nil {
		return o, err
	}
	for name, values := range q {
		if len(values) != 1 {
			return o, fmt.Errorf("the option %s is given %d times", name, len(values))
		}
		if err := option(&o, name, values[0]); err != nil {
			return o, err
		}
	}
	return o, nil
}

func option(o *filesystem.Options, name, value string) (err error) {
	switch name {
	case "file_mode":
		o.FileMode, err = mode(name, value)
	case "dir_mode":
		o.DirMode, err = mode(name, value)
	case "uid":
		o.Owner = owned(o.Owner)
		o.Owner.UID, err = id(name, value)
	case "gid":
		o.Owner = owned(o.Owner)
		o.Owner.GID, err = id(name, value)
	case "fsync":
		o.Fsync = filesystem.Fsync(value)
	default:
		known := []string{"file_mode", "dir_mode", "uid", "gid", "fsync"}
		slices.Sort(known)
		return fmt.Errorf("the option %q is not known, these are: %s", name, strings.Join(known, ", "))
	}
	return err
}

func owned(o *filesystem.Owner) *filesystem.Owner {
	if o == nil {
		return &filesystem.Owner{UID: -1, GID: -1}
	}
	return o
}

func mode(name, value string) (fs.FileMode, error) {
	m, err := strconv.ParseUint(value, 8, 12)
	if err != nil {
		return 0, fmt.Errorf("%s=%s is no octal mode such as 0644", name, value)
	}
	return fs.FileMode(m), nil
}

func id(name, value string) (int, error) {
	n, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%s=%s is no number such as 1000", name, value)
	}
	return int(n), nil
}
