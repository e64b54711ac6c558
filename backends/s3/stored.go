package s3

import (
	"context"
	"encoding/base64"
	"encoding/hex"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/opencontainers/go-digest"
)

// StoredDigest returns the SHA-256 that the service keeps of a whole object,
// which it compared with the bytes when it got them; empty if it keeps none, or
// one of parts only. It is one HEAD, which needs the right to read the object,
// and with SSE-KMS that to decrypt it.
func (s *Store) StoredDigest(ctx context.Context, key string) (digest.Digest, int64, error) {
	if !s.proof.sum {
		return "", -1, nil // a store that compares nothing may keep anything
	}
	out, err := s.headSum(ctx, key)
	if err != nil {
		return "", -1, s.failed("stat", key, err)
	}
	return sumOf(out), aws.ToInt64(out.ContentLength), nil
}

// StoredDigest returns the SHA-256 that the service says it keeps of a whole
// object; empty if it keeps none, or one of parts only.
//
// A Reader writes nothing, so it cannot try whether the service refuses a wrong
// checksum, as Store does. So this proves that whoever wrote the object claimed
// this digest for it, and where the service compares such claims, as AWS, Ceph
// and MinIO do, that it got these bytes. It does not prove that they have not
// rotted since; who wants that reads them.
func (r *Reader) StoredDigest(ctx context.Context, key string) (digest.Digest, int64, error) {
	out, err := r.headSum(ctx, key)
	if err != nil {
		return "", -1, r.failed("stat", key, err)
	}
	return sumOf(out), aws.ToInt64(out.ContentLength), nil
}

func (r *Reader) headSum(ctx context.Context, key string) (*s3.HeadObjectOutput, error) {
	return r.head(ctx, key, types.ChecksumModeEnabled)
}

// sumOf is the digest of a whole object. That of one in parts is a checksum of
// checksums, with their number at its end.
func sumOf(out *s3.HeadObjectOutput) digest.Digest {
	if out.ChecksumType == types.ChecksumTypeComposite {
		return ""
	}
	return decodedSum(out.ChecksumSHA256)
}

func decodedSum(text *string) digest.Digest {
	raw, err := base64.StdEncoding.DecodeString(aws.ToString(text))
	if err != nil || len(raw) != digest.SHA256.Size() {
		return ""
	}
	return digest.NewDigestFromEncoded(digest.SHA256, hex.EncodeToString(raw))
}
