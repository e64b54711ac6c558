package oss

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"unicode/utf8"

	sdk "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
	"gocloud.dev/blob"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/bucket"
)

// Reader reads a bucket, or what lies below a prefix of it, as a store. It is
// safe for concurrent use.
type Reader struct {
	d     *drive
	store *bucket.Store
}

var _ backends.ReadStore = (*Reader)(nil)

// OpenReader opens a bucket that is only read. It asks for one key, so that a
// bucket that is not there, another region or a missing right is said here and
// now.
func OpenReader(ctx context.Context, o Options) (*Reader, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fail("open", "", err)
	}
	client, conns, err := newClient(o)
	if err != nil {
		return nil, fail("open", "", err)
	}
	d := &drive{client: client, conns: conns, o: o}
	r := &Reader{d: d}
	r.store = bucket.With(blob.NewBucket(d), o.location(), bucket.Hooks{Class: classOf, StartAt: d.startAt})
	out, err := client.ListObjectsV2(ctx, &sdk.ListObjectsV2Request{Bucket: &o.Bucket, Prefix: &o.Prefix, MaxKeys: 1})
	if err == nil && out.Name == nil {
		err = errEmptyAnswer
	}
	if err != nil {
		r.Close()
		return nil, r.failed("open", "", ended(ctx, err))
	}
	return r, nil
}

// Location is oss://bucket/prefix, with the endpoint where it is not one of the
// public service.
func (r *Reader) Location() string { return r.store.Location() }

// Close ends idle connections.
func (r *Reader) Close() error { return r.store.Close() }

// failed is fail, and says which bucket is missing, and where.
func (r *Reader) failed(op, key string, err error) error {
	if hasCode(err, "NoSuchBucket") {
		err = fmt.Errorf("there is no bucket of the name %s at %s: %w", r.d.o.Bucket, r.d.o.Endpoint, shortened(err))
	}
	return fail(op, key, err)
}

// told shortens what the service said in an error of package bucket.
func (r *Reader) told(err error) error {
	var e *backends.Error
	if err == nil || !errors.As(err, &e) {
		return err
	}
	class := e.Class
	e = r.failed(e.Op, e.Key, e.Err).(*backends.Error)
	if e.Class == backends.Unknown {
		e.Class = class
	}
	return e
}

// startAt has the first page of a listing begin behind a key.
func (d *drive) startAt(as func(any) bool, key string) error {
	var in *sdk.ListObjectsV2Request
	if start := askable(key); start != "" && as(&in) {
		in.StartAfter = d.name(start)
	}
	return nil
}

// askable is the start of a name, up to what XML and UTF-8 cannot hold. It
// sorts before the name.
func askable(name string) string {
	for i, c := range name {
		if c < ' ' || c == utf8.RuneError {
			return name[:i]
		}
	}
	return name
}

// List costs a request per 1,000 objects.
func (r *Reader) List(ctx context.Context, prefix, after string) iter.Seq2[backends.Object, error] {
	return func(yield func(backends.Object, error) bool) {
		if askable(prefix) != prefix {
			yield(backends.Object{}, fail("list", prefix, backends.Refuse(backends.Unsupported, "a prefix is UTF-8 without control characters")))
			return
		}
		for o, err := range r.store.List(ctx, prefix, after) {
			if !yield(o, r.told(err)) {
				return
			}
		}
	}
}

// Stat is one HEAD.
func (r *Reader) Stat(ctx context.Context, key string) (backends.Object, error) {
	if err := checkKey(key); err != nil {
		return backends.Object{}, fail("stat", key, err)
	}
	o, err := r.store.Stat(ctx, key)
	return o, r.told(err)
}

// Open is one GET, and at another offset than 0 a HEAD before it.
func (r *Reader) Open(ctx context.Context, key string, offset int64) (backends.Body, error) {
	if err := checkKey(key); err != nil {
		return backends.Body{}, fail("open", key, err)
	}
	b, err := r.store.Open(ctx, key, offset)
	return b, r.told(err)
}

// checkKey refuses what the service cannot hold, and what means another object
// elsewhere.
func checkKey(key string) error {
	if key != "" && key[0] == '\\' {
		return backends.Refuse(backends.Unsupported, "a key does not begin with a backslash")
	}
	return backends.CheckKey(key, maxKey)
}
