package oss

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"strconv"
	"strings"

	sdk "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/parts"
)

// contentType is what a registry writes.
const contentType = "application/octet-stream"

// scratch is beside docker/, never inside it.
const scratch = ".regferry/"

// probePrefix is of the objects that test the store.
const probePrefix = scratch + "probe-"

var ecma = crc64.MakeTable(crc64.ECMA)

// Put stores an object: in one request up to the size of a part, else in
// parts, which can be resumed if Content.Saved is given.
func (s *Store) Put(ctx context.Context, key string, c backends.Content) (backends.Object, error) {
	err := s.checkPut(ctx, key, c)
	switch {
	case err != nil:
	case c.Size <= s.o.PartSize:
		err = s.putWhole(ctx, key, c)
	default:
		err = s.putParts(ctx, key, c)
	}
	if err != nil {
		return backends.Object{}, s.failed("put", key, ended(ctx, err))
	}
	return backends.Object{Key: key, Size: c.Size}, nil
}

func (s *Store) checkPut(ctx context.Context, key string, c backends.Content) error {
	if err := parts.Check(ctx, c, maxSize, "an object has at most 48.8 TiB"); err != nil {
		return err
	}
	if len(s.o.Prefix+key) > maxKey {
		return backends.Refuse(backends.Unsupported, "a key has at most 1023 bytes, with the root directory")
	}
	return checkKey(key)
}

// putWhole reads all of the content, and the source's verdict on it, before it
// sends anything. The digest is compared here: the service knows none, and so
// can refuse only what was changed on the way to it.
func (s *Store) putWhole(ctx context.Context, key string, c backends.Content) error {
	buf, err := s.buffers.Get(ctx, c.Size)
	if err != nil {
		return err
	}
	defer s.buffers.Put(buf)
	if err := parts.Whole(ctx, c, buf.B); err != nil {
		return err
	}
	if c.Digest.Validate() == nil && c.Digest.Algorithm().FromBytes(buf.B) != c.Digest {
		return backends.Refuse(backends.Corrupt, "the content has not the digest that it should have")
	}
	out, err := s.putObject(ctx, key, buf.B, contentMD5(buf.B))
	if err != nil {
		return err
	}
	return s.compare(ctx, key, sdk.ToString(out.HashCRC64), crc64.Checksum(buf.B, ecma))
}

func (s *Store) putObject(ctx context.Context, key string, b []byte, md5 *string) (*sdk.PutObjectResult, error) {
	in := &sdk.PutObjectRequest{
		Bucket: &s.o.Bucket, Key: s.d.name(key), ContentType: sdk.Ptr(contentType), ContentMD5: md5, ContentLength: sdk.Ptr(int64(len(b))),
		Acl: sdk.ObjectACLType(s.o.ACL), StorageClass: sdk.StorageClassType(s.o.StorageClass),
	}
	in.ServerSideEncryption, in.ServerSideEncryptionKeyId = s.d.encryption()
	var out *sdk.PutObjectResult
	err := sending(ctx, b, func(r io.Reader) (err error) {
		in.Body = r
		out, err = s.d.client.PutObject(ctx, in)
		return err
	})
	return out, err
}

// compare removes an object that the service says is another than was sent.
// Where the answer does not say, as one that was lost, the object is asked.
func (s *Store) compare(ctx context.Context, key, said string, crc uint64) error {
	if said == "" {
		out, err := s.d.head(ctx, key)
		if err != nil {
			return err
		}
		said = sdk.ToString(out.HashCRC64)
	}
	if said == strconv.FormatUint(crc, 10) {
		return nil
	}
	bad := backends.Refuse(backends.Corrupt, fmt.Sprintf("the service has stored something else than was sent (CRC64 %s, not %d); it was removed", backends.Printable(said), crc))
	if err := s.remove(ctx, key); err != nil {
		return fmt.Errorf("%w, or should be: %w", bad, shortened(err))
	}
	return bad
}

// remove is not given up with the context.
func (s *Store) remove(ctx context.Context, key string) error {
	ctx, cancel := backends.Detached(ctx)
	defer cancel()
	_, err := s.d.client.DeleteObject(ctx, &sdk.DeleteObjectRequest{Bucket: &s.o.Bucket, Key: s.d.name(key)})
	return ended(ctx, err)
}

// Delete is one request, which is not given up half way (rule D5); in a bucket that keeps versions it leaves a marker.
// There is no condition but that nothing be there (x-oss-forbid-overwrite), so
// nothing can be replaced on one.
func (s *Store) Delete(ctx context.Context, key string) error {
	err := checkKey(key)
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = s.remove(ctx, key)
	}
	if err != nil && classOf(err) != backends.NotFound {
		return s.failed("delete", key, err)
	}
	return nil
}

func newProbe() string { return probePrefix + strings.ToLower(rand.Text()) }

// probe puts an object, and then another with a wrong MD5. That has a key of its
// own: a retention policy forbids to write over the first.
func (s *Store) probe(ctx context.Context) error {
	key := newProbe()
	content := []byte("regferry asks here whether the store refuses wrong checksums\n")
	out, err := s.putObject(ctx, key, content, contentMD5(content))
	if err != nil {
		return ended(ctx, err)
	}
	defer s.tidy(ctx, key)
	if crc := strconv.FormatUint(crc64.Checksum(content, ecma), 10); sdk.ToString(out.HashCRC64) != crc {
		return backends.Refuse(backends.Unsupported, "the service does not say which CRC64 (x-oss-hash-crc64ecma) it has stored, as OSS does: nothing that is written could be proved")
	}
	s.d.etags.Learn(content, sdk.ToString(out.ETag), plain(out.Headers))
	key = newProbe()
	_, err = s.putObject(ctx, key, content, contentMD5(nil))
	if err == nil {
		s.tidy(ctx, key)
		return backends.Refuse(backends.Unsupported, "the service accepts a wrong Content-MD5, as OSS does not: nothing that is written could be proved")
	}
	if classOf(err) == backends.Corrupt {
		return nil
	}
	return errors.Join(ctx.Err(), err)
}
