package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"

	"gocloud.dev/blob"

	"github.com/regferry/regferry/backends"
)

// Put streams the content through one writer of the driver. Memory is one
// buffer of 256 KiB and what the driver takes for the parts in flight.
func (s *Store) Put(ctx context.Context, key string, c backends.Content) (backends.Object, error) {
	if err := valid("put", key); err != nil {
		return backends.Object{}, err
	}
	if err := s.put(ctx, key, c); err != nil {
		return backends.Object{}, failed("put", key, err)
	}
	return backends.Object{Key: key, Size: c.Size}, nil
}

func (s *Store) put(ctx context.Context, key string, c backends.Content) (err error) {
	if c.Size < 0 {
		return fmt.Errorf("a content of %d bytes", c.Size)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	src, err := c.Open(ctx, 0)
	if err != nil {
		return err
	}
	defer func() { _ = src.Close() }() // all of it was read, or the error is known
	w, err := s.bucket.NewWriter(ctx, key, &blob.WriterOptions{
		ContentType: "application/octet-stream",
		BufferSize:  partSize(c.Size),
	})
	if err != nil {
		return err
	}
	if err := exactly(ctx, w, src, c.Size); err != nil {
		cancel() // before Close, which would store what there is
		_ = w.Close()
		return err
	}
	return w.Close()
}

// partSize is 0, the driver's own, until S3's 10,000 parts of gocloud's 5 MiB
// would be too few.
func partSize(size int64) int {
	if size <= 5<<20*9000 {
		return 0
	}
	return int(size/9000 + 1)
}

// exactly copies to the end of src, which must come after size bytes. An error
// of src comes back as it is; io.EOF is the only good end, and it is waited for
// since a reader that checks a digest complains there.
func exactly(ctx context.Context, w io.Writer, src io.Reader, size int64) error {
	buf := make([]byte, min(size+1, 256<<10))
	var n int64
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		k, err := src.Read(buf)
		if n += int64(k); n > size {
			return fmt.Errorf("more than the %d bytes that were announced", size)
		}
		if err != nil && err != io.EOF {
			return err
		}
		if k > 0 {
			if _, werr := w.Write(buf[:k]); werr != nil {
				return errors.Join(werr, ctx.Err()) // a broken pipe is how some drivers say cancelled
			}
		}
		if err == io.EOF {
			break
		}
	}
	if n < size {
		return fmt.Errorf("%d bytes of %d: %w", n, size, io.ErrUnexpectedEOF)
	}
	return ctx.Err()
}
