package s3

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"github.com/regferry/regferry/backends"
)

// upload is an object that is sent in parts.
type upload struct {
	s     *Store
	key   string
	c     backends.Content
	id    string // empty: not begun
	part  int64  // size of each but the last
	start int    // parts that were durable when it was resumed
	stale []string

	mu     sync.Mutex // guards what is below, and orders the calls of Saved
	parts  []types.CompletedPart
	sums   [][]byte
	states map[int][]byte // of parts that are durable behind one that is not; at most Parallel
	next   int            // parts durable without a gap
	told   bool           // somebody knows the token
	over   bool           // the source has given its verdict, and it is bad
}

func (s *Store) newUpload(key string, c backends.Content, part int64) *upload {
	n := (c.Size + part - 1) / part
	return &upload{
		s: s, key: key, c: c, part: part, states: make(map[int][]byte),
		parts: make([]types.CompletedPart, n), sums: make([][]byte, n),
	}
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
	defer func() { s.release(u.id) }()
	err = u.send(ctx)
	if err == nil {
		err = u.complete(ctx)
	}
	if err != nil {
		u.abandon(ctx, err)
		if hasCode(err, "NoSuchUpload") { // of a key it would be NotFound
			return &refusal{backends.Transient, "somebody aborted the upload"}
		}
		return err
	}
	u.abortStale(ctx)
	if s.proof.any() {
		return nil
	}
	return s.readBack(ctx, key, c.Size, u.part, u.sums, sha256Of(c.Digest))
}

// send returns nil when all parts are durable and the source said that they
// are right.
func (u *upload) send(ctx context.Context) error {
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(u.s.o.Parallel)
	err := u.read(inner, g)
	sent := g.Wait()
	if err == nil || sent != nil && ctx.Err() == nil && errors.Is(err, context.Canceled) {
		err = sent // what was read was given up for this
	}
	if err == nil {
		err = ctx.Err()
	}
	return err
}

// read reads the parts in order and has them sent.
func (u *upload) read(ctx context.Context, g *errgroup.Group) error {
	off := min(int64(u.start)*u.part, u.c.Size)
	buf, err := u.buffer(ctx, off) // before the source, which may not wait
	if err != nil {
		return err
	}
	in, err := openInput(ctx, u.c, off)
	if err != nil {
		u.s.buffers.put(buf)
		return err
	}
	defer in.close()
	for n := u.start; ; n++ {
		if err := in.fill(ctx, buf.b); err != nil {
			u.s.buffers.put(buf)
			u.over = in.off >= u.c.Size && ctx.Err() == nil
			return err
		}
		if n >= len(u.parts) { // resumed when only the verdict was left
			u.s.buffers.put(buf)
			return nil
		}
		if err := u.begin(ctx); err != nil {
			u.s.buffers.put(buf)
			return err
		}
		part, state := buf, in.state()
		g.Go(func() error {
			defer u.s.buffers.put(part)
			return u.sendPart(ctx, n, part.b, state)
		})
		if in.off >= u.c.Size {
			return nil
		}
		if buf, err = u.buffer(ctx, in.off); err != nil {
			return err
		}
	}
}

func (u *upload) buffer(ctx context.Context, off int64) (*buffer, error) {
	return u.s.buffers.get(ctx, min(u.part, u.c.Size-off))
}

// begin starts the upload when there is something to send. It is not cancelled
// half way: nobody would know the name of what the service then has.
func (u *upload) begin(ctx context.Context) error {
	if u.id != "" {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	o := &u.s.o
	in := &s3.CreateMultipartUploadInput{
		Bucket: &o.Bucket, Key: u.s.name(u.key), ContentType: aws.String(contentType),
		ACL: types.ObjectCannedACL(o.ACL), StorageClass: types.StorageClass(o.StorageClass),
	}
	in.ServerSideEncryption, in.SSEKMSKeyId = u.s.encryption()
	if u.s.proof.sum {
		in.ChecksumAlgorithm = types.ChecksumAlgorithmSha256
	}
	whole, cancel := detached(ctx)
	defer cancel()
	out, err := u.s.client.CreateMultipartUpload(whole, in)
	if err != nil {
		return err
	}
	if u.id = aws.ToString(out.UploadId); u.id == "" {
		return errEmptyAnswer
	}
	u.s.hold(u.id)
	u.stale = u.s.staleUploads(ctx, u.key, u.id)
	return nil
}

func (u *upload) sendPart(ctx context.Context, n int, b, state []byte) error {
	sum := hashOf(b)
	c := u.s.claim(b, sum)
	number := aws.Int32(int32(n + 1))
	out, err := u.s.client.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: &u.s.o.Bucket, Key: u.s.name(u.key), UploadId: &u.id, PartNumber: number,
		Body: bytes.NewReader(b), ContentLength: aws.Int64(int64(len(b))),
		ChecksumSHA256: c.checksum(), ContentMD5: c.contentMD5(),
	}, c.signed)
	if err != nil {
		return err
	}
	return u.durable(n, types.CompletedPart{PartNumber: number, ETag: out.ETag, ChecksumSHA256: c.checksum()}, sum, state)
}

