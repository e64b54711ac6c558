package verify_test

import (
	"crypto/sha256"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/regferry/regferry/verify"
	"github.com/regferry/regferry/verify/layout/layouttest"
)

// BenchmarkContent hashes the same files with an audit at the level content and
// with a bare loop over all cores, in turn, and reports the audit's share of
// the loop's speed.
func BenchmarkContent(b *testing.B) {
	dir := tempDir(b)
	made, err := layouttest.WriteDir(dir, layouttest.Shape{
		Seed: 1, Repositories: 4, Tags: 10, Layers: 6, MinLayer: 100 << 10, MaxLayer: 8 << 20,
	})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(made.Bytes)
	bare(b, dir)
	var audit, loop time.Duration
	for b.Loop() {
		at := time.Now()
		s, err := verify.Run(b.Context(), verify.Options{Source: open(b, dir), Level: verify.Content})
		if err != nil || s.SourceDamage() > 0 {
			b.Fatal(err)
		}
		audit += time.Since(at)
		at = time.Now()
		bare(b, dir)
		loop += time.Since(at)
	}
	b.ReportMetric(loop.Seconds()/audit.Seconds(), "of-bare-loop")
	b.ReportMetric(float64(made.Bytes)*float64(b.N)/audit.Seconds()/1e6, "audit-MB/s")
}

// bare reads and hashes every file, with all cores.
func bare(b *testing.B, dir string) {
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	err := filepath.WalkDir(filepath.Join(dir, "docker/registry/v2/blobs"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		g.Go(func() error {
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = io.CopyBuffer(struct{ io.Writer }{sha256.New()}, struct{ io.Reader }{f}, make([]byte, 256<<10))
			return err
		})
		return nil
	})
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkPresence audits many objects by listings alone.
func BenchmarkPresence(b *testing.B) {
	dir := tempDir(b)
	made, err := layouttest.WriteDir(dir, layouttest.Shape{Seed: 1, Repositories: 50, Tags: 60, Layers: 4, MaxLayer: 200})
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := verify.Run(b.Context(), verify.Options{Source: open(b, dir), SkipReferences: true}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(made.Objects), "objects")
}
