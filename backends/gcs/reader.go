package gcs

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"cloud.google.com/go/storage"
	"google.golang.org/api/iterator"

	"github.com/regferry/regferry/backends"
)

// Reader reads a bucket, or what lies below a prefix of it, as a store. It is
// safe for concurrent use.
type Reader struct {
	*connections
	o      Options
	bucket *storage.BucketHandle
	at     string
	seen   atomic.Int64 // when the bucket was known to be there, in ns since 1970
}

var _ backends.ReadStore = (*Reader)(nil)

// OpenReader opens a bucket that is only read. It asks for credentials and for
// one key, so that a bucket that is not there or a missing right is said here
// and now.
func OpenReader(ctx context.Context, o Options) (*Reader, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fail("open", "", err)
	}
	c, err := connect(ctx, o)
	if err != nil {
		return nil, fail("open", "", err)
	}
	r := &Reader{connections: c, o: o, bucket: c.sdk.Bucket(o.Bucket), at: o.location()}
	if o.UserProject != "" {
		r.bucket = r.bucket.UserProject(o.UserProject)
	}
	if err := r.there(ctx); err != nil {
		r.Close()
		return nil, r.failed("open", "", err)
	}
	return r, nil
}

// Location is gs://bucket/prefix, with the endpoint where it is not Google's.
func (r *Reader) Location() string { return r.at }

// Close ends idle connections.
func (r *Reader) Close() error {
	err := r.sdk.Close()
	r.base.CloseIdleConnections()
	return err
}

// failed is fail, and says which bucket is missing.
func (r *Reader) failed(op, key string, err error) error {
	if errors.Is(err, storage.ErrBucketNotExist) {
		err = fmt.Errorf("there is no bucket of the name %s (%s): %w", r.o.Bucket, r.at, answer{err})
	}
	return fail(op, key, err)
}

func (r *Reader) name(key string) string { return r.o.Prefix + key }

func (r *Reader) object(key string) *storage.ObjectHandle { return r.bucket.Object(r.name(key)) }

// there asks for one name of the bucket, which needs the right to list and no
// other.
func (r *Reader) there(ctx context.Context) error {
	q := &storage.Query{Prefix: r.o.Prefix, Projection: storage.ProjectionNoACL}
	if err := q.SetAttrSelection([]string{"Name"}); err != nil {
		return err
	}
	it := r.bucket.Objects(ctx, q)
	it.PageInfo().MaxSize = 1
	if _, err := it.Next(); err != nil && !errors.Is(err, iterator.Done) {
		return err
	}
	r.seen.Store(time.Now().UnixNano())
	return nil
}

// absence tells an object that is not there from a bucket that is not: the
// service answers 404 for either, and a reader of a bucket that was removed
// would see all of its objects gone. What was asked a moment ago is not asked
// again, since a migration looks for many keys that are not there.
func (r *Reader) absence(ctx context.Context, err error) error {
	if classOf(err) != backends.NotFound || time.Since(time.Unix(0, r.seen.Load())) < 5*time.Second {
		return err
	}
	if gone := r.there(ctx); gone != nil {
		return gone
	}
	return err
}

// uploadSession is the content type of the objects in which a registry keeps
// the address of a session of its own; its driver hides them as well.
const uploadSession = "application/x-docker-upload-session"

// List costs a request per 1,000 objects.
func (r *Reader) List(ctx context.Context, prefix, after string) iter.Seq2[backends.Object, error] {
	return backends.Ordered(func(yield func(backends.Object, error) bool) {
		if !utf8.ValidString(prefix) {
			yield(backends.Object{}, fail("list", prefix, backends.Refuse(backends.Unsupported, "a prefix is UTF-8")))
			return
		}
		for a, err := range r.attrs(ctx, prefix, after) {
			if err != nil {
				yield(backends.Object{}, r.failed("list", prefix, err))
				return
			}
			key, ok := strings.CutPrefix(a.Name, r.name(prefix))
			if !ok {
				yield(backends.Object{}, fail("list", prefix, backends.Refuse(backends.Unsupported, "a name is listed that has not the prefix asked for")))
				return
			}
			if key = prefix + key; key <= after || a.ContentType == uploadSession {
				continue
			}
			if !yield(objectOf(key, a), nil) {
				return
			}
		}
	})
}

