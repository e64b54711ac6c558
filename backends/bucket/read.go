package bucket

import (
	"context"
	"fmt"
	"net/http"

	"github.com/regferry/regferry/backends"
)

// Open reads from offset to the end.
func (s *Store) Open(ctx context.Context, key string, offset int64) (backends.Body, error) {
	if err := valid("open", key); err != nil {
		return backends.Body{}, err
	}
	if err := ctx.Err(); err != nil {
		return backends.Body{}, s.failed("open", key, err)
	}
	if offset != 0 {
		return s.openAt(ctx, key, offset)
	}
	return s.open(ctx, key, 0)
}

// openAt answers from the object's attributes what a service might not: S3
// refuses a range that begins at the end, others ignore it and send all.
func (s *Store) openAt(ctx context.Context, key string, offset int64) (backends.Body, error) {
	a, err := s.bucket.Attributes(ctx, key)
	if err != nil {
		return backends.Body{}, s.failed("open", key, err)
	}
	if offset < 0 || offset > a.Size {
		return backends.Body{}, &backends.Error{Op: "open", Key: key, Class: backends.Changed,
			Err: fmt.Errorf("offset %d of an object of %d bytes", offset, a.Size)}
	}
	if offset == a.Size {
		o := backends.Object{Key: key, Size: a.Size, ModTime: a.ModTime, MD5: sum(a.MD5)}
		return backends.Body{ReadCloser: backends.Promised(ctx, http.NoBody, key, 0), Object: o}, nil
	}
	return s.open(ctx, key, offset)
}

func (s *Store) open(ctx context.Context, key string, offset int64) (backends.Body, error) {
	r, err := s.bucket.NewRangeReader(ctx, key, offset, -1, nil)
	if err != nil {
		return backends.Body{}, s.failed("open", key, err)
	}
	o := backends.Object{Key: key, Size: r.Size(), ModTime: r.ModTime()}
	return backends.Body{ReadCloser: backends.Promised(ctx, r, key, r.Size()-offset), Object: o}, nil
}
