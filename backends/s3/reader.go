package s3

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/parts"
)

// Reader reads a bucket, or what lies below a prefix of it, as a store. It is
// safe for concurrent use.
type Reader struct {
	client *s3.Client
	conns  *http.Client
	o      Options
	at     string
	etags  parts.ETags
}

var (
	_ backends.ReadStore        = (*Reader)(nil)
	_ backends.ChecksumReporter = (*Reader)(nil)
)

// OpenReader opens a bucket that is only read. It asks for credentials and for
// one key, so that a bucket that is not there, another region or a missing
// right is said here and now.
func OpenReader(ctx context.Context, o Options) (*Reader, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fail("open", "", err)
	}
	client, conns, err := newClient(ctx, o)
	if err != nil {
		return nil, fail("open", "", err)
	}
	o.Region = client.Options().Region
	r := &Reader{client: client, conns: conns, o: o, at: o.location(endpointOf(client, o))}
	_, err = client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &o.Bucket, Prefix: &o.Prefix, MaxKeys: aws.Int32(1)})
	if err != nil {
		r.Close()
		return nil, r.failed("open", "", err)
	}
	return r, nil
}

// Location is s3://bucket/prefix, with the endpoint where it is not AWS.
func (r *Reader) Location() string { return r.at }

// Close ends idle connections.
func (r *Reader) Close() error {
	r.conns.CloseIdleConnections()
	return nil
}

// failed is fail, and says which bucket is missing, and where.
func (r *Reader) failed(op, key string, err error) error {
	if hasCode(err, "NoSuchBucket") {
		err = fmt.Errorf("there is no bucket of the name %s (%s, region %s): %w", r.o.Bucket, r.at, r.o.Region, answer{err})
	}
	return fail(op, key, err)
}

func (r *Reader) name(key string) *string { return aws.String(r.o.Prefix + key) }

// List costs a request per 1,000 objects.
func (r *Reader) List(ctx context.Context, prefix, after string) iter.Seq2[backends.Object, error] {
	return backends.Ordered(func(yield func(backends.Object, error) bool) {
		if askable(prefix) != prefix {
			yield(backends.Object{}, fail("list", prefix, backends.Refuse(backends.Unsupported, "a prefix is UTF-8 without control characters")))
			return
		}
		p := pages{r: r, in: &s3.ListObjectsV2Input{Bucket: &r.o.Bucket, Prefix: r.name(prefix), EncodingType: types.EncodingTypeUrl}}
		if start := askable(after); start != "" {
			p.in.StartAfter = r.name(start)
		}
		for !p.ended {
			page, err := p.next(ctx)
			if err != nil {
				yield(backends.Object{}, r.failed("list", prefix, err))
				return
			}
			for _, o := range page {
				if o.Key <= after {
					continue // rule L2, where a service takes start-after for a hint, or was asked for more
				}
				if err := ctx.Err(); err != nil {
					yield(backends.Object{}, fail("list", prefix, err))
					return
				}
				if !yield(o, nil) {
					return
				}
			}
		}
	})
}

// askable is the start of a name, up to what a listing cannot be asked for:
// Swift's s3api answers 500 to what is not UTF-8, and Ceph repeats a control
// character in its answer, which is then no XML. It sorts before the name.
func askable(name string) string {
	for i, c := range name {
		if c < ' ' || c == utf8.RuneError {
			return name[:i]
		}
	}
	return name
}

// pages is a listing under way.
type pages struct {
	r     *Reader
	in    *s3.ListObjectsV2Input
	ended bool
}

var errEmptyAnswer = backends.Refuse(backends.Transient, "the answer is empty, which is not an empty listing")

func (p *pages) next(ctx context.Context) ([]backends.Object, error) {
	out, err := p.r.client.ListObjectsV2(ctx, p.in)
	switch {
	case err != nil:
		return nil, err
	case out.Name == nil && out.IsTruncated == nil:
		// The SDK takes 200 without a body, as a proxy may send it, for success.
		return nil, errEmptyAnswer
	}
	p.ended = !aws.ToBool(out.IsTruncated)
	token := aws.ToString(out.NextContinuationToken)
	if !p.ended && (token == "" || token == aws.ToString(p.in.ContinuationToken)) {
		return nil, backends.Refuse(backends.Unsupported, "the listing goes on, but not how")
	}
	p.in.ContinuationToken, p.in.StartAfter = &token, nil
	list := make([]backends.Object, len(out.Contents))
	for i, o := range out.Contents {
		key := aws.ToString(o.Key)
		if out.EncodingType == types.EncodingTypeUrl {
			if key, err = url.QueryUnescape(key); err != nil {
				return nil, fmt.Errorf("a listed key: %w", err)
			}
		}
		key, ok := strings.CutPrefix(key, p.r.o.Prefix)
		if !ok {
			return nil, backends.Refuse(backends.Unsupported, "a key is listed that has not the prefix asked for")
		}
		list[i] = backends.Object{Key: key, Size: -1, ModTime: aws.ToTime(o.LastModified)}
		if o.Size != nil {
			list[i].Size = *o.Size
		}
		list[i].MD5 = p.r.md5(ctx, list[i], aws.ToString(o.ETag))
	}
	return list, nil
}

