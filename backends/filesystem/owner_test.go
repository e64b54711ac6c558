package filesystem

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/regferry/regferry/backends"
)

// names is a directory as a file system sees it that compares names by fold.
type names struct {
	made string
	fold func(string) string
	err  error
}

func (n names) lstat(name string) (info, error) {
	if n.err != nil {
		return info{}, n.err
	}
	if n.fold(name) != n.fold(n.made) {
		return info{}, syscall.ENOENT
	}
	return info{}, nil
}

func TestTellsCasesApart(t *testing.T) {
	const file = "tmp-a/1/probe"
	for name, c := range map[string]struct {
		lstat func(string) (info, error)
		want  error
	}{
		"by bytes":       {names{file, strings.Clone, nil}.lstat, nil},
		"folded":         {names{file, strings.ToLower, nil}.lstat, backends.Unsupported},
		"cannot be told": {names{file, strings.Clone, syscall.EIO}.lstat, syscall.EIO},
	} {
		if err := tellsCasesApart(c.lstat, file); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}
