package gcs

import (
	"bytes"
	"context"
	"crypto/md5"
	"fmt"
	"hash/crc32"
	"io"

	"cloud.google.com/go/storage"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/parts"
)

// contentType is what a registry writes.
const contentType = "application/octet-stream"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sums are what the service has of each object.
type sums struct {
	crc uint32
	md5 []byte // nil for one in parts
}

func sumsOf(b []byte) sums {
	sum := md5.Sum(b)
	return sums{crc32.Checksum(b, castagnoli), sum[:]}
}

// Put stores an object: in one request up to the size of a part, else in a
// session, which can be resumed if Content.Saved is given.
func (s *Store) Put(ctx context.Context, key string, c backends.Content) (backends.Object, error) {
	err := s.checkPut(ctx, key, c)
	switch {
	case err != nil:
	case c.Size <= s.o.PartSize:
		err = s.putWhole(ctx, key, c)
	default:
		err = s.putParts(ctx, key, c)
	}
	if err != nil {
		return backends.Object{}, s.failed("put", key, err)
	}
	return backends.Object{Key: key, Size: c.Size}, nil
}

func (s *Store) checkPut(ctx context.Context, key string, c backends.Content) error {
	if err := parts.Check(ctx, c, maxSize, "an object has at most 5 TiB"); err != nil {
		return err
	}
	if len(s.name(key)) > maxKey {
		return backends.Refuse(backends.Unsupported, "a key has at most 1024 bytes, with the root directory")
	}
	return backends.CheckKey(key, maxKey)
}

// putWhole reads all of the content, and the source's verdict on it, before it
// sends anything: a bad source makes no request, and one that has to be
// repeated needs no source.
func (s *Store) putWhole(ctx context.Context, key string, c backends.Content) error {
	buf, err := s.buffers.Get(ctx, c.Size)
	if err != nil {
		return err
	}
	defer s.buffers.Put(buf)
	if err := parts.Whole(ctx, c, buf.B); err != nil {
		return err
	}
	sums := sumsOf(buf.B)
	stored, err := s.insert(ctx, key, buf.B, sums)
	if err != nil {
		return bucketMissing(err)
	}
	return s.compare(ctx, key, stored, c.Size, sums.crc)
}

// insert is one request, made again where that may help: what it stores is the
// same each time.
func (s *Store) insert(ctx context.Context, key string, b []byte, sums sums) (stored stored, err error) {
	err = retry(ctx, func() error {
		stored, err = s.insertOnce(ctx, s.object(key), b, sums)
		return err
	})
	return stored, err
}

func (s *Store) insertOnce(ctx context.Context, o *storage.ObjectHandle, b []byte, sums sums) (stored, error) {
	w := o.Retryer(storage.WithPolicy(storage.RetryNever)).NewWriter(ctx)
	w.ChunkSize, w.DisableAutoChecksum = 0, true // one request, which has the sums in it
	w.ContentType, w.StorageClass, w.PredefinedACL, w.KMSKeyName = contentType, s.o.StorageClass, s.o.ACL, s.o.KMSKey
	w.SendCRC32C, w.CRC32C, w.MD5 = true, sums.crc, sums.md5
	_, err := io.Copy(w, bytes.NewReader(b))
	if e := w.Close(); err == nil || e != nil {
		err = e // a failed write says only that nobody reads on
	}
	// The SDK may say that the context has ended also of what it knows is stored.
	if a := w.Attrs(); a != nil {
		return stored{a.Size, a.CRC32C, a.Generation}, nil
	}
	if ctx.Err() != nil {
		return stored{}, ctx.Err()
	}
	return stored{}, refused(err)
}

// stored is what the service says it has stored.
type stored struct {
	size       int64
	crc        uint32
	generation int64
}

// compare is for a service that does not look at the checksums it gets; Google's
// does, and then nothing is stored. A wrong object does not stay.
func (s *Store) compare(ctx context.Context, key string, got stored, size int64, crc uint32) error {
	if got.size == size && got.crc == crc {
		return nil
	}
	s.remove(ctx, key, got.generation)
	return backends.Refuse(backends.Corrupt,
		fmt.Sprintf("the service stored %d bytes with the CRC32C %08x, and was sent %d with %08x; it was removed", got.size, got.crc, size, crc))
}

// bucketMissing: a write is 404 for want of the bucket only.
func bucketMissing(err error) error {
	if classOf(err) != backends.NotFound {
		return err
	}
	return fmt.Errorf("%w: %w", storage.ErrBucketNotExist, answer{err})
}
