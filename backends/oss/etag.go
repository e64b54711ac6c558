package oss

import (
	"context"
	"net/http"

	sdk "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"

	"github.com/regferry/regferry/backends/parts"
)

// normal is the type of an object that was put in one request: only its ETag is
// an MD5.
const normal = "Normal"

// md5 is the MD5 of a listed object, nil where it is not known.
func (d *drive) md5(ctx context.Context, key string, size int64, etag string) []byte {
	return d.etags.MD5(etag, size, func() (parts.Tagged, error) {
		out, err := d.client.GetObject(ctx, &sdk.GetObjectRequest{Bucket: &d.o.Bucket, Key: d.name(key)})
		if err != nil {
			return parts.Tagged{}, err
		}
		return parts.Tagged{Body: out.Body, ETag: sdk.ToString(out.ETag), Plain: plain(out.Headers)}, nil
	})
}

// plain says whether an object is encrypted in no way that changes its ETag.
func plain(h http.Header) bool {
	e := h.Get("x-oss-server-side-encryption")
	return e == "" || e == "AES256"
}