// durable notes a part, and tells of each that has none missing before it.
func (u *upload) durable(n int, part types.CompletedPart, sum, state []byte) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.parts[n], u.sums[n], u.states[n] = part, sum, state
	for u.next < len(u.parts) && u.parts[u.next].PartNumber != nil {
		state := u.states[u.next]
		delete(u.states, u.next)
		u.next++
		if u.c.Saved == nil {
			continue
		}
		offset := min(int64(u.next)*u.part, u.c.Size)
		if err := u.c.Saved(backends.Upload{Token: u.id, Offset: offset, Hash: state}); err != nil {
			return err
		}
		u.told = true
	}
	return nil
}

func (u *upload) complete(ctx context.Context) error {
	_, err := u.s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &u.s.o.Bucket, Key: u.s.name(u.key), UploadId: &u.id,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: u.parts},
	})
	if err != nil && ctx.Err() == nil && u.landed(ctx) {
		return nil
	}
	return err
}

// landed says whether the object is the one that was sent, although the answer
// to its completion was lost, or the request was repeated after it had worked.
func (u *upload) landed(ctx context.Context) bool {
	want := compositeTag(u.parts)
	out, err := u.s.head(ctx, u.key)
	return err == nil && want != "" && *out.ContentLength == u.c.Size && aws.ToString(out.ETag) == want
}

// compositeTag is the ETag of an object in parts, the MD5 of those of its
// parts; empty where they are none, as with SSE-KMS.
func compositeTag(parts []types.CompletedPart) string {
	all := md5.New()
	for _, p := range parts {
		sum := looksMD5(aws.ToString(p.ETag))
		if sum == nil {
			return ""
		}
		all.Write(sum)
	}
	return fmt.Sprintf(`"%x-%d"`, all.Sum(nil), len(parts))
}

// abandon aborts the upload, unless a later run will ask for it (rule P6).
func (u *upload) abandon(ctx context.Context, err error) {
	if u.id == "" || u.told && !u.hopeless(err) {
		return
	}
	u.s.abort(ctx, u.key, u.id)
}

// hopeless says whether the content itself is wrong, so that nothing of it is
// of use; an interruption says nothing of it.
func (u *upload) hopeless(err error) bool {
	if u.over || hasCode(err, "NoSuchUpload") {
		return true
	}
	switch classOf(err) {
	case backends.Corrupt, backends.Changed:
		return true
	case backends.Unknown: // the source's own
		switch backends.ClassOf(err) {
		case backends.Corrupt, backends.Changed, backends.NotFound:
			return true
		}
	}
	return false
}

func (u *upload) abortStale(ctx context.Context) {
	for _, id := range u.stale {
		if !u.s.holds(id) {
			u.s.abort(ctx, u.key, id)
		}
	}
}

// abort frees what the service keeps of an upload. A policy may forbid that;
// the object, if it was stored, is none the worse.
func (s *Store) abort(ctx context.Context, key, id string) {
	ctx, cancel := detached(ctx)
	defer cancel()
	_, err := s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &s.o.Bucket, Key: s.name(key), UploadId: &id})
	switch class := classOf(err); {
	case err == nil, class == backends.NotFound:
	case class == backends.Denied:
		s.notice("unfinished uploads cannot be aborted, s3:AbortMultipartUpload is denied: their parts stay, and are paid for, until a lifecycle rule of the bucket (AbortIncompleteMultipartUpload) removes them")
	default:
		s.notice("an unfinished upload could not be aborted: " + backends.Printable(key) + ": " + answer{err}.Error())
	}
}
