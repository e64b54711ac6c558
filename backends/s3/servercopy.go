package s3

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
)

// maxCopy is the largest object that the service copies in one request.
const maxCopy = 5 << 30

// copyPrefix is of objects that are being proved.
const copyPrefix = scratch + "copy-"

// CopiesFrom says whether src is on the same service, and for the same
// credentials, so that it can be asked to copy from there. AWS copies between regions, not between partitions.
func (s *Store) CopiesFrom(src backends.ReadStore) bool {
	r := readerOf(src)
	return r != nil && !s.copiesNot.Load() && s.proof.sum &&
		s.o.Profile == r.o.Profile && endpointOf(s.client, s.o) == endpointOf(r.client, r.o) && partition(s.o.Region) == partition(r.o.Region)
}

func readerOf(src backends.ReadStore) *Reader {
	switch src := src.(type) {
	case *Reader:
		return src
	case *Store:
		return src.Reader
	}
	return nil
}

// partition is a part of AWS with accounts of its own.
func partition(region string) string {
	for _, p := range []string{"cn-", "us-gov-", "us-iso"} {
		if strings.HasPrefix(region, p) {
			return p
		}
	}
	return "aws"
}

// CopyFrom has the service copy an object, and prove it: straight to its key if
// the source has a SHA-256 of the whole that is the digest, else to scratch,
// where the service computes one, and from there. Registries store none, so
// that second way is the usual one. What is larger than 5 GiB cannot be proved
// so and is not copied.
func (s *Store) CopyFrom(ctx context.Context, src backends.ReadStore, o backends.Object, d digest.Digest) error {
	r := readerOf(src)
	if r == nil || sha256Of(d) == nil || o.Size < 0 || o.Size > maxCopy {
		return fail("copy", o.Key, backends.Refuse(backends.Unsupported, "the service cannot copy and prove it"))
	}
	if err := s.checkPut(ctx, o.Key, backends.Content{Size: o.Size}); err != nil {
		return fail("copy", o.Key, err)
	}
	if err := s.copyFrom(ctx, r, o, d); err != nil {
		s.copyRefused(err)
		return fail("copy", o.Key, err)
	}
	return nil
}

func (s *Store) copyFrom(ctx context.Context, r *Reader, o backends.Object, d digest.Digest) error {
	head, err := r.headSum(ctx, o.Key) // by its own client, which knows its region
	switch {
	case err != nil:
		return err
	case *head.ContentLength != o.Size:
		return backends.SizeError{Got: *head.ContentLength, Want: o.Size}
	}
	from := copySource{r.o.Bucket, *r.name(o.Key), head.ETag}
	if sumOf(head) == d {
		_, err := s.copyTo(ctx, o.Key, from, d)
		return err
	}
	if err := s.leavesNothing(ctx); err != nil {
		return err
	}
	at := copyPrefix + string(d.Algorithm()) + "-" + d.Encoded()
	etag, err := s.copyTo(ctx, at, from, d)
	if err == nil {
		_, err = s.copyTo(ctx, o.Key, copySource{s.o.Bucket, *s.name(at), etag}, d)
	}
	_ = s.remove(ctx, at)
	return err
}

// copySource is an object as it was when it had this ETag.
type copySource struct {
	bucket, name string
	etag         *string
}

// String is bucket/key, escaped as the header wants it.
func (c copySource) String() string {
	parts := strings.Split(c.bucket+"/"+c.name, "/")
	for i, p := range parts {
		parts[i] = strings.ReplaceAll(url.PathEscape(p), "+", "%2B")
	}
	return strings.Join(parts, "/")
}

// copyTo copies and compares the SHA-256 that the service made of the copy. A
// wrong copy does not stay.
func (s *Store) copyTo(ctx context.Context, key string, from copySource, d digest.Digest) (etag *string, err error) {
	in := &s3.CopyObjectInput{
		Bucket: &s.o.Bucket, Key: s.name(key), CopySource: aws.String(from.String()), CopySourceIfMatch: from.etag,
		ChecksumAlgorithm: types.ChecksumAlgorithmSha256,
		ACL:               types.ObjectCannedACL(s.o.ACL), StorageClass: types.StorageClass(s.o.StorageClass),
	}
	in.ServerSideEncryption, in.SSEKMSKeyId = s.encryption()
	out, err := s.client.CopyObject(ctx, in)
	if err != nil {
		return nil, err
	}
	if out.CopyObjectResult == nil {
		return nil, errEmptyAnswer
	}
	got := decodedSum(out.CopyObjectResult.ChecksumSHA256)
	if got == "" { // MinIO has one and does not say so here
		head, err := s.headSum(ctx, key)
		switch {
		case err == nil:
			got = sumOf(head)
		case classOf(err) != backends.Unsupported:
			return nil, err
		}
	}
	switch {
	case got == "":
		_ = s.remove(ctx, key)
		return nil, backends.Refuse(backends.Unsupported, "the service does not prove what it copies")
	case got != d:
		_ = s.remove(ctx, key)
		return nil, backends.Refuse(backends.Corrupt, "what the service copied has the digest "+got.String())
	}
	return out.CopyObjectResult.ETag, nil
}

// copyRefused ends copying by the service where it does not do that at all.
func (s *Store) copyRefused(err error) {
	switch class := classOf(err); {
	case hasCode(err, "InvalidObjectState"): // archived, and no other need be
	case errors.Is(err, errLeaves): // it was said, and what has its digest at the source is copied
	case class == backends.Denied:
		s.copiesNot.Store(true)
		s.notice("the service does not copy by itself, the destination's credentials may not read the source: bytes pass through here")
	case class == backends.Unsupported:
		s.copiesNot.Store(true)
		s.notice("the service does not copy by itself, or does not prove what it copies: bytes pass through here")
	}
}

// versions is whether the bucket keeps what is deleted. Where that may not be
// asked, it does not.
type versions struct {
	question
	kept bool
}

func (v *versions) ask(ctx context.Context, s *Store) error {
	return v.question.ask(ctx, func() (err error) {
		v.kept, err = s.versioned(ctx)
		switch class := classOf(err); {
		case class == backends.Transient, class == backends.Throttled, backends.Ended(err):
			return err
		}
		return nil
	})
}

var errLeaves = backends.Refuse(backends.Unsupported, "each copy would leave another in scratch")

// leavesNothing is nil where an object in scratch can be removed again: else a
// copy through there would take the room of two, for each blob.
func (s *Store) leavesNothing(ctx context.Context) error {
	if s.stays.Load() {
		s.notice("the service does not copy by itself, since nothing may be deleted and a second copy of each object would stay: bytes pass through here")
		return errLeaves
	}
	if err := s.versions.ask(ctx, s); err != nil {
		return err
	}
	if s.versions.kept {
		s.notice("the service does not copy by itself, since the bucket keeps versions and a second copy of each object would stay: bytes pass through here")
		return errLeaves
	}
	return nil
}

// remove removes an object that should not stay. That it cannot is told, and no
// failure of a run.
func (s *Store) remove(ctx context.Context, key string) error {
	ctx, cancel := backends.Detached(ctx)
	defer cancel()
	err := s.deleteObject(ctx, key)
	switch class := classOf(err); {
	case err == nil, class == backends.NotFound:
	case class == backends.Denied && strings.HasPrefix(key, scratch):
		s.stays.Store(true)
		s.notice("s3:DeleteObject is denied, or a retention policy forbids it: what tested the store stays below " + scratch)
	default:
		s.notice("an object that should not stay could not be removed: " + backends.Printable(key) + ": " + answer{err}.Error())
	}
	return err
}
