//go:build !linux

package filesystem

import (
	"context"
	"fmt"
	"runtime"

	"github.com/regferry/regferry/backends"
)

// Space is known on Linux only.
func (s *Reader) Space(ctx context.Context) (backends.Space, error) {
	return backends.Space{}, fail("stat", "", backends.Refuse(backends.Unsupported, "free space is not known on "+runtime.GOOS))
}

func (t *tree) syncfs() error {
	return backends.Refuse(backends.Unsupported, "only Linux has syncfs")
}

func (t *tree) groupSync(forced bool) (bool, error) {
	if forced {
		return false, backends.Refuse(backends.Unsupported, fmt.Sprintf("fsync %q needs Linux: give %q", FsyncGroup, FsyncEach))
	}
	return false, nil
}

func syncfsTells() bool { return true }

func (s *scratch) syncJournal() error { return nil }

func (t *tree) drain() {}
