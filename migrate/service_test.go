package migrate

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify"
	"github.com/regferry/regferry/verify/layout/layouttest"
)

// service is a store whose service copies and keeps digests, or would: err is
// what it answers.
type service struct {
	backends.Store
	err           error
	copies, heads atomic.Int64
}

func (s *service) CopiesFrom(backends.ReadStore) bool { return true }

func (s *service) CopyFrom(ctx context.Context, src backends.ReadStore, o backends.Object, d digest.Digest) error {
	s.copies.Add(1)
	if s.err != nil {
		return s.err
	}
	_, err := s.Put(ctx, o.Key, backends.Content{Size: o.Size, Digest: d, Open: func(ctx context.Context, off int64) (io.ReadCloser, error) {
		b, err := src.Open(ctx, o.Key, off)
		return verify.NewReader(b, o.Key, o.Size, d), err
	}})
	return err
}

func (s *service) StoredDigest(ctx context.Context, key string) (digest.Digest, int64, error) {
	s.heads.Add(1)
	if s.err != nil {
		return "", -1, s.err
	}
	b, err := s.Store.Open(ctx, key, 0)
	if err != nil {
		return "", -1, err
	}
	defer b.Close()
	d, err := digest.FromReader(b)
	return d, b.Object.Size, err
}

func withLarge(t *testing.T) (string, *layouttest.Registry) {
	return registry(t, layouttest.Shape{Seed: 5, Repositories: 2, Tags: 3, Layers: 3, MinLayer: 1000, MaxLayer: 3 << 20})
}

// Large blobs are copied by the service, and by hand where it refuses; what is
// corrupt is said to be by whoever reads it.
func TestCopyByService(t *testing.T) {
	for name, fault := range map[string]error{"works": nil, "refuses": errors.New("no")} {
		t.Run(name, func(t *testing.T) {
			dir, made := withLarge(t)
			dst := &service{Store: memory(t), err: fault}
			got, _ := transfer(t, reader(t, dir), dst, quick())
			clean(t, got)
			same(t, treeOf(t, dst), treeOf(t, reader(t, dir)))
			large := int64(0)
			for _, size := range made.Blobs {
				if size >= minByService {
					large++
				}
			}
			want := large
			if fault != nil {
				want = 0
			}
			if large == 0 || dst.copies.Load() != large || got.ByService != want || got.CopiedBytes != got.BlobBytes {
				t.Errorf("%d large blobs, asked %d times: %+v", large, dst.copies.Load(), got)
			}
		})
	}
}

func TestCopyByServiceOfDamage(t *testing.T) {
	dir, made := withLarge(t)
	hurt := damage(t, "blob-corrupt", dir, made)
	dst := &service{Store: memory(t)}
	got, _ := transfer(t, reader(t, dir), dst, quick())
	if got.Corrupt != 1 || got.Failed != 0 {
		t.Errorf("%s: %+v", hurt.Digest, got)
	}
	if _, there := treeOf(t, dst)[layerKey(hurt.Digest)]; there {
		t.Error("a corrupt blob was copied")
	}
}

// A recheck asks the service for what it keeps, and reads where that is nothing.
func TestRecheckByService(t *testing.T) {
	for name, fault := range map[string]error{"keeps digests": nil, "keeps none": errors.New("no")} {
		t.Run(name, func(t *testing.T) {
			dir, made := small(t)
			whole := treeOf(t, reader(t, dir))
			dst := &service{Store: memory(t), err: fault}
			bad := layerKey(layerOf(t, made))
			for k, v := range whole {
				if k == bad {
					v = string(append([]byte{v[0] ^ 1}, v[1:]...))
				}
				put(t, dst, k, v)
			}
			o := quick()
			o.RecheckExisting = true
			got, _ := transfer(t, reader(t, dir), dst, o)
			clean(t, got)
			if got.Replaced != 1 || got.Rechecked != got.Blobs-1 || dst.heads.Load() != got.Blobs {
				t.Errorf("%d asked: %+v", dst.heads.Load(), got)
			}
			same(t, treeOf(t, dst), whole)
		})
	}
}
