package filesystem

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/regferry/regferry/backends"
)

// body is a file being read.
type body struct {
	ctx  context.Context // of Open: rule R4 ties the body to it
	f    *os.File
	key  string
	left int64 // bytes still promised; below 0 when the file grew
}

func newBody(ctx context.Context, f *os.File, o backends.Object, offset int64) (backends.Body, error) {
	if offset < 0 || offset > o.Size {
		f.Close()
		text := fmt.Sprintf("offset %d is not within the %d bytes that it has", offset, o.Size)
		return backends.Body{}, fail("open", o.Key, backends.Refuse(backends.Changed, text))
	}
	if offset > 0 {
		if _, err := f.Seek(offset, io.SeekStart); err != nil {
			f.Close()
			return backends.Body{}, fail("open", o.Key, err)
		}
	}
	return backends.Body{ReadCloser: &body{ctx: ctx, f: f, key: o.Key, left: o.Size - offset}, Object: o}, nil
}

func (b *body) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, fail("read", b.key, err)
	}
	n, err := b.f.Read(p)
	b.left -= int64(n)
	if err == nil {
		return n, nil
	}
	if err != io.EOF {
		return n, fail("read", b.key, err)
	}
	if b.left > 0 {
		err := fmt.Errorf("%d bytes short: the file was cut while it was read: %w", b.left, io.ErrUnexpectedEOF)
		return n, &backends.Error{Op: "read", Key: b.key, Class: backends.Changed, Err: err}
	}
	return n, io.EOF
}

func (b *body) Close() error { return b.f.Close() }
