package layouttest

import (
	"context"
	"io"
	"os"
	"path/filepath"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify/layout"
)

// WriteDir makes a registry below dir, which is made too. It is plain and fast:
// nothing is synced. A file that is already there is an error, so that two
// registries are not mixed.
func WriteDir(dir string, shape Shape) (*Registry, error) {
	buf := make([]byte, 256<<10)
	return Generate(shape, func(key string, _ int64, open func() io.Reader) error {
		name := filepath.Join(dir, filepath.FromSlash(key))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return err
		}
		// Hidden, or the copy would go through os.File.ReadFrom and a buffer
		// of 32 KiB made for each file.
		if _, err = io.CopyBuffer(struct{ io.Writer }{f}, open(), buf); err != nil {
			_ = f.Close()
			return err
		}
		return f.Close()
	})
}

// syncEvery is after how many objects PutStore syncs a store that writes in
// groups: its list of what is not yet durable has a bound.
const syncEvery = 1000

// PutStore makes a registry in a store, one Put after the other.
func PutStore(ctx context.Context, store backends.Store, shape Shape) (*Registry, error) {
	syncer := backends.PowersOf(store).Syncer
	n := 0
	sync := func() error {
		if syncer == nil {
			return nil
		}
		return syncer.Sync(ctx)
	}
	r, err := Generate(shape, func(key string, size int64, open func() io.Reader) error {
		c := backends.Content{Size: size, Open: func(_ context.Context, offset int64) (io.ReadCloser, error) {
			body := open()
			_, err := io.CopyN(io.Discard, body, offset)
			return io.NopCloser(body), err
		}}
		c.Digest, _ = layout.DigestOf(key)
		if _, err := store.Put(ctx, key, c); err != nil {
			return err
		}
		if n++; n%syncEvery == 0 {
			return sync()
		}
		return nil
	})
	if err != nil {
		return r, err
	}
	return r, sync()
}
