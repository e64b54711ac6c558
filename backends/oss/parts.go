package oss

import (
	"context"
	"hash/crc64"
	"io"
	"strconv"

	sdk "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/parts"
)

// upload is an object that is sent in parts.
type upload struct {
	*parts.Sender
	s     *Store
	key   string
	stale []string

	parts []sdk.UploadPart
	crcs  []uint64
}

func (s *Store) newUpload(key string, c backends.Content, part int64) *upload {
	n := parts.Parts(c.Size, part)
	u := &upload{s: s, key: key, parts: make([]sdk.UploadPart, n), crcs: make([]uint64, n)}
	u.Sender = &parts.Sender{
		Content: c, Part: part, Parallel: s.o.Parallel, Buffers: s.buffers,
		Begin: u.begin, Send: u.sendPart,
	}
	return u
}

// partSize makes 10,000 parts suffice.
func (o *Options) partSize(size int64) int64 {
	const mib = 1 << 20
	least := (size + maxParts - 1) / maxParts
	return max(o.PartSize, (least+mib-1)/mib*mib)
}

func (s *Store) putParts(ctx context.Context, key string, c backends.Content) error {
	u, err := s.resume(ctx, key, c)
	if err != nil {
		return err
	}
	if u == nil {
		size := s.o.PartSize
		if c.Size > size*maxParts {
			size = s.o.partSize(c.Size)
		}
		u = s.newUpload(key, c, size)
	}
	defer func() { s.held.Release(u.Token) }()
	if err = u.Run(ctx); err == nil {
		err = u.complete(ctx)
	}
	if err != nil {
		err = ended(ctx, err)
		gone := hasCode(err, "NoSuchUpload") // of a key it would be NotFound
		if u.Token != "" && (gone || !u.Keep(err, classOf(err))) {
			parts.Abandon(ctx, func() { s.abort(ctx, u.key, u.Token) })
		}
		if gone && ctx.Err() == nil {
			return backends.Refuse(backends.Transient, "somebody aborted the upload")
		}
		return err
	}
	for _, id := range u.stale {
		if !s.held.Holds(id) {
			s.abort(ctx, key, id)
		}
	}
	return nil
}

// begin is not cancelled half way: nobody would know the name of what the
// service then has.
func (u *upload) begin(ctx context.Context) (string, error) {
	o := u.s.o
	in := &sdk.InitiateMultipartUploadRequest{
		Bucket: &o.Bucket, Key: u.s.d.name(u.key), ContentType: sdk.Ptr(contentType), StorageClass: sdk.StorageClassType(o.StorageClass),
	}
	in.ServerSideEncryption, in.ServerSideEncryptionKeyId = u.s.d.encryption()
	whole, cancel := backends.Detached(ctx)
	defer cancel()
	out, err := u.s.d.client.InitiateMultipartUpload(whole, in)
	if err != nil {
		return "", err
	}
	id := sdk.ToString(out.UploadId)
	if id == "" {
		return "", backends.Refuse(backends.Transient, "the answer does not name the upload")
	}
	u.s.held.Hold(id)
	u.stale = u.s.staleUploads(ctx, u.key, id)
	return id, nil
}

func (u *upload) sendPart(ctx context.Context, n int, b []byte) error {
	number := int32(n + 1)
	in := &sdk.UploadPartRequest{
		Bucket: &u.s.o.Bucket, Key: u.s.d.name(u.key), UploadId: &u.Token, PartNumber: number,
		ContentMD5: contentMD5(b), ContentLength: sdk.Ptr(int64(len(b))),
	}
	var out *sdk.UploadPartResult
	err := sending(ctx, b, func(r io.Reader) (err error) {
		in.Body = r
		out, err = u.s.d.client.UploadPart(ctx, in)
		return err
	})
	if err != nil {
		return err
	}
	u.parts[n], u.crcs[n] = sdk.UploadPart{PartNumber: number, ETag: out.ETag}, crc64.Checksum(b, ecma)
	if said := sdk.ToString(out.HashCRC64); said != "" && said != strconv.FormatUint(u.crcs[n], 10) {
		return backends.Refuse(backends.Corrupt, "the service has stored another part than was sent")
	}
	return nil
}

// crc is that of the whole, by those of its parts.
func (u *upload) crc() (sum uint64) {
	for n, crc := range u.crcs {
		sum = sdk.CRC64Combine(sum, crc, uint64(min(u.Part, u.Content.Size-int64(n)*u.Part)))
	}
	return sum
}

func (u *upload) complete(ctx context.Context) error {
	var out *sdk.CompleteMultipartUploadResult
	err := again(ctx, func() (err error) {
		out, err = u.s.d.client.CompleteMultipartUpload(ctx, &sdk.CompleteMultipartUploadRequest{
			Bucket: &u.s.o.Bucket, Key: u.s.d.name(u.key), UploadId: &u.Token, Acl: sdk.ObjectACLType(u.s.o.ACL),
			CompleteMultipartUpload: &sdk.CompleteMultipartUpload{Parts: u.parts},
		}, once)
		return err
	})
	if err != nil {
		if ctx.Err() == nil && u.landed(ctx) {
			return nil
		}
		return err
	}
	return u.s.compare(ctx, u.key, sdk.ToString(out.HashCRC64), u.crc())
}

// landed says whether the object is the one that was sent, although the answer
// to its completion was lost, or the request was repeated after it had worked.
func (u *upload) landed(ctx context.Context) bool {
	out, err := u.s.d.head(ctx, u.key)
	return err == nil && out.ContentLength == u.Content.Size && sdk.ToString(out.HashCRC64) == strconv.FormatUint(u.crc(), 10)
}

// abort frees what the service keeps of an upload. A policy may forbid that;
// the object, if it was stored, is none the worse.
func (s *Store) abort(ctx context.Context, key, id string) {
	ctx, cancel := backends.Detached(ctx)
	defer cancel()
	_, err := s.d.client.AbortMultipartUpload(ctx, &sdk.AbortMultipartUploadRequest{Bucket: &s.o.Bucket, Key: s.d.name(key), UploadId: &id})
	switch {
	case err == nil, hasCode(err, "NoSuchUpload"):
	case classOf(err) == backends.Denied:
		s.notice("unfinished uploads cannot be aborted, oss:AbortMultipartUpload is denied: their parts stay, and are paid for, until a lifecycle rule of the bucket removes them")
	default:
		s.notice("an unfinished upload could not be aborted: " + backends.Printable(key) + ": " + shortened(err).Error())
	}
}
