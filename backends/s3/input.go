package s3

import (
	"context"
	"encoding"
	"io"

	"github.com/regferry/regferry/backends"
)

// input is the content of a Put being read.
type input struct {
	r         io.ReadCloser
	off, size int64
}

func openInput(ctx context.Context, c backends.Content, off int64) (*input, error) {
	r, err := c.Open(ctx, off)
	if err != nil {
		return nil, sourceError{err}
	}
	return &input{r: r, off: off, size: c.Size}, nil
}

func (in *input) close() { in.r.Close() }

// fill reads all of p. With the last byte of the content it also reads the
// source's verdict: io.EOF, or what is wrong with the bytes before.
func (in *input) fill(ctx context.Context, p []byte) error {
	for len(p) > 0 {
		n, err := in.read(ctx, p)
		p = p[n:]
		if err != nil {
			if err == io.EOF && len(p) == 0 {
				return nil
			}
			return in.ended(err)
		}
	}
	if in.off < in.size {
		return nil
	}
	var one [1]byte
	n, err := in.read(ctx, one[:])
	if n > 0 {
		return sizeError{in.off, in.size}
	}
	if err == io.EOF {
		return nil
	}
	return in.ended(err)
}

func (in *input) ended(err error) error {
	if err == io.EOF {
		return sizeError{in.off, in.size}
	}
	return err
}

// read is one Read that yields something.
func (in *input) read(ctx context.Context, p []byte) (int, error) {
	for range 100 {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		n, err := in.r.Read(p)
		in.off += int64(n)
		if err == io.EOF {
			return n, io.EOF
		}
		if err != nil {
			return n, sourceError{err}
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, sourceError{io.ErrNoProgress}
}

// state is that of the source's hash over what was read so far, if it has one.
func (in *input) state() []byte {
	if m, ok := in.r.(encoding.BinaryMarshaler); ok {
		if state, err := m.MarshalBinary(); err == nil {
			return state
		}
	}
	return nil
}
