package checkpoint

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		child(dir)
		return
	}
	if path := os.Getenv(largeEnv); path != "" {
		large(path)
		return
	}
	goleak.VerifyTestMain(m)
}

var testID = Identity{Source: "file:///old", Destination: "file:///new", Root: "docker/registry/v2"}

func dig(shard string, i int) digest.Digest {
	return digest.NewDigestFromBytes(digest.SHA256, sum256(fmt.Sprintf("%s/%d", shard, i)))
}

func sum256(s string) []byte {
	b := sha256.Sum256([]byte(s))
	return b[:]
}

func open(t testing.TB, path string, o Options) *File {
	t.Helper()
	f, err := Open(path, testID, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func closed(t testing.TB, f *File) {
	t.Helper()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func shard(t testing.TB, f *File, name string) Shard {
	t.Helper()
	s, err := f.Shard(name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func content(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func newPath(t testing.TB) string { return filepath.Join(t.TempDir(), "checkpoint") }

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