// attrs lists from a name on. A page is held at a time.
func (r *Reader) attrs(ctx context.Context, prefix, after string) iter.Seq2[*storage.ObjectAttrs, error] {
	return func(yield func(*storage.ObjectAttrs, error) bool) {
		q := &storage.Query{Prefix: r.name(prefix), Projection: storage.ProjectionNoACL}
		if start := wellFormed(after); start > prefix {
			q.StartOffset = r.name(start)
		}
		if err := q.SetAttrSelection([]string{"Name", "Size", "Updated", "MD5", "ContentType"}); err != nil {
			yield(nil, err)
			return
		}
		it := r.bucket.Objects(ctx, q)
		it.PageInfo().MaxSize = 1000
		for {
			a, err := it.Next()
			if errors.Is(err, iterator.Done) {
				r.seen.Store(time.Now().UnixNano())
				return
			}
			if e := ctx.Err(); e != nil {
				err = e
			}
			if !yield(a, err) || err != nil {
				return
			}
		}
	}
}

// wellFormed is the start of a name up to what is no UTF-8, which JSON cannot
// hold. It sorts before the name.
func wellFormed(name string) string {
	for i, c := range name {
		if c == utf8.RuneError {
			return name[:i]
		}
	}
	return name
}

// objectOf passes on the MD5, which the service has computed itself; an object
// that was composed of others has none.
func objectOf(key string, a *storage.ObjectAttrs) backends.Object {
	o := backends.Object{Key: key, Size: a.Size, ModTime: a.Updated}
	if len(a.MD5) > 0 {
		o.MD5 = a.MD5
	}
	return o
}

// Stat is one request for the object's attributes.
func (r *Reader) Stat(ctx context.Context, key string) (backends.Object, error) {
	o, err := r.stat(ctx, key)
	if err != nil {
		return backends.Object{}, r.failed("stat", key, err)
	}
	return o, nil
}

func (r *Reader) stat(ctx context.Context, key string) (backends.Object, error) {
	if err := backends.CheckKey(key, maxKey); err != nil {
		return backends.Object{}, err
	}
	a, err := r.object(key).Attrs(ctx)
	switch {
	case err != nil:
		return backends.Object{}, r.absence(ctx, err)
	case a.ContentType == uploadSession:
		return backends.Object{}, errSession
	}
	return objectOf(key, a), nil
}

var errSession = backends.Refuse(backends.NotFound, "it is the mark of an upload that a registry has not finished, and no object")

// Open is one GET, of the bytes as they are stored, see asStored.
func (r *Reader) Open(ctx context.Context, key string, offset int64) (backends.Body, error) {
	b, err := r.open(ctx, key, offset)
	if err != nil {
		return backends.Body{}, r.failed("open", key, err)
	}
	return b, nil
}

func (r *Reader) open(ctx context.Context, key string, offset int64) (backends.Body, error) {
	if err := backends.CheckKey(key, maxKey); err != nil {
		return backends.Body{}, err
	}
	if offset < 0 {
		return r.outside(ctx, key, offset)
	}
	in, err := r.object(key).NewRangeReader(ctx, offset, -1)
	if statusOf(err) == http.StatusRequestedRangeNotSatisfiable {
		return r.outside(ctx, key, offset)
	}
	if err != nil {
		return backends.Body{}, r.absence(ctx, err)
	}
	o := backends.Object{Key: key, Size: in.Attrs.Size, ModTime: in.Attrs.LastModified}
	switch {
	case in.Attrs.ContentType == uploadSession:
		err = errSession
	case o.Size < 0:
		err = backends.Refuse(backends.Transient, "the answer does not say how long it is")
	case in.Attrs.Decompressed || in.Attrs.StartOffset != offset:
		err = backends.Refuse(backends.Unsupported, fmt.Sprintf("asked for the stored bytes from %d on, the service sends others", offset))
	}
	if err != nil {
		in.Close()
		return backends.Body{}, err
	}
	return backends.Body{ReadCloser: backends.Promised(ctx, in, key, o.Size-offset), Object: o}, nil
}

// outside is for offsets at which no byte is: an empty body at the end, else
// an error, which is that of the key if there is none.
func (r *Reader) outside(ctx context.Context, key string, offset int64) (backends.Body, error) {
	o, err := r.stat(ctx, key)
	if err != nil {
		return backends.Body{}, err
	}
	if offset != o.Size {
		return backends.Body{}, backends.Refuse(backends.Changed, fmt.Sprintf("offset %d is not within the %d bytes that it has", offset, o.Size))
	}
	return backends.Body{ReadCloser: backends.Promised(ctx, http.NoBody, key, 0), Object: o}, nil
}
