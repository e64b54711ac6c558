package s3

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/regferry/regferry/backends"
)

// Delete is one request; in a bucket that keeps versions it leaves a marker. It
// is not given up half way (rule D5): Swift goes on with a deletion that nobody waits for,
// and an object in parts is then there for a while without some of them.
func (s *Store) Delete(ctx context.Context, key string) error {
	err := backends.CheckKey(key, maxKey)
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		whole, cancel := backends.Detached(ctx)
		defer cancel()
		err = s.deleteObject(whole, key)
	}
	if err != nil && classOf(err) != backends.NotFound {
		return s.failed("delete", key, err)
	}
	return nil
}

func (s *Store) deleteObject(ctx context.Context, key string) error {
	_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &s.o.Bucket, Key: s.name(key)})
	return err
}
