package gcs

import (
	"context"

	"github.com/regferry/regferry/backends"
)

// Delete is one request, which is not given up half way (rule D5); in a bucket that keeps versions the object becomes one.
func (s *Store) Delete(ctx context.Context, key string) error {
	err := backends.CheckKey(key, maxKey)
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		whole, cancel := backends.Detached(ctx)
		defer cancel()
		err = s.absence(whole, s.object(key).Delete(whole))
	}
	if err != nil && classOf(err) != backends.NotFound {
		return s.failed("delete", key, err)
	}
	return nil
}