// Stat is one HEAD, and for a key that is absent a GET as well.
func (r *Reader) Stat(ctx context.Context, key string) (backends.Object, error) {
	out, err := r.head(ctx, key, "")
	if err != nil {
		return backends.Object{}, r.failed("stat", key, err)
	}
	o := backends.Object{Key: key, Size: *out.ContentLength, ModTime: aws.ToTime(out.LastModified)}
	if plain(out.ServerSideEncryption, out.SSECustomerAlgorithm) {
		o.MD5 = r.etags.Known(aws.ToString(out.ETag))
	}
	return o, nil
}

var (
	errSeen   = backends.Refuse(backends.Transient, "HEAD says that it is absent, and GET finds it")
	errNoSums = backends.Refuse(backends.Unsupported, "the store does not say what checksums it keeps")
)

// head asks GET for the reason of a 400 or 404, since an answer to HEAD has no
// body to say it: a token that expired, a name that is too long, a bucket that is
// missing, or something in front of the service that knows nothing of the key.
func (r *Reader) head(ctx context.Context, key string, sums types.ChecksumMode) (*s3.HeadObjectOutput, error) {
	if err := backends.CheckKey(key, maxKey); err != nil {
		return nil, err
	}
	out, err := r.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &r.o.Bucket, Key: r.name(key), ChecksumMode: sums})
	if err == nil && out.ContentLength == nil {
		err = backends.Refuse(backends.Transient, "the answer does not say how long the object is")
	}
	if !hasStatus(err, http.StatusBadRequest, http.StatusNotFound) {
		return out, err
	}
	reason := r.glance(ctx, key)
	switch {
	case reason != nil:
		return nil, reason
	case hasStatus(err, http.StatusNotFound):
		return nil, errSeen
	case sums != "":
		return nil, errNoSums
	}
	return nil, err
}

// glance is nil where GET finds an object, one without a byte as well.
func (r *Reader) glance(ctx context.Context, key string) error {
	out, err := r.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &r.o.Bucket, Key: r.name(key), Range: aws.String("bytes=0-0")})
	if hasStatus(err, http.StatusRequestedRangeNotSatisfiable) {
		return nil
	}
	if err == nil {
		out.Body.Close()
	}
	return err
}

// Open is one GET. It needs no If-Match, since the size that it returns is of
// the same answer as the bytes.
func (r *Reader) Open(ctx context.Context, key string, offset int64) (backends.Body, error) {
	if err := backends.CheckKey(key, maxKey); err != nil {
		return backends.Body{}, fail("open", key, err)
	}
	in := &s3.GetObjectInput{Bucket: &r.o.Bucket, Key: r.name(key)}
	if offset > 0 {
		in.Range = aws.String("bytes=" + strconv.FormatInt(offset, 10) + "-")
	}
	if offset < 0 {
		return r.openOutside(ctx, key, offset)
	}
	out, err := r.client.GetObject(ctx, in)
	if hasStatus(err, http.StatusRequestedRangeNotSatisfiable) {
		return r.openOutside(ctx, key, offset)
	}
	if err != nil {
		return backends.Body{}, r.failed("open", key, err)
	}
	o := backends.Object{Key: key, ModTime: aws.ToTime(out.LastModified)}
	if o.Size, err = whole(out, offset); err != nil {
		out.Body.Close()
		return backends.Body{}, fail("open", key, err)
	}
	if plain(out.ServerSideEncryption, out.SSECustomerAlgorithm) {
		o.MD5 = r.etags.Known(aws.ToString(out.ETag))
	}
	return backends.Body{ReadCloser: backends.Promised(ctx, out.Body, key, o.Size-offset), Object: o}, nil
}

// whole is the size of the object of which an answer has the bytes from
// offset on.
func whole(out *s3.GetObjectOutput, offset int64) (int64, error) {
	if out.ContentLength == nil {
		return 0, backends.Refuse(backends.Transient, "the answer does not say how long it is")
	}
	if offset == 0 {
		return *out.ContentLength, nil
	}
	var from, to, size int64
	_, err := fmt.Sscanf(aws.ToString(out.ContentRange), "bytes %d-%d/%d", &from, &to, &size)
	if err != nil || from != offset || to != size-1 || *out.ContentLength != size-offset {
		return 0, backends.Refuse(backends.Unsupported, fmt.Sprintf("asked for the bytes from %d on, the store answers with %q", offset, aws.ToString(out.ContentRange)))
	}
	return size, nil
}

// openOutside is for offsets at which no byte is: an empty body at the end,
// else an error, which is that of the key if there is none.
func (r *Reader) openOutside(ctx context.Context, key string, offset int64) (backends.Body, error) {
	o, err := r.Stat(ctx, key)
	if err != nil {
		var e *backends.Error
		if errors.As(err, &e) {
			e.Op = "open"
		}
		return backends.Body{}, err
	}
	if offset != o.Size {
		text := fmt.Sprintf("offset %d is not within the %d bytes that it has", offset, o.Size)
		return backends.Body{}, fail("open", key, backends.Refuse(backends.Changed, text))
	}
	return backends.Body{ReadCloser: backends.Promised(ctx, http.NoBody, key, 0), Object: o}, nil
}
