package filesystem_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/filesystem"
)

// benchDir is on the disk of REGFERRY_BENCH_DIR, else in memory.
func benchDir(b *testing.B) string {
	at := os.Getenv("REGFERRY_BENCH_DIR")
	if at == "" {
		at = "/dev/shm"
	}
	dir, err := os.MkdirTemp(at, "regferry-bench")
	if err != nil {
		return b.TempDir()
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func blobKey(i int) string {
	hex := fmt.Sprintf("%x", sha256.Sum256([]byte{byte(i), byte(i >> 8), byte(i >> 16)}))
	return "docker/registry/v2/blobs/sha256/" + hex[:2] + "/" + hex + "/data"
}

func content(data []byte) backends.Content {
	return backends.Content{Size: int64(len(data)), Open: func(_ context.Context, off int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data[off:])), nil
	}}
}

func plant(b testing.TB, root string, blobs, size int) {
	data := bytes.Repeat([]byte("x"), size)
	for i := range blobs {
		path := filepath.Join(root, blobKey(i))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o644); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkList(b *testing.B) {
	root := benchDir(b)
	plant(b, root, 45_000, 10)
	r, err := filesystem.OpenReader(root, filesystem.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for _, err := range r.List(b.Context(), "docker/registry/v2/blobs/", "") {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != 45_000 {
			b.Fatal(n)
		}
	}
}

func BenchmarkOpenRead(b *testing.B) {
	root := benchDir(b)
	plant(b, root, 10_000, 2000)
	r, err := filesystem.OpenReader(root, filesystem.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	keys := make([]string, 10_000)
	for i := range keys {
		keys[i] = blobKey(i)
	}
	buf := make([]byte, 4096)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		body, err := r.Open(b.Context(), keys[i%len(keys)], 0)
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.ReadFull(body, buf); n != 2000 || err != io.ErrUnexpectedEOF {
			b.Fatal(n, err)
		}
		body.Close()
		i++
	}
}

func BenchmarkPutSmallGroup(b *testing.B) { benchmarkPut(b, filesystem.FsyncGroup) }
func BenchmarkPutSmallEach(b *testing.B)  { benchmarkPut(b, filesystem.FsyncEach) }

func benchmarkPut(b *testing.B, way filesystem.Fsync) {
	s, err := filesystem.Open(benchDir(b), filesystem.Options{Fsync: way})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	c := content(bytes.Repeat([]byte("x"), 2000))
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if _, err := s.Put(b.Context(), blobKey(i), c); err != nil {
			b.Fatal(err)
		}
		i++
	}
	if err := s.Sync(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkPutLarge has the digest given, and so is what a layer goes through.
func BenchmarkPutLarge(b *testing.B) {
	s, err := filesystem.Open(benchDir(b), filesystem.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	data := make([]byte, 64<<20)
	c := content(data)
	c.Digest = digest.FromBytes(data)
	c.Saved = func(backends.Upload) error { return nil }
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := s.Put(b.Context(), "d/data", c); err != nil {
			b.Fatal(err)
		}
		if err := s.Sync(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
