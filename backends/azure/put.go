package azure

import (
	"bytes"
	"context"
	"errors"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/parts"
)

// Put stores an object: in one request up to the size of a part, else in
// blocks, which can be resumed if Content.Saved is given.
func (s *Store) Put(ctx context.Context, key string, c backends.Content) (backends.Object, error) {
	err := s.checkPut(ctx, key, c)
	switch {
	case err != nil:
	case c.Size <= s.o.PartSize:
		err = s.putWhole(ctx, key, c)
	default:
		err = s.putBlocks(ctx, key, c)
	}
	if err != nil {
		return backends.Object{}, s.failed("put", key, err)
	}
	return backends.Object{Key: key, Size: c.Size}, nil
}

func (s *Store) checkPut(ctx context.Context, key string, c backends.Content) error {
	if err := parts.Check(ctx, c, maxPart*maxBlocks, "a blob has at most 50,000 blocks of 4000 MiB"); err != nil {
		return err
	}
	if len(s.root+key) > maxKey {
		return backends.Refuse(backends.Unsupported, "a name has at most 1024 bytes, with the root directory")
	}
	return checkKey(key, maxKey)
}

// putWhole reads all of the content, and the source's verdict on it, before it
// sends anything.
func (s *Store) putWhole(ctx context.Context, key string, c backends.Content) error {
	buf, err := s.buffers.Get(ctx, c.Size)
	if err != nil {
		return err
	}
	defer s.buffers.Put(buf)
	if err := parts.Whole(ctx, c, buf.B); err != nil {
		return err
	}
	if s.o.appendLinks() && isLink(key, c.Size) {
		return s.putAppended(ctx, key, buf.B)
	}
	err = s.upload(ctx, key, buf.B, s.claim(buf.B))
	if !bloberror.HasCode(err, bloberror.InvalidBlobType) {
		return err
	}
	if s.o.RegistryVersion == "" && isLink(key, c.Size) {
		return s.putAppended(ctx, key, buf.B) // as who overwrites it has it
	}
	return s.replace(ctx, key, func(ctx context.Context) error { return s.upload(ctx, key, buf.B, s.claim(buf.B)) })
}

// headers are a blob's own; the type is the one that a registry writes.
func headers(sum []byte) *blob.HTTPHeaders {
	return &blob.HTTPHeaders{BlobContentType: to.Ptr("application/octet-stream"), BlobContentMD5: sum}
}

// upload is Put Blob. The service keeps an MD5 that it has compared.
func (s *Store) upload(ctx context.Context, key string, b []byte, claim blob.TransferValidationType) error {
	_, err := s.uploadOn(ctx, key, b, claim, nil)
	return err
}

// uploadOn is upload on conditions.
func (s *Store) uploadOn(ctx context.Context, key string, b []byte, claim blob.TransferValidationType, on *blob.AccessConditions) (blockblob.UploadResponse, error) {
	sum, _ := claim.(blob.TransferValidationTypeMD5)
	return s.client.NewBlockBlobClient(s.root+key).Upload(ctx, body(b), &blockblob.UploadOptions{
		HTTPHeaders: headers(sum), TransactionalValidation: claim, AccessConditions: on,
	})
}

func body(b []byte) *bodyOf { return &bodyOf{bytes.NewReader(b)} }

type bodyOf struct{ *bytes.Reader }

func (bodyOf) Close() error { return nil }

// replace puts an object in the place of one of another type, which the service
// refuses to do. What is put is at hand, and both go on when the caller gives
// up, so the key holds nothing for one request only.
func (s *Store) replace(ctx context.Context, key string, put func(context.Context) error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	ctx, cancel := backends.Detached(ctx)
	defer cancel()
	if err := s.removeOther(ctx, key); err != nil {
		return err
	}
	return put(ctx)
}

// removeOther removes an object that cannot be overwritten.
func (s *Store) removeOther(ctx context.Context, key string) error {
	seen, err := s.other(ctx, key)
	if err != nil || seen == nil {
		return err
	}
	return s.removeSeen(ctx, key, seen)
}

// other is the version of the object that is in the way, nil for none.
func (s *Store) other(ctx context.Context, key string) (*azcore.ETag, error) {
	p, err := s.blob(key).GetProperties(ctx, nil)
	switch {
	case bloberror.HasCode(err, bloberror.BlobNotFound):
		return nil, nil
	case err != nil:
		return nil, err
	case p.ETag == nil:
		return nil, errNoETag
	}
	return p.ETag, nil
}

// removeSeen removes an object in this version only.
func (s *Store) removeSeen(ctx context.Context, key string, seen *azcore.ETag) error {
	s.notice("it has blobs of another type than is to be written; the service cannot replace those, so each is removed just before")
	_, err := s.blob(key).Delete(ctx, &blob.DeleteOptions{AccessConditions: &blob.AccessConditions{
		ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfMatch: seen},
	}})
	if bloberror.HasCode(err, bloberror.BlobNotFound) {
		return nil
	}
	return err
}

// hasStatus says whether the service answered with this one.
func hasStatus(err error, status int) bool {
	var response *azcore.ResponseError
	return errors.As(err, &response) && response.StatusCode == status
}
