package s3

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/parts"
)

// md5 is the MD5 of a listed object, nil where it is not known.
func (r *Reader) md5(ctx context.Context, o backends.Object, etag string) []byte {
	size := o.Size
	if backends.CheckKey(o.Key, maxKey) != nil {
		size = 0 // nothing is asked for by such a name
	}
	return r.etags.MD5(etag, size, func() (parts.Tagged, error) {
		out, err := r.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &r.o.Bucket, Key: r.name(o.Key)})
		if err != nil {
			return parts.Tagged{}, err
		}
		return parts.Tagged{Body: out.Body, ETag: aws.ToString(out.ETag), Plain: plain(out.ServerSideEncryption, out.SSECustomerAlgorithm)}, nil
	})
}

// plain says whether an object is encrypted in no way that changes its ETag.
func plain(e types.ServerSideEncryption, customer *string) bool {
	return (e == "" || e == types.ServerSideEncryptionAes256) && customer == nil
}
