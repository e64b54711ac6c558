package s3

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/parts"
)

// upload is an object that is sent in parts.
type upload struct {
	*parts.Sender
	s     *Store
	key   string
	stale []string
	plain bool // it was begun without x-amz-checksum-algorithm, which was refused

	parts []types.CompletedPart
	sums  [][]byte
}

func (s *Store) newUpload(key string, c backends.Content, part int64) *upload {
	n := parts.Parts(c.Size, part)
	u := &upload{s: s, key: key, parts: make([]types.CompletedPart, n), sums: make([][]byte, n)}
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
		u = s.newUpload(key, c, s.o.partSize(c.Size))
	}
	defer func() { s.held.Release(u.Token) }()
	err = u.Run(ctx)
	if err == nil {
		err = u.complete(ctx)
	}
	if errors.As(err, new(*doubt)) {
		return err
	}
	if err != nil {
		gone := hasCode(err, "NoSuchUpload") // of a key it would be NotFound
		if u.Token != "" && (gone || !u.Keep(err, classOf(err))) {
			parts.Abandon(ctx, func() { _ = s.abort(ctx, u.key, u.Token) })
		}
		if gone {
			return backends.Refuse(backends.Transient, "somebody aborted the upload")
		}
		return err
	}
	u.abortStale(ctx)
	if u.proof().any() {
		return nil
	}
	return s.readBack(ctx, key, c.Size, u.Part, u.sums, sha256Of(c.Digest))
}

// begin is not cancelled half way: nobody would know the name of what the
// service then has.
func (u *upload) begin(ctx context.Context) (string, error) {
	o := &u.s.o
	in := &s3.CreateMultipartUploadInput{
		Bucket: &o.Bucket, Key: u.s.name(u.key), ContentType: aws.String(contentType),
		ACL: types.ObjectCannedACL(o.ACL), StorageClass: types.StorageClass(o.StorageClass),
	}
	in.ServerSideEncryption, in.SSEKMSKeyId = u.s.encryption()
	if u.proof().sum {
		in.ChecksumAlgorithm = types.ChecksumAlgorithmSha256
	}
	whole, cancel := backends.Detached(ctx)
	defer cancel()
	out, err := u.s.client.CreateMultipartUpload(whole, in)
	if in.ChecksumAlgorithm != "" && refusesHeader(err) {
		in.ChecksumAlgorithm, u.plain = "", true
		out, err = u.s.client.CreateMultipartUpload(whole, in)
	}
	if err != nil {
		return "", err
	}
	id := aws.ToString(out.UploadId)
	if id == "" {
		return "", errEmptyAnswer
	}
	u.s.held.Hold(id)
	u.stale = u.s.staleUploads(ctx, u.key, id)
	return id, nil
}

func (u *upload) sendPart(ctx context.Context, n int, b []byte) error {
	sum := hashOf(b)
	if u.plain {
		if err := u.provePlain(ctx, n); err != nil {
			return err
		}
	}
	p := u.proof()
	c := p.claim(b, sum)
	out, err := u.putPart(ctx, n, b, c)
	if p.sum && refusesHeader(err) && u.provePlain(ctx, n) == nil {
		c = u.proof().claim(b, sum)
		out, err = u.putPart(ctx, n, b, c)
	}
	if err != nil {
		return err
	}
	u.parts[n] = types.CompletedPart{PartNumber: aws.Int32(int32(n + 1)), ETag: out.ETag, ChecksumSHA256: c.checksum()}
	u.sums[n] = sum
	return nil
}

func (u *upload) putPart(ctx context.Context, n int, b []byte, c claim) (*s3.UploadPartOutput, error) {
	return u.s.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &u.s.o.Bucket, Key: u.s.name(u.key), UploadId: &u.Token, PartNumber: aws.Int32(int32(n + 1)),
		Body: bytes.NewReader(b), ContentLength: aws.Int64(int64(len(b))),
		ChecksumSHA256: c.checksum(), ContentMD5: c.contentMD5(),
	}, c.signed)
}

// complete: where nobody can say whether it has worked, the upload stays, so that
// what is durable of it need not be sent again.
func (u *upload) complete(ctx context.Context) error {
	_, err := u.s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &u.s.o.Bucket, Key: u.s.name(u.key), UploadId: &u.Token,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: u.parts},
	})
	if err == nil || ctx.Err() != nil {
		return err
	}
	landed, unknown := u.landed(ctx)
	switch {
	case landed:
		return nil
	case unknown != nil:
		return &doubt{err, unknown}
	}
	return err
}

// doubt is of an upload that may be complete: why that failed, and why it could
// not be looked for.
type doubt struct{ err, unknown error }

var errInDoubt = backends.Refuse(backends.Transient, "whether the upload is complete is not known")

func (d *doubt) Error() string {
	return fmt.Sprintf("%v; %v: %v", answer{d.err}, errInDoubt, answer{d.unknown})
}
func (d *doubt) Unwrap() []error { return []error{errInDoubt, d.err, d.unknown} }

// landed says whether the object is the one that was sent, although the answer
// to its completion was lost, or the request was repeated after it had worked.
func (u *upload) landed(ctx context.Context) (bool, error) {
	ctx, cancel := backends.Detached(ctx)
	defer cancel()
	out, err := u.s.head(ctx, u.key, "")
	switch class := classOf(err); {
	case class == backends.NotFound, class == backends.Denied: // to who may not list, what is absent is Denied
		return false, nil
	case err != nil:
		return false, err
	}
	want := compositeTag(u.parts)
	return want != "" && *out.ContentLength == u.Content.Size && aws.ToString(out.ETag) == want, nil
}

// compositeTag is the ETag of an object in parts, the MD5 of those of its
// parts; empty where they are none, as with SSE-KMS.
func compositeTag(completed []types.CompletedPart) string {
	all := md5.New()
	for _, p := range completed {
		sum := parts.MD5OfETag(aws.ToString(p.ETag))
		if sum == nil {
			return ""
		}
		all.Write(sum)
	}
	return fmt.Sprintf(`"%x-%d"`, all.Sum(nil), len(completed))
}

func (u *upload) abortStale(ctx context.Context) {
	for _, id := range u.stale {
		if !u.s.held.Holds(id) {
			_ = u.s.abort(ctx, u.key, id)
		}
	}
}

// abort frees what the service keeps of an upload. A policy may forbid that;
// the object, if it was stored, is none the worse.
func (s *Store) abort(ctx context.Context, key, id string) error {
	ctx, cancel := backends.Detached(ctx)
	defer cancel()
	_, err := s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &s.o.Bucket, Key: s.name(key), UploadId: &id})
	switch class := classOf(err); {
	case err == nil, class == backends.NotFound:
	case class == backends.Denied:
		s.notice("unfinished uploads cannot be aborted, s3:AbortMultipartUpload is denied: their parts stay, and are paid for, until a lifecycle rule of the bucket (AbortIncompleteMultipartUpload) removes them")
	default:
		s.notice("an unfinished upload could not be aborted: " + backends.Printable(key) + ": " + answer{err}.Error())
	}
	return err
}
