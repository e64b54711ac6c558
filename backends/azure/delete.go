package azure

import (
	"context"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"

	"github.com/regferry/regferry/backends"
)

// Delete is one request, which is not given up half way (rule D5). A blob that has snapshots is Unsupported: they are
// somebody's, and the service deletes none without the other.
func (s *Store) Delete(ctx context.Context, key string) error {
	err := checkKey(key, maxKey)
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		whole, cancel := backends.Detached(ctx)
		defer cancel()
		_, err = s.blob(key).Delete(whole, nil)
	}
	if err != nil && !bloberror.HasCode(err, bloberror.BlobNotFound) {
		return s.failed("delete", key, err)
	}
	return nil
}
