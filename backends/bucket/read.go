package bucket

import (
	"context"
	"fmt"
	"io"

	"gocloud.dev/blob"

	"github.com/regferry/regferry/backends"
)

// Open reads from offset to the end.
func (s *Store) Open(ctx context.Context, key string, offset int64) (backends.Body, error) {
	if err := valid("open", key); err != nil {
		return backends.Body{}, err
	}
	if err := ctx.Err(); err != nil {
		return backends.Body{}, failed("open", key, err)
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
		return backends.Body{}, failed("open", key, err)
	}
	if offset < 0 || offset > a.Size {
		return backends.Body{}, &backends.Error{Op: "open", Key: key, Class: backends.Changed,
			Err: fmt.Errorf("offset %d of an object of %d bytes", offset, a.Size)}
	}
	if offset == a.Size {
		o := backends.Object{Key: key, Size: a.Size, ModTime: a.ModTime, MD5: sum(a.MD5)}
		return backends.Body{ReadCloser: &body{ctx: ctx, key: key, rc: io.NopCloser(eof{})}, Object: o}, nil
	}
	return s.open(ctx, key, offset)
}

func (s *Store) open(ctx context.Context, key string, offset int64) (backends.Body, error) {
	r, err := s.bucket.NewRangeReader(ctx, key, offset, -1, nil)
	if err != nil {
		return backends.Body{}, failed("open", key, err)
	}
	o := backends.Object{Key: key, Size: r.Size(), ModTime: r.ModTime()}
	return backends.Body{ReadCloser: newBody(ctx, key, r, offset), Object: o}, nil
}

func newBody(ctx context.Context, key string, r *blob.Reader, offset int64) *body {
	return &body{ctx: ctx, key: key, rc: r, left: r.Size() - offset}
}

// body counts what the driver promised, since a driver may end early without
// an error, and looks at the context, since a driver may not.
type body struct {
	ctx  context.Context
	key  string
	rc   io.ReadCloser
	left int64 // bytes still promised
}

func (b *body) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, failed("read", b.key, err)
	}
	n, err := b.rc.Read(p)
	b.left -= int64(n)
	switch {
	case b.left < 0: // decoded on the way, or another object than was opened
		return 0, &backends.Error{Op: "read", Key: b.key, Class: backends.Changed,
			Err: fmt.Errorf("%d bytes more than were promised", -b.left)}
	case err == io.EOF && b.left > 0:
		return n, &backends.Error{Op: "read", Key: b.key, Class: backends.Transient,
			Err: fmt.Errorf("%d bytes are missing: %w", b.left, io.ErrUnexpectedEOF)}
	case err == nil || err == io.EOF:
		return n, err
	}
	return n, failed("read", b.key, err)
}

func (b *body) Close() error {
	if err := b.rc.Close(); err != nil {
		return failed("read", b.key, err)
	}
	return nil
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }
