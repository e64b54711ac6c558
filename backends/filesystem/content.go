package filesystem

import (
	"context"
	"io"
	"os"
	"sync"

	"github.com/regferry/regferry/backends"
)

// chunk is how much is read and written at a time: most objects of a registry
// in one call each.
const chunk = 256 << 10

var buffers = sync.Pool{New: func() any { return new([chunk]byte) }}

func copyContent(ctx context.Context, w *os.File, c backends.Content) error {
	r, err := c.Open(ctx, 0)
	if err != nil {
		return backends.SourceError{Err: err}
	}
	defer r.Close()
	buf := buffers.Get().(*[chunk]byte)
	defer buffers.Put(buf)
	for off := int64(0); ; {
		n, err := readChunk(ctx, r, buf[:], off, c.Size)
		if err != nil && err != io.EOF {
			return err
		}
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		off += int64(n)
	}
}

// readChunk fills buf, or reads what is left of size and one byte more, so
// that the end of the source, and its verdict on the content, is read as well.
// io.EOF means that exactly size bytes were read up to here.
func readChunk(ctx context.Context, r io.Reader, buf []byte, off, size int64) (int, error) {
	if left := size - off + 1; int64(len(buf)) > left {
		buf = buf[:left]
	}
	n, empty := 0, 0
	for n < len(buf) {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		m, err := r.Read(buf[n:])
		n += m
		switch {
		case off+int64(n) > size:
			return n, backends.SizeError{Got: off + int64(n), Want: size}
		case err == io.EOF && off+int64(n) < size:
			return n, backends.SizeError{Got: off + int64(n), Want: size}
		case err == io.EOF:
			return n, io.EOF
		case err != nil:
			return n, backends.SourceError{Err: err}
		case m > 0:
			empty = 0
		case empty == 100:
			return n, backends.SourceError{Err: io.ErrNoProgress}
		}
		empty++
	}
	return n, nil
}
