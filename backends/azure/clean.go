package azure

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"gocloud.dev/gcerrors"

	"github.com/regferry/regferry/backends"
)

// scratch is beside docker/, never inside it. It is read and removed through
// gocloud: its names are ours, so none is changed there.
const scratch = ".regferry/"

// ours are the beginnings of the names that this package makes there.
var ours = []string{"link-", "probe-"}

// Clean removes what runs that were killed left in scratch, older than
// Options.DeadAfter. Blocks that are not committed are dropped by the service
// a week after the last one of their blob, or when that blob is stored; it has
// no request that lists them for a container, and none that drops them.
func (s *Store) Clean(ctx context.Context, _ map[string]bool) (removed int, err error) {
	for _, prefix := range ours {
		for o, err := range s.inScratch().List(ctx, prefix, "") {
			if err != nil {
				return removed, s.failed("clean", "", err)
			}
			if s.held.Holds(o.Key) || time.Since(o.ModTime) < s.o.DeadAfter {
				continue
			}
			if err := s.scratch.Delete(ctx, o.Key); err != nil && gcerrors.Code(err) != gcerrors.NotFound {
				return removed, s.failed("clean", scratch+o.Key, err)
			}
			removed++
		}
	}
	return removed, nil
}

// remove removes what a Put had in scratch. If it cannot, Clean does later.
func (s *Store) remove(ctx context.Context, name string) {
	ctx, cancel := backends.Detached(ctx)
	defer cancel()
	err := s.scratch.Delete(ctx, name)
	if class := classOf(err); err != nil && class == backends.Denied {
		s.notice("scratch cannot be removed, deleting is denied: remove what is below " + scratch + " by hand")
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) && gcerrors.Code(err) != gcerrors.NotFound {
		s.notice("scratch could not be removed: " + answer{err}.Error())
	}
}
