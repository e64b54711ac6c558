package swift_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding"
	"hash"
	"io"
	"strings"
	"sync"
	"testing"

	ncw "github.com/ncw/swift/v2"
	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
)

// blob is content with its digest.
type blob struct {
	b []byte
	backends.Content
}

func newBlob(seed string, size int) *blob {
	b := bytes.Repeat([]byte(seed+"."), size/(len(seed)+1)+1)[:size]
	return &blob{b, backends.Content{
		Size: int64(size), Digest: digest.FromBytes(b),
		Open: func(_ context.Context, off int64) (io.ReadCloser, error) {
			h := sha256.New()
			h.Write(b[:off])
			return &hashed{bytes.NewReader(b[off:]), h}, nil
		},
	}}
}

func (b *blob) key() string {
	hex := b.Digest.Encoded()
	return "docker/registry/v2/blobs/sha256/" + hex[:2] + "/" + hex + "/data"
}

type hashed struct {
	r   io.Reader
	sum hash.Hash
}

func (h *hashed) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	h.sum.Write(p[:n])
	return n, err
}
func (h *hashed) Close() error { return nil }
func (h *hashed) MarshalBinary() ([]byte, error) {
	return h.sum.(encoding.BinaryMarshaler).MarshalBinary()
}

// holds reads a key and compares.
func holds(t *testing.T, s backends.ReadStore, key string, want []byte) {
	t.Helper()
	b, err := s.Open(t.Context(), key, 0)
	if err != nil {
		t.Error(err)
		return
	}
	defer b.Close()
	if got, err := io.ReadAll(b); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s holds %d bytes, want %d that are others; error %v", key, len(got), len(want), err)
	}
}

func opener(src backends.ReadStore, key string) func(context.Context, int64) (io.ReadCloser, error) {
	return func(ctx context.Context, off int64) (io.ReadCloser, error) {
		b, err := src.Open(ctx, key, off)
		if err != nil {
			return nil, err
		}
		return b, nil
	}
}

// segmentsBelow names those of a prefix.
func segmentsBelow(t *testing.T, account *ncw.Connection, prefix string) []string {
	t.Helper()
	names, err := account.ObjectNamesAll(t.Context(), "images", &ncw.ObjectsOpts{Prefix: prefix + "segments/"})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// notices collects them.
type notices struct {
	mu  sync.Mutex
	all []string
}

func (n *notices) add(text string) { n.mu.Lock(); defer n.mu.Unlock(); n.all = append(n.all, text) }

func (n *notices) has(part string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Contains(strings.Join(n.all, "\n"), part)
}
