package layouttest

import (
	"context"
	"errors"
	"io"
	"maps"
	"reflect"
	"testing"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/filesystem"
	"github.com/regferry/regferry/verify/layout"
)

func TestPutStore(t *testing.T) {
	dir := t.TempDir()
	store, err := filesystem.Open(dir, filesystem.Options{})
	if err != nil {
		t.Fatal(err)
	}
	shape := Small(1)
	shape.MaxLayer = 2 * inMemory
	r, err := PutStore(t.Context(), store, shape)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	want, wantR := inTree(t, shape)
	got := readTree(t, dir)
	maps.DeleteFunc(got, func(key string, _ []byte) bool { return layout.Parse(key).Kind == layout.Outside })
	if !reflect.DeepEqual(r, wantR) || !maps.EqualFunc(got, want, func(a, b []byte) bool { return string(a) == string(b) }) {
		t.Errorf("the store holds %d objects, not the %d that Generate makes", len(got), len(want))
	}
}

// checker takes what PutStore hands a store apart; it stores nothing.
type checker struct {
	backends.Store
	t         *testing.T
	puts      int
	unsynced  int
	most      int
	failAt    int
	syncs     int
	syncError error
}

var errPut = errors.New("put")

func (c *checker) Put(ctx context.Context, key string, content backends.Content) (backends.Object, error) {
	c.puts++
	c.unsynced++
	c.most = max(c.most, c.unsynced)
	if c.puts == c.failAt {
		return backends.Object{}, errPut
	}
	if d, ok := layout.DigestOf(key); ok != (content.Digest != "") || content.Digest != d {
		c.t.Errorf("%s: digest %q", key, content.Digest)
	}
	whole := c.read(ctx, content, 0)
	if half := content.Size / 2; whole[half:] != c.read(ctx, content, half) || int64(len(whole)) != content.Size {
		c.t.Errorf("%s: not the same from the middle", key)
	}
	return backends.Object{}, nil
}

func (c *checker) read(ctx context.Context, content backends.Content, offset int64) string {
	body, err := content.Open(ctx, offset)
	if err != nil {
		c.t.Fatal(err)
	}
	b, err := io.ReadAll(body)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(b)
}

func (c *checker) Sync(context.Context) error {
	c.syncs++
	c.unsynced = 0
	return c.syncError
}

func TestPutStoreContents(t *testing.T) {
	c := &checker{t: t}
	if _, err := PutStore(t.Context(), c, Shape{Repositories: 3, Tags: 50, Layers: 4}); err != nil {
		t.Fatal(err)
	}
	if c.puts < 2*syncEvery || c.unsynced != 0 || c.most > syncEvery {
		t.Errorf("%d puts, %d without a sync at the end, %d at most", c.puts, c.unsynced, c.most)
	}
}

func TestPutStoreErrors(t *testing.T) {
	c := &checker{t: t, failAt: 7}
	if r, err := PutStore(t.Context(), c, Small(1)); !errors.Is(err, errPut) || r.Objects != 6 {
		t.Errorf("%v", err)
	}
	c = &checker{t: t, syncError: errPut}
	if _, err := PutStore(t.Context(), c, Small(1)); !errors.Is(err, errPut) {
		t.Errorf("a failed sync: %v", err)
	}
}
