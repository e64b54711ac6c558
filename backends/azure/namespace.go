package azure

import (
	"context"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/regferry/regferry/backends"
)

var (
	errHierarchical = backends.Refuse(backends.Unsupported, "the account has a hierarchical namespace (Data Lake Storage Gen2), "+
		"whose listings are not in the order of names, and where a registry cannot delete: use an account without one (azcopy copies a container there)")
	errDirectory = backends.Refuse(backends.Unsupported, "directories are listed, as by an account with a hierarchical namespace (Data Lake Storage Gen2), "+
		"whose listings are not in the order of names: use an account without one (azcopy copies a container there). "+
		"If this one has none, remove the blobs that have the metadata hdi_isfolder, or use an account key, which may ask for that")
)

// askNamespace refuses an account with a hierarchical namespace. Who may read
// blobs need not be allowed to ask for it: then it is the listings that tell.
func (r *Reader) askNamespace(ctx context.Context) error {
	info, err := r.client.GetAccountInfo(policy.WithRetryOptions(ctx, policy.RetryOptions{MaxRetries: -1}), nil)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil || info.IsHierarchicalNamespaceEnabled == nil:
		return nil
	case *info.IsHierarchicalNamespaceEnabled:
		return errHierarchical
	}
	r.flat = true
	return nil
}

// lookForDirectory is for an account that could not be asked: what was written in
// scratch has made a directory of it, where there are such.
func (r *Reader) lookForDirectory(ctx context.Context) error {
	if r.flat {
		return nil
	}
	_, err := r.any(ctx, r.root+strings.TrimSuffix(scratch, "/"))
	return err
}

// object says whether a listed blob is one, and no directory. Tools make blobs
// for directories in a flat namespace as well, which are passed over.
func (r *Reader) object(item *container.BlobItem) (bool, error) {
	folder := isFolder(item.Metadata)
	if folder && !r.flat {
		return false, errDirectory
	}
	return !folder, nil
}
