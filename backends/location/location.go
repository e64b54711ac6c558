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
)

// place is a location that was understood; each system has its type.
type place interface {
	source() (backends.ReadStore, error)
	destination() (backends.Store, error)
	identity() (string, error)
}

// OpenSource opens a location that is only read.
func OpenSource(raw string) (backends.ReadStore, error) {
	p, err := parse(raw)
	if err != nil {
		return nil, err
	}
	return p.source()
}

// OpenDestination opens a location that is written, and makes its directory.
func OpenDestination(raw string) (backends.Store, error) {
	p, err := parse(raw)
	if err != nil {
		return nil, err
	}
	return p.destination()
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

// Identity names the place wherever the program is started and however the
// location is written: the absolute path of a volume, or the address of a
// bucket without what does not tell one from another. Nothing is opened.
func Identity(raw string) (string, error) {
	p, err := parse(raw)
	if err != nil {
		return "", err
	}
	return p.identity()
}

// ErrNotVolume says that a location is no directory.
var ErrNotVolume = errors.New("it is no directory")

// Path returns the directory of a location that is a volume, else ErrNotVolume.
func Path(raw string) (dir string, err error) {
	p, err := parse(raw)
	if err != nil {
		return "", err
	}
	if v, ok := p.(volume); ok {
		return v.dir, nil
	}
	return "", &Error{raw, ErrNotVolume}
}

// Error says what is wrong with a location, and shows a right one.
type Error struct {
	Location string
	Err      error
}

// Error quotes the location, without what may be a secret in it.
func (e *Error) Error() string {
	example := "write a directory such as /var/lib/registry or file:///mnt/nfs/registry?uid=1000&gid=1000"
	if strings.HasPrefix(e.Location, "s3:") {
		example = "write s3://bucket/rootdirectory?region=eu-central-1 or s3://bucket?endpoint=https://minio.example.com:9000"
	}
	return fmt.Sprintf("location %q: %v; %s", Redacted(e.Location), e.Err, example)
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Redacted is a location to be shown: it leaves out user names, passwords and the values of all options but
// those that are known not to be secret. One that cannot be parsed is cut
// where any of these may begin.
func Redacted(raw string) string {
	scheme, rest, isURL := strings.Cut(raw, "://")
	if !isURL {
		return raw
	}
	head, query, hasQuery := strings.Cut(rest, "?")
	if at := strings.LastIndexByte(head, '@'); at >= 0 {
		head = "..." + head[at:]
	}
	out := scheme + "://" + head
	if !hasQuery {
		return out
	}
	options := strings.Split(query, "&")
	for i, o := range options {
		name, value, _ := strings.Cut(o, "=")
		if !slices.Contains(harmless, name) || strings.ContainsRune(value, '@') {
			options[i] = name + "=..."
		}
	}
	return out + "?" + strings.Join(options, "&")
}

var harmless = append(append([]string{}, fileOptions...), s3Options...)

func parse(raw string) (p place, err error) {
	scheme, _, isURL := strings.Cut(raw, "://")
	switch {
	case raw == "":
		err = errors.New("it is empty")
	case !isURL, scheme == "file":
		p, err = parseFile(raw)
	case scheme == "s3":
		p, err = parseS3(raw)
	default:
		err = fmt.Errorf("the scheme %q is not known here, only file, s3 and plain paths are", scheme)
	}
	if err != nil {
		return nil, &Error{raw, err}
	}
	return p, nil
}

// parseURL leaves out of its error what url.Parse repeats of the input.
func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	var wrong *url.Error
	if errors.As(err, &wrong) {
		return nil, wrong.Err
	}
	return u, err
}

// options reads a query. A name that is not known is an error: an option with
// a slip in it must not be one that is silently not in force.
func options(query string, known []string, set func(name, value string) error) error {
	q, err := url.ParseQuery(query)
	if err != nil {
		return err
	}
	for name, values := range q {
		if len(values) != 1 {
			return fmt.Errorf("the option %s is given %d times", name, len(values))
		}
		if !slices.Contains(known, name) {
			return fmt.Errorf("the option %q is not known, these are: %s", name, strings.Join(slices.Sorted(slices.Values(known)), ", "))
		}
		if err := set(name, values[0]); err != nil {
			return err
		}
	}
	return nil
}

func yes(name, value string) (bool, error) {
	b, err := strconv.ParseBool(value)
	if err != nil {
		return false, fmt.Errorf("%s=%s is neither true nor false", name, value)
	}
	return b, nil
}
