package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"

	"gocloud.dev/blob"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/parts"
)

// Put streams the content through one writer of the driver. Memory is one
// buffer of 256 KiB and what the driver takes for the parts in flight.
func (s *Store) Put(ctx context.Context, key string, c backends.Content) (backends.Object, error) {
	if err := valid("put", key); err != nil {
		return backends.Object{}, err
	}
	if err := s.put(ctx, key, c); err != nil {
		return backends.Object{}, s.failed("put", key, err)
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
	in, err := parts.OpenInput(ctx, c, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	w, err := s.bucket.NewWriter(ctx, key, &blob.WriterOptions{
		ContentType: "application/octet-stream",
		BufferSize:  partSize(c.Size),
	})
	if err != nil {
		return err
	}
	if err := exactly(ctx, w, in, c.Size); err != nil {
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

// exactly writes size bytes, and waits for the source's verdict on them.
func exactly(ctx context.Context, w io.Writer, in *parts.Input, size int64) error {
	buf := make([]byte, min(size, 256<<10))
	for {
		b := buf[:min(size, int64(len(buf)))]
		if err := in.Fill(ctx, b); err != nil {
			return err
		}
		if _, err := w.Write(b); len(b) > 0 && err != nil {
			return errors.Join(err, ctx.Err()) // a broken pipe is how some drivers say cancelled
		}
		if size -= int64(len(b)); size == 0 {
			return ctx.Err()
		}
	}
}
