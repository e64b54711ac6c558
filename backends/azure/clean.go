package azure

import (
	"context"
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
			if s.remove(ctx, o.Key) {
				removed++
			}
		}
	}
	return removed, ctx.Err()
}

// remove removes something in scratch, and says whether it did. If it cannot,
// Clean does later; that a policy forbids it is no failure of a run.
func (s *Store) remove(ctx context.Context, name string) bool {
	ctx, cancel := backends.Detached(ctx)
	defer cancel()
	err := s.scratch.Delete(ctx, name)
	switch class := classOf(err); {
	case err == nil:
		return true
	case gcerrors.Code(err) == gcerrors.NotFound, class == backends.NotFound:
	case class == backends.Denied, class == backends.Unsupported:
		s.notice("scratch cannot be removed, since the rights here or a retention policy forbid to delete: it stays below " + scratch)
	default:
		s.notice("scratch could not be removed: " + answer{err}.Error())
	}
	return false
}
