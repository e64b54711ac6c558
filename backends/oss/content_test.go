package oss_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
)

func contentOf(b []byte, d digest.Digest) backends.Content {
	return backends.Content{Size: int64(len(b)), Digest: d, Open: func(_ context.Context, off int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(b[off:])), nil
	}}
}

// blob is a content and the key of a registry for it.
type blob struct {
	backends.Content
	b   []byte
	key string
}

func newBlob(seed byte, size int) *blob {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	d := digest.FromBytes(b)
	return &blob{contentOf(b, d), b, "docker/registry/v2/blobs/sha256/" + d.Encoded()[:2] + "/" + d.Encoded() + "/data"}
}

// holds demands that the store has the content.
func holds(t *testing.T, s backends.ReadStore, b *blob) {
	t.Helper()
	if got := digestOf(t, s, b.key); got != string(b.Digest) {
		t.Errorf("%s holds %s", b.key, got)
	}
}

// lacks demands that nothing is under the key.
func lacks(t *testing.T, s backends.ReadStore, key string) {
	t.Helper()
	if _, err := s.Stat(t.Context(), key); backends.ClassOf(err) != backends.NotFound {
		t.Errorf("%s: %v", key, err)
	}
}

// notices are what a store has told of.
type notices struct {
	mu  sync.Mutex
	all []string
}

func (n *notices) add(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, text)
}

func (n *notices) has(text string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Contains(strings.Join(n.all, "\n"), text)
}
