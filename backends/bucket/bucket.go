package bucket

import (
	"context"
	"errors"
	"io/fs"
	"iter"

	"gocloud.dev/blob"

	"github.com/regferry/regferry/backends"
)

// pageSize is how many objects are asked for at a time, the most that S3 gives.
// A listing holds one page.
const pageSize = 1000

// Store is a bucket. It is safe for concurrent use as far as its driver is.
type Store struct {
	bucket   *blob.Bucket
	location string
	hooks    Hooks
}

// Hooks are what a driver of ours knows of its service and gocloud does not
// pass on. The zero value has none.
type Hooks struct {
	// Class judges an error before gocloud's code does; Unknown leaves it to that.
	Class func(error) backends.Class

	// StartAt has a listing begin at a key, which it may yield or not. It is
	// given what gocloud's BeforeList is.
	StartAt func(as func(any) bool, key string) error
}

// New makes a store of b. The location is what [Store.Location] returns; it
// must hold no secret. Closing the store closes b.
func New(b *blob.Bucket, location string) *Store {
	return With(b, location, Hooks{})
}

// With is New for a service of which more is known.
func With(b *blob.Bucket, location string, h Hooks) *Store {
	return &Store{bucket: b, location: location, hooks: h}
}

// Location is what New was given.
func (s *Store) Location() string { return s.location }

// Close closes the bucket.
func (s *Store) Close() error { return s.bucket.Close() }

// List lists the prefix from its beginning whatever after is, unless StartAt can
// do better, see the package comment.
func (s *Store) List(ctx context.Context, prefix, after string) iter.Seq2[backends.Object, error] {
	return func(yield func(backends.Object, error) bool) {
		for o, err := range backends.Ordered(s.all(ctx, prefix, after)) {
			if err == nil && o.Key <= after && after != "" {
				continue
			}
			if !yield(o, err) {
				return
			}
		}
	}
}

func (s *Store) all(ctx context.Context, prefix, after string) iter.Seq2[backends.Object, error] {
	return func(yield func(backends.Object, error) bool) {
		opts := &blob.ListOptions{Prefix: prefix}
		if s.hooks.StartAt != nil && after > prefix {
			opts.BeforeList = func(as func(any) bool) error { return s.hooks.StartAt(as, after) }
		}
		for token := blob.FirstPageToken; len(token) > 0; {
			page, next, err := s.bucket.ListPage(ctx, token, pageSize, opts)
			if err = errors.Join(err, ctx.Err()); err != nil {
				yield(backends.Object{}, s.failed("list", prefix, err))
				return
			}
			for _, o := range page {
				if err := ctx.Err(); err != nil {
					yield(backends.Object{}, s.failed("list", prefix, err))
					return
				}
				if !yield(backends.Object{Key: o.Key, Size: o.Size, ModTime: o.ModTime, MD5: sum(o.MD5)}, nil) {
					return
				}
			}
			token = next
		}
	}
}

// Stat asks for the object's attributes.
func (s *Store) Stat(ctx context.Context, key string) (backends.Object, error) {
	if err := valid("stat", key); err != nil {
		return backends.Object{}, err
	}
	if err := ctx.Err(); err != nil {
		return backends.Object{}, s.failed("stat", key, err)
	}
	a, err := s.bucket.Attributes(ctx, key)
	if err != nil {
		return backends.Object{}, s.failed("stat", key, err)
	}
	return backends.Object{Key: key, Size: a.Size, ModTime: a.ModTime, MD5: sum(a.MD5)}, nil
}

// sum makes an MD5 that is empty an unknown one.
func sum(md5 []byte) []byte {
	if len(md5) == 0 {
		return nil
	}
	return md5
}

var errKey = errors.New("not a clean path, which drivers store in different ways")

func valid(op, key string) error {
	if key == "." || !fs.ValidPath(key) {
		return &backends.Error{Op: op, Key: key, Class: backends.Unsupported, Err: errKey}
	}
	return nil
}
