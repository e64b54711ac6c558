package swift

import (
	"bytes"
	"context"
	"crypto/md5"

	"gocloud.dev/blob/driver"

	"github.com/regferry/regferry/backends"
)

// maxWriter bounds the memory of one writer.
const maxWriter = 256 << 20

var (
	errNoKey     = backends.Refuse(backends.Unsupported, "an object has a name")
	errWriter    = backends.Refuse(backends.Unsupported, "a writer takes 256 MiB; what is larger needs its size before")
	errWriterMD5 = backends.Refuse(backends.Corrupt, "the content does not have the MD5 that was given")
)

// writer is a content of unknown size, which only gocloud's interface has. It
// holds one object of at most maxWriter bytes.
type writer struct {
	ctx    context.Context
	b      *bucket
	name   string
	header map[string]string
	md5    []byte
	buf    []byte
}

// NewTypedWriter is the portable way to write, for tests and tools: one
// request when it is closed, so that what was abandoned is not stored. What the
// engine writes goes through Store.Put, which knows the size.
func (b *bucket) NewTypedWriter(ctx context.Context, key, contentType string, opts *driver.WriterOptions) (driver.Writer, error) {
	if key == "" {
		return nil, errNoKey
	}
	w := &writer{ctx: ctx, b: b, name: b.root + key, md5: opts.ContentMD5, header: map[string]string{"Content-Type": contentType}}
	for name, value := range map[string]string{
		"Cache-Control": opts.CacheControl, "Content-Disposition": opts.ContentDisposition,
		"Content-Encoding": opts.ContentEncoding, "Content-Language": opts.ContentLanguage,
	} {
		if value != "" {
			w.header[name] = value
		}
	}
	if opts.IfNotExist {
		w.header["If-None-Match"] = "*"
	}
	metaHeaders(opts.Metadata, w.header)
	if opts.BeforeWrite != nil {
		if err := opts.BeforeWrite(func(any) bool { return false }); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (w *writer) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	if int64(len(w.buf)+len(p)) > min(maxWriter, w.b.limits.maxFile) {
		return 0, errWriter
	}
	w.buf = append(w.buf, p...)
	return len(p), nil
}

func (w *writer) Close() error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	if sum := md5.Sum(w.buf); w.md5 != nil && !bytes.Equal(w.md5, sum[:]) {
		return errWriterMD5
	}
	return w.b.put(w.ctx, w.name, w.buf, w.header)
}
