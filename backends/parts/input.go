package parts

import (
	"context"
	"encoding"
	"io"

	"github.com/regferry/regferry/backends"
)

// Input is the content of a Put being read.
type Input struct {
	r         io.ReadCloser
	off, size int64
}

// OpenInput opens a content at an offset in bytes.
func OpenInput(ctx context.Context, c backends.Content, off int64) (*Input, error) {
	r, err := c.Open(ctx, off)
	if err != nil {
		return nil, backends.SourceError{Err: err}
	}
	return &Input{r: r, off: off, size: c.Size}, nil
}

// Close closes the reader of the content.
func (in *Input) Close() { in.r.Close() }

// Fill reads all of p. With the last byte of the content it also reads the
// source's verdict: io.EOF, or what is wrong with the bytes before.
func (in *Input) Fill(ctx context.Context, p []byte) error {
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
		return backends.SizeError{Got: in.off, Want: in.size}
	}
	if err == io.EOF {
		return nil
	}
	return in.ended(err)
}

func (in *Input) ended(err error) error {
	if err == io.EOF {
		return backends.SizeError{Got: in.off, Want: in.size}
	}
	return err
}

// read is one Read that yields something.
func (in *Input) read(ctx context.Context, p []byte) (int, error) {
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
			return n, backends.SourceError{Err: err}
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, backends.SourceError{Err: io.ErrNoProgress}
}

// state is that of the source's hash over what was read so far, if it has one.
func (in *Input) state() []byte {
	if m, ok := in.r.(encoding.BinaryMarshaler); ok {
		if state, err := m.MarshalBinary(); err == nil {
			return state
		}
	}
	return nil
}

// Whole reads a content that is to be sent in one request into b, which has
// its size, and the source's verdict on it: a bad source makes no request, and
// one that has to be repeated needs no source.
func Whole(ctx context.Context, c backends.Content, b []byte) error {
	in, err := OpenInput(ctx, c, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := in.Fill(ctx, b); err != nil {
		return err
	}
	return ctx.Err()
}

// Check refuses what no service can be sent: a size that is not known, or
// beyond most bytes, of which the service's limit tells.
func Check(ctx context.Context, c backends.Content, most int64, limit string) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case c.Size < 0:
		return backends.Refuse(backends.Unsupported, "the size has to be known before")
	case c.Size > most:
		return backends.Refuse(backends.Unsupported, limit)
	}
	return nil
}
