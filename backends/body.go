package backends

import (
	"context"
	"fmt"
	"io"
)

// Promised is the body of an object of which left bytes are still to come. It
// holds r to rules R3 and R4: a service's connection may end early without an
// error, and an SDK may not look at the context, which is that of Open.
func Promised(ctx context.Context, r io.ReadCloser, key string, left int64) io.ReadCloser {
	return &body{ctx: ctx, r: r, key: key, left: left}
}

type body struct {
	ctx  context.Context
	r    io.ReadCloser
	key  string
	left int64
}

func (b *body) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, b.failed(Unknown, err)
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	switch {
	case b.left < 0: // decoded on the way, or another object than was opened
		return 0, b.failed(Changed, fmt.Errorf("%d bytes more than were promised", -b.left))
	case err == nil:
		return n, nil
	case err == io.EOF && b.left == 0:
		return n, io.EOF
	case b.ctx.Err() != nil:
		return n, b.failed(Unknown, b.ctx.Err())
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	return n, b.failed(Transient, fmt.Errorf("%d bytes short: %w", b.left, err))
}

func (b *body) failed(class Class, err error) error {
	return &Error{Op: "read", Key: b.key, Class: class, Err: err}
}

// Close before the end closes the connection, too.
func (b *body) Close() error { return b.r.Close() }
