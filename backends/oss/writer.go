package oss

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"errors"
	"io"

	sdk "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
	"gocloud.dev/blob/driver"

	"github.com/regferry/regferry/backends"
)

// writer is gocloud's way to write: it buffers a part, and sends one after the
// other. Store has a better one.
type writer struct {
	ctx  context.Context
	d    *drive
	put  sdk.PutObjectRequest
	buf  []byte
	id   *string // of the upload, when there is more than a part
	sent []sdk.UploadPart
	err  error
}

func (d *drive) NewTypedWriter(ctx context.Context, key, contentType string, opts *driver.WriterOptions) (driver.Writer, error) {
	if key == "" {
		return nil, backends.Refuse(backends.Unsupported, "an object has a name")
	}
	part := max(minPart, opts.BufferSize)
	if opts.BufferSize == 0 {
		part = 5 << 20
	}
	w := &writer{ctx: ctx, d: d, buf: make([]byte, 0, part)}
	w.put = sdk.PutObjectRequest{
		Bucket: &d.o.Bucket, Key: d.name(key), ContentType: given(contentType), Metadata: writable(opts.Metadata),
		CacheControl: given(opts.CacheControl), ContentDisposition: given(opts.ContentDisposition), ContentEncoding: given(opts.ContentEncoding),
		Acl: sdk.ObjectACLType(d.o.ACL), StorageClass: sdk.StorageClassType(d.o.StorageClass),
	}
	w.put.ServerSideEncryption, w.put.ServerSideEncryptionKeyId = d.encryption()
	if opts.ContentLanguage != "" {
		w.put.Headers = map[string]string{"Content-Language": opts.ContentLanguage}
	}
	if opts.IfNotExist {
		w.put.ForbidOverwrite = sdk.Ptr("true")
	}
	if opts.ContentMD5 != nil {
		w.put.ContentMD5 = sdk.Ptr(base64.StdEncoding.EncodeToString(opts.ContentMD5))
	}
	if opts.BeforeWrite != nil {
		if err := opts.BeforeWrite(as(&w.put)); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func given(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func (w *writer) Write(p []byte) (int, error) {
	n := 0
	for w.err == nil && n < len(p) {
		if len(w.buf) == cap(w.buf) {
			w.err = w.send()
			continue
		}
		k := min(len(p)-n, cap(w.buf)-len(w.buf))
		w.buf = append(w.buf, p[n:n+k]...)
		n += k
	}
	return n, w.err
}

// send sends the buffer as a part.
func (w *writer) send() error {
	if w.id == nil {
		out, err := w.d.client.InitiateMultipartUpload(w.ctx, &sdk.InitiateMultipartUploadRequest{
			Bucket: w.put.Bucket, Key: w.put.Key, ContentType: w.put.ContentType, Metadata: w.put.Metadata,
			CacheControl: w.put.CacheControl, ContentDisposition: w.put.ContentDisposition, ContentEncoding: w.put.ContentEncoding,
			StorageClass: w.put.StorageClass, ServerSideEncryption: w.put.ServerSideEncryption,
			ServerSideEncryptionKeyId: w.put.ServerSideEncryptionKeyId, ForbidOverwrite: w.put.ForbidOverwrite, RequestCommon: w.put.RequestCommon,
		})
		if err != nil {
			return ended(w.ctx, err)
		}
		w.id = out.UploadId
	}
	n := int32(len(w.sent) + 1)
	in := &sdk.UploadPartRequest{
		Bucket: w.put.Bucket, Key: w.put.Key, UploadId: w.id, PartNumber: n,
		ContentMD5: contentMD5(w.buf), ContentLength: sdk.Ptr(int64(len(w.buf))),
	}
	var out *sdk.UploadPartResult
	err := sending(w.ctx, w.buf, func(r io.Reader) (err error) {
		in.Body = r
		out, err = w.d.client.UploadPart(w.ctx, in)
		return err
	})
	if err != nil {
		return err
	}
	w.sent = append(w.sent, sdk.UploadPart{PartNumber: n, ETag: out.ETag})
	w.buf = w.buf[:0]
	return nil
}

func (w *writer) Close() error {
	err := errors.Join(w.err, w.ctx.Err())
	switch {
	case err != nil:
	case w.id == nil:
		w.put.ContentLength = sdk.Ptr(int64(len(w.buf)))
		if w.put.ContentMD5 == nil {
			w.put.ContentMD5 = contentMD5(w.buf)
		}
		return sending(w.ctx, w.buf, func(r io.Reader) error {
			w.put.Body = r
			_, err := w.d.client.PutObject(w.ctx, &w.put)
			return err
		})
	default:
		if err = w.send(); err == nil {
			_, err = w.d.client.CompleteMultipartUpload(w.ctx, &sdk.CompleteMultipartUploadRequest{
				Bucket: w.put.Bucket, Key: w.put.Key, UploadId: w.id, Acl: w.put.Acl, ForbidOverwrite: w.put.ForbidOverwrite,
				CompleteMultipartUpload: &sdk.CompleteMultipartUpload{Parts: w.sent},
			})
		}
	}
	if err != nil && w.id != nil {
		ctx, cancel := backends.Detached(w.ctx)
		defer cancel()
		_, _ = w.d.client.AbortMultipartUpload(ctx, &sdk.AbortMultipartUploadRequest{Bucket: w.put.Bucket, Key: w.put.Key, UploadId: w.id})
	}
	return ended(w.ctx, err)
}

func contentMD5(b []byte) *string {
	sum := md5.Sum(b)
	return sdk.Ptr(base64.StdEncoding.EncodeToString(sum[:]))
}

func (d *drive) encryption() (method, keyID *string) {
	switch {
	case !d.o.Encrypt:
		return nil, nil
	case d.o.EncryptionKeyID != "":
		return sdk.Ptr("KMS"), &d.o.EncryptionKeyID
	}
	return sdk.Ptr("AES256"), nil
}
