package location

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/filesystem"
)

// volume is a directory.
type volume struct {
	dir string
	o   filesystem.Options

	// claim is the Kubernetes volume that has to be mounted there, or empty. One
	// that is not must not become a new directory of this machine.
	claim string
}

func (v volume) mounted() error {
	if v.claim == "" {
		return nil
	}
	if info, err := os.Stat(v.dir); err != nil || !info.IsDir() {
		return fmt.Errorf("%s is not mounted at %s here: say where it is with --from-mount or --to-mount, or run where it is mounted", v.claim, backends.Printable(v.dir))
	}
	return nil
}

func (v volume) source(context.Context, Opener) (backends.ReadStore, error) {
	if err := v.mounted(); err != nil {
		return nil, err
	}
	return filesystem.OpenReader(v.dir, v.o)
}

func (v volume) destination(context.Context, Opener) (backends.Store, error) {
	if err := v.mounted(); err != nil {
		return nil, err
	}
	return filesystem.Open(v.dir, v.o)
}

func (v volume) identity() (string, error) { return filepath.Abs(v.dir) }

var fileOptions = []string{"file_mode", "dir_mode", "uid", "gid", "fsync"}

func parseFile(raw string) (place, error) {
	var o filesystem.Options
	_, rest, isURL := strings.Cut(raw, "://")
	if meant, slip := meantURL(raw); slip {
		return nil, fmt.Errorf("it is no URL, did you mean %s? A directory of that name is ./%s", Redacted(meant), Redacted(raw))
	}
	if !isURL {
		return volume{dir: raw, o: o}, nil
	}
	u, err := parseURL(raw)
	switch {
	case err != nil:
		return nil, err
	case u.Host != "" || u.Path == "":
		return nil, fmt.Errorf("a file URL has three slashes and an absolute path, not file://%s", rest)
	case u.User != nil || u.Fragment != "":
		return nil, fmt.Errorf("a file URL has a path and options, nothing else")
	}
	err = options(u.RawQuery, fileOptions, func(name, value string) (err error) {
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
		}
		return err
	})
	return volume{dir: u.Path, o: o}, err
}

// meantURL is the URL that a path with a scheme before it was meant for, such as
// s3:/bucket.
func meantURL(raw string) (meant string, slip bool) {
	scheme, rest, ok := strings.Cut(raw, ":")
	if !ok || strings.HasPrefix(rest, "//") || !slices.Contains(knownSchemes(), scheme) {
		return "", false
	}
	slashes := "://"
	if scheme == "file" {
		slashes = ":///"
	}
	return scheme + slashes + strings.TrimLeft(rest, "/"), true
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
