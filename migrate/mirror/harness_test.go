package mirror

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/filesystem"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/layout/layouttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tempDir is a directory in memory where there is one.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "regferry-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// pair is a source and a destination on disk, with a mirror's state.
type pair struct {
	t             testing.TB
	src, dst, dir string
	made          *layouttest.Registry
	o             Options
	ahead         time.Duration // of the mirrors' clock
}

func newPair(t testing.TB) *pair {
	t.Helper()
	p := &pair{t: t, src: tempDir(t), dst: tempDir(t), dir: filepath.Join(tempDir(t), "state")}
	made, err := layouttest.WriteDir(p.src, layouttest.Shape{Seed: 3, Repositories: 3, Tags: 4, Layers: 3, Shared: 0.3, Indexes: 1, Nested: true})
	if err != nil {
		t.Fatal(err)
	}
	p.made = made
	p.o = Options{Name: "test", State: p.dir, Owner: "here", Once: true, Lease: time.Minute, DeleteAfter: time.Nanosecond}
	p.o.MaxDelete, _ = ParseLimit("100%")
	p.o.Open = func(context.Context) (backends.ReadStore, backends.Store, error) {
		src, err := filesystem.OpenReader(p.src, filesystem.Options{})
		if err != nil {
			return nil, nil, backends.At(backends.Source, err)
		}
		dst, err := filesystem.Open(p.dst, filesystem.Options{})
		if err != nil {
			return nil, nil, backends.At(backends.Destination, err)
		}
		return src, dst, nil
	}
	p.o.now = func() time.Time { return time.Now().Add(p.ahead) }
	if testing.Verbose() {
		p.o.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return p
}

// once makes one full round.
func (p *pair) once(change ...func(*Options)) (*Mirror, error) {
	p.t.Helper()
	o := p.o
	for _, c := range change {
		c(&o)
	}
	m, err := New(o)
	if err != nil {
		return nil, err
	}
	err = m.Run(p.t.Context())
	if errClose := m.Close(); errClose != nil {
		p.t.Error(errClose)
	}
	return m, err
}

func (p *pair) must(change ...func(*Options)) *Mirror {
	p.t.Helper()
	m, err := p.once(change...)
	if err != nil {
		p.t.Fatal(err)
	}
	return m
}

// session runs do with a mirror that holds the lease, as the rounds of one
// process.
func (p *pair) session(do func(ctx context.Context, m *Mirror)) {
	p.t.Helper()
	m, err := New(p.o)
	if err != nil {
		p.t.Fatal(err)
	}
	err = m.session(p.t.Context(), func(ctx context.Context) error { do(ctx, m); return nil })
	if err != nil {
		p.t.Error(err)
	}
	if err := m.Close(); err != nil {
		p.t.Error(err)
	}
}

// rounds makes full rounds, an hour apart by the mirror's clock.
func (p *pair) full(ctx context.Context, m *Mirror) error {
	p.ahead += time.Hour
	m.lease.mu.Lock()
	m.lease.renewed, m.lease.looked = m.now(), m.now()
	m.lease.mu.Unlock()
	return m.round(ctx, true)
}

func (p *pair) exists(dir, key string) bool {
	p.t.Helper()
	_, err := os.Stat(filepath.Join(dir, filepath.FromSlash(key)))
	if err != nil && !os.IsNotExist(err) {
		p.t.Fatal(err)
	}
	return err == nil
}

func (p *pair) write(dir, key, content string) {
	p.t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(key))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pair) read(dir, key string) string {
	p.t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(key)))
	if err != nil {
		p.t.Fatal(err)
	}
	return string(data)
}

func (p *pair) remove(dir, key string) {
	p.t.Helper()
	if err := os.RemoveAll(filepath.Join(dir, filepath.FromSlash(key))); err != nil {
		p.t.Fatal(err)
	}
}

// keys lists the registry's files below a directory.
func (p *pair) keys(dir string) map[string]string {
	p.t.Helper()
	all := make(map[string]string)
	root := filepath.Join(dir, filepath.FromSlash(strings.TrimSuffix(layout.Root, "/")))
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		all[filepath.ToSlash(rel)] = string(data)
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return all
}

// equal demands that both sides hold the same.
func (p *pair) equal() {
	p.t.Helper()
	src, dst := p.keys(p.src), p.keys(p.dst)
	for key, content := range src {
		if dst[key] != content {
			p.t.Errorf("%s: %.80q at the source, %.80q at the destination", key, content, dst[key])
		}
	}
	for key := range dst {
		if _, ok := src[key]; !ok {
			p.t.Errorf("%s: at the destination only", key)
		}
	}
}

// some returns a tag of the source and what it names.
func (p *pair) some() (repository, tag, digest string) {
	p.t.Helper()
	for key, content := range p.keys(p.src) {
		k := layout.Parse(key)
		if k.Kind == layout.TagLink && (repository == "" || tagName(k.Repository, k.Tag) < tagName(repository, tag)) {
			repository, tag, digest = k.Repository, k.Tag, content
		}
	}
	return repository, tag, digest
}
