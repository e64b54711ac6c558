//go:build linux

package main

import (
	"bytes"
	"context"
	"io"
	"iter"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/location"
	"github.com/regferry/regferry/migrate"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/layout/layouttest"
)

// TestHalfWritten is registry 2.8 at the source, which makes links and
// manifests empty and then fills them: whoever lists and reads in between sees
// 0 bytes, and a moment later the whole. That is no damage, and no reason for
// a broken tag at the destination.
func TestHalfWritten(t *testing.T) {
	dir := t.TempDir()
	made, err := layouttest.WriteDir(filepath.Join(dir, "source"), layouttest.Shape{Repositories: 1, Tags: 2, Layers: 2})
	if err != nil {
		t.Fatal(err)
	}
	r := made.Repositories[0]
	image := r.Tags["latest"]
	for name, key := range map[string]string{
		"manifest":      layout.BlobKey(image),
		"revision link": layout.RevisionKey(r.Name, image),
		"layer link":    layout.LayerKey(r.Name, r.Layers[0]),
		"tag":           layout.TagKey(r.Name, "latest"),
		"index link":    layout.TagIndexKey(r.Name, "latest", image),
	} {
		t.Run(name, func(t *testing.T) { halfWritten(t, dir, key) })
	}
}

func halfWritten(t *testing.T, dir, key string) {
	src, err := location.Opener{}.Source(t.Context(), filepath.Join(dir, "source"))
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	destination := filepath.Join(dir, strings.ReplaceAll(t.Name(), "/", "-"))
	dst, err := location.Opener{}.Destination(t.Context(), destination)
	if err != nil {
		t.Fatal(err)
	}
	defer dst.Close()
	s, err := migrate.Run(t.Context(), &filling{ReadStore: src, key: key}, dst, migrate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if n := s.Last().SourceDamage(); n != 0 {
		t.Errorf("%d things called damage of the source: %+v", n, s.Last())
	}
	broken, err := new(audit).broken(destination)
	if err != nil || len(broken) > 0 {
		t.Errorf("tags in sight that cannot be pulled: %v, error %v", broken, err)
	}
}

// filling is a source of which one object is empty when it is looked at first:
// when it is listed, and at the first two times it is asked for or read.
type filling struct {
	backends.ReadStore
	key string

	mu    sync.Mutex
	looks int
}

func (f *filling) List(ctx context.Context, prefix, after string) iter.Seq2[backends.Object, error] {
	return func(yield func(backends.Object, error) bool) {
		for o, err := range f.ReadStore.List(ctx, prefix, after) {
			if o.Key == f.key && f.empty(0) {
				o.Size = 0
			}
			if !yield(o, err) {
				return
			}
		}
	}
}

func (f *filling) Stat(ctx context.Context, key string) (backends.Object, error) {
	o, err := f.ReadStore.Stat(ctx, key)
	if err == nil && key == f.key && f.empty(1) {
		o.Size = 0
	}
	return o, err
}

func (f *filling) Open(ctx context.Context, key string, offset int64) (backends.Body, error) {
	b, err := f.ReadStore.Open(ctx, key, offset)
	if err == nil && key == f.key && f.empty(1) {
		err = b.Close()
		b = backends.Body{ReadCloser: io.NopCloser(bytes.NewReader(nil)), Object: backends.Object{Key: key}}
	}
	return b, err
}

func (f *filling) empty(look int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looks += look
	return f.looks <= 2
}
