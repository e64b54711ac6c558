package s3

import (
	"context"
	"fmt"
	"io"

	"github.com/regferry/regferry/backends"
)

// body is an object being read.
type body struct {
	ctx  context.Context // of Open: rule R4 ties the body to it, also where its bytes are here already
	r    io.ReadCloser
	key  string
	left int64 // bytes still promised
}

func (b *body) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, fail("read", b.key, err)
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	switch {
	case err == nil:
		return n, nil
	case err == io.EOF && b.left <= 0:
		return n, io.EOF
	case b.ctx.Err() != nil:
		return n, fail("read", b.key, b.ctx.Err())
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	err = fmt.Errorf("%d bytes short: %w", b.left, err)
	return n, &backends.Error{Op: "read", Key: b.key, Class: backends.Transient, Err: err}
}

// Close before the end closes the connection, too.
func (b *body) Close() error { return b.r.Close() }
