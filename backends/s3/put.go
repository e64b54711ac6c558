package s3

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/parts"
)

// contentType is what a registry writes.
const contentType = "application/octet-stream"

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
		return backends.Object{}, s.failed("put", key, err)
	}
	return backends.Object{Key: key, Size: c.Size}, nil
}

func (s *Store) checkPut(ctx context.Context, key string, c backends.Content) error {
	if err := parts.Check(ctx, c, maxSize, "an object has at most 5 TiB"); err != nil {
		return err
	}
	if len(s.o.Prefix+key) > maxKey {
		return backends.Refuse(backends.Unsupported, "a key has at most 1024 bytes, with the root directory")
	}
	return backends.CheckKey(key, maxKey)
}

// putWhole reads all of the content, and the source's verdict on it, before it
// sends anything: a bad source makes no request, and one that has to be
// repeated needs no source.
func (s *Store) putWhole(ctx context.Context, key string, c backends.Content) error {
	buf, err := s.buffers.Get(ctx, c.Size)
	if err != nil {
		return err
	}
	defer s.buffers.Put(buf)
	if err := parts.Whole(ctx, c, buf.B); err != nil {
		return err
	}
	// The digest is what the content has to be, so it is what is claimed: the
	// service then refuses what a source let pass.
	sum := sha256Of(c.Digest)
	if sum == nil {
		sum = hashOf(buf.B)
	}
	if _, err := s.putObject(ctx, key, buf.B, s.proof.claim(buf.B, sum)); err != nil {
		return err
	}
	if s.proof.any() {
		return nil
	}
	return s.readBack(ctx, key, c.Size, c.Size, [][]byte{sum}, nil)
}

// sha256Of is nil for a digest of another algorithm, or none.
func sha256Of(d digest.Digest) []byte {
	if d.Validate() != nil || d.Algorithm() != digest.SHA256 {
		return nil
	}
	sum, err := hex.DecodeString(d.Encoded())
	if err != nil {
		return nil
	}
	return sum
}

func (s *Store) putObject(ctx context.Context, key string, b []byte, c claim) (*s3.PutObjectOutput, error) {
	return s.putObjectWith(ctx, key, b, c, func(*s3.PutObjectInput) {})
}

// putObjectWith lets more be said in the request.
func (s *Store) putObjectWith(ctx context.Context, key string, b []byte, c claim, more func(*s3.PutObjectInput), how ...func(*s3.Options)) (*s3.PutObjectOutput, error) {
	in := &s3.PutObjectInput{
		Bucket: &s.o.Bucket, Key: s.name(key), ContentType: aws.String(contentType),
		Body: bytes.NewReader(b), ContentLength: aws.Int64(int64(len(b))),
		ChecksumSHA256: c.checksum(), ContentMD5: c.contentMD5(),
		ACL: types.ObjectCannedACL(s.o.ACL), StorageClass: types.StorageClass(s.o.StorageClass),
	}
	in.ServerSideEncryption, in.SSEKMSKeyId = s.encryption()
	more(in)
	return s.client.PutObject(ctx, in, append(how, c.signed)...)
}

func (s *Store) encryption() (types.ServerSideEncryption, *string) {
	switch {
	case !s.o.Encrypt:
		return "", nil
	case s.o.KeyID != "":
		return types.ServerSideEncryptionAwsKms, &s.o.KeyID
	}
	return types.ServerSideEncryptionAes256, nil
}

// readBack compares an object with the SHA-256 of its pieces, where they are
// known, or of its whole, and removes it if it is another.
func (s *Store) readBack(ctx context.Context, key string, size, piece int64, sums [][]byte, all []byte) error {
	b, err := s.Open(ctx, key, 0)
	if err != nil {
		return err
	}
	defer b.Close()
	whole, wrong := sha256.New(), b.Object.Size != size
	for i := 0; i < len(sums) && !wrong; i++ {
		part := sha256.New()
		n, err := io.CopyN(io.MultiWriter(whole, part), b, min(piece, size-int64(i)*piece))
		if err != nil && err != io.EOF {
			return err
		}
		wrong = err == io.EOF && n > 0 || sums[i] != nil && !bytes.Equal(part.Sum(nil), sums[i])
	}
	if !wrong && (all == nil || bytes.Equal(whole.Sum(nil), all)) {
		return nil
	}
	ctx, cancel := backends.Detached(ctx)
	defer cancel()
	bad := backends.Refuse(backends.Corrupt, "read again, it is not what was written; it was removed")
	if err := s.deleteObject(ctx, key); err != nil {
		return fmt.Errorf("%w, or should be: %w", bad, err)
	}
	return bad
}
