//go:build !linux

package filesystem

import (
	"context"
	"fmt"
	"runtime"

	"github.com/regferry/regferry/backends"
)

// Space is known on Linux only.
func (s *Store) Space(ctx context.Context) (backends.Space, error) {
	return backends.Space{}, fail("stat", "", &refusal{backends.Unsupported, "free space is not known on " + runtime.GOOS})
}

func (t *tree) syncfs() error {
	return &refusal{backends.Unsupported, "only Linux has syncfs"}
}

func (t *tree) groupSync(forced bool) (bool, error) {
	if forced {
		return false, &refusal{backends.Unsupported, fmt.Sprintf("fsync %q needs Linux: give %q", FsyncGroup, FsyncEach)}
	}
	return false, nil
}
