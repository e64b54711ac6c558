package bucket

import (
	"context"

	"gocloud.dev/gcerrors"

	"github.com/regferry/regferry/backends"
)

var _ backends.Deleter = (*Store)(nil)

// Delete takes a key that is not there for deleted, which gocloud does not. It
// is not given up half way (rule D5). gocloud has no condition but that nothing be
// there, so nothing can be replaced on one.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := valid("delete", key); err != nil {
		return err
	}
	err := ctx.Err() // memblob does not look at it
	if err == nil {
		whole, cancel := backends.Detached(ctx)
		defer cancel()
		err = s.bucket.Delete(whole, key)
	}
	if err != nil && gcerrors.Code(err) != gcerrors.NotFound {
		return s.failed("delete", key, err)
	}
	return nil
}
