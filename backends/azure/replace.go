package azure

import (
	"context"
	"fmt"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"

	"github.com/regferry/regferry/backends"
)

// Get reads a small blob. Its version is the ETag, a new one with each change.
func (s *Store) Get(ctx context.Context, key string) ([]byte, string, error) {
	content, version, err := s.get(ctx, key)
	if err != nil {
		return nil, "", s.failed("get", key, err)
	}
	return content, version, nil
}

func (s *Store) get(ctx context.Context, key string) ([]byte, string, error) {
	if err := checkKey(key, maxKey); err != nil {
		return nil, "", err
	}
	out, err := s.blob(key).DownloadStream(ctx, nil)
	if err != nil {
		return nil, "", err
	}
	size, err := whole(out, 0)
	if err == nil && out.ETag == nil {
		err = errNoETag
	}
	if err != nil {
		out.Body.Close()
		return nil, "", err
	}
	content, err := backends.ReadSmall(backends.Promised(ctx, out.Body, key, size))
	return content, string(*out.ETag), err
}

var errNoETag = backends.Refuse(backends.Transient, "the answer has no ETag, which each of the service's has")

// PutIf is one request, which is not repeated: of one that has worked and whose
// answer was lost, the second would be told that somebody has changed the blob.
func (s *Store) PutIf(ctx context.Context, key string, content []byte, version string) (string, error) {
	next, err := s.putIf(ctx, key, content, version)
	if err != nil {
		return "", s.failed("replace", key, err)
	}
	return next, nil
}

func (s *Store) putIf(ctx context.Context, key string, content []byte, version string) (string, error) {
	if err := backends.CheckSmall(ctx, content); err != nil {
		return "", err
	}
	if err := checkKey(key, maxKey); err != nil {
		return "", err
	}
	on := &blob.ModifiedAccessConditions{IfMatch: to.Ptr(azcore.ETag(version))}
	if version == "" {
		on = &blob.ModifiedAccessConditions{IfNoneMatch: to.Ptr(azcore.ETagAny)}
	}
	out, err := s.uploadOn(policy.WithRetryOptions(ctx, policy.RetryOptions{MaxRetries: -1}), key, content, s.claim(content), &blob.AccessConditions{ModifiedAccessConditions: on})
	switch {
	case bloberror.HasCode(err, bloberror.BlobAlreadyExists), bloberror.HasCode(err, bloberror.BlobNotFound):
		return "", fmt.Errorf("%w: %w", backends.Refuse(backends.Changed, "it is not the one that was read"), answer{err})
	case err != nil:
		return "", err
	case out.ETag == nil:
		return "", errNoETag
	}
	return string(*out.ETag), nil
}
