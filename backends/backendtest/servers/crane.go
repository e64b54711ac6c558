package servers

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// Crane runs crane and returns what it prints, without the last newline. The
// test ends if crane fails.
func Crane(t testing.TB, args ...string) string {
	t.Helper()
	out, err := crane(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// crane is for other goroutines than the test's, which may not end it.
func crane(t testing.TB, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), Tool(t, "crane"), append([]string{"--insecure"}, args...)...)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("crane %s: %w\n%s%s", strings.Join(args, " "), err, out.Bytes(), problems.Bytes())
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}

// Tar writes a tar file of the given files, the same bytes each time.
func Tar(t testing.TB, path string, files map[string]string) {
	t.Helper()
	writeTar(t, path, false, func(w *tar.Writer) error {
		for _, name := range slices.Sorted(maps.Keys(files)) {
			if err := w.WriteHeader(header(name, int64(len(files[name])))); err != nil {
				return err
			}
			if _, err := io.WriteString(w, files[name]); err != nil {
				return err
			}
		}
		return nil
	})
}

// BigTar writes a gzipped tar file of one file of size bytes that cannot be
// compressed, the same for the same seed. It is in gzip's stored blocks, which
// cost nothing to make, and which crane takes for a layer as they are.
func BigTar(t testing.TB, path string, size int64, seed byte) {
	t.Helper()
	writeTar(t, path, true, func(w *tar.Writer) error {
		if err := w.WriteHeader(header("big.bin", size)); err != nil {
			return err
		}
		_, err := io.CopyN(w, rand.NewChaCha8([32]byte{seed}), size)
		return err
	})
}

func header(name string, size int64) *tar.Header {
	return &tar.Header{Name: name, Mode: 0o755, Size: size, ModTime: time.Unix(1700000000, 0), Format: tar.FormatPAX}
}

func writeTar(t testing.TB, path string, stored bool, fill func(*tar.Writer) error) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	buffered := bufio.NewWriterSize(f, 1<<20)
	out := io.Writer(buffered)
	closers := []func() error{buffered.Flush, f.Close}
	if stored {
		z, err := gzip.NewWriterLevel(out, gzip.NoCompression)
		if err != nil {
			t.Fatal(err)
		}
		out, closers = z, append([]func() error{z.Close}, closers...)
	}
	w := tar.NewWriter(out)
	if err := fill(w); err != nil {
		t.Fatal(err)
	}
	for _, finish := range append([]func() error{w.Close}, closers...) {
		if err := finish(); err != nil {
			t.Fatal(err)
		}
	}
}
