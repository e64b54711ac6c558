package verify

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
)

// body is a source that notes how often it was closed.
type body struct {
	io.Reader
	closed   int
	closeErr error
}

func (b *body) Close() error {
	b.closed++
	return b.closeErr
}

// someBytes are different for each size.
func someBytes(n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(1, uint64(n)))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

var deliveries = map[string]func(io.Reader) io.Reader{
	"as it comes":   func(r io.Reader) io.Reader { return r },
	"byte by byte":  iotest.OneByteReader,
	"data with EOF": iotest.DataErrReader,
	"half":          iotest.HalfReader,
	"bytes and EOF": func(r io.Reader) io.Reader { return iotest.DataErrReader(iotest.OneByteReader(r)) },
}

func TestReader(t *testing.T) {
	const size = 1000
	whole := someBytes(size)
	flipped := bytes.Clone(whole)
	flipped[size/2] ^= 1
	unknown := digest.Digest("blake3:" + strings.Repeat("ab", 32))
	for _, c := range []struct {
		name    string
		want    digest.Digest
		size    int64
		content []byte
		corrupt string // part of the error; "" for a whole content
	}{
		{"whole", digest.FromBytes(whole), size, whole, ""},
		{"sha512", digest.SHA512.FromBytes(whole), size, whole, ""},
		{"sha384", digest.SHA384.FromBytes(whole), size, whole, ""},
		{"empty", digest.FromBytes(nil), 0, nil, ""},
		{"one byte short", digest.FromBytes(whole), size, whole[:size-1], "ends after 999 of 1000"},
		{"nothing of it", digest.FromBytes(whole), size, nil, "ends after 0 of 1000"},
		{"one byte long", digest.FromBytes(whole), size, append(bytes.Clone(whole), 'x'), "longer than the 1000"},
		{"a byte where none should be", digest.FromBytes(nil), 0, []byte("x"), "longer than the 0"},
		{"twice as long", digest.FromBytes(whole), size, append(bytes.Clone(whole), whole...), "longer than"},
		{"one bit", digest.FromBytes(whole), size, flipped, string(digest.FromBytes(flipped))},
		{"one bit, sha512", digest.SHA512.FromBytes(whole), size, flipped, string(digest.SHA512.FromBytes(flipped))},
		{"the content of a smaller size", digest.FromBytes(whole[:10]), size, whole, "has the digest"},
		{"an algorithm that nobody has", unknown, size, flipped, ""},
		{"that, short", unknown, size, whole[:3], "ends after 3"},
		{"no digest", "", size, flipped, ""},
		{"no digest, long", "", 3, whole, "longer than the 3"},
		{"what is no digest", "sha256:short", size, flipped, ""},
	} {
		for how, deliver := range deliveries {
			t.Run(c.name+"/"+how, func(t *testing.T) {
				b := &body{Reader: deliver(bytes.NewReader(c.content))}
				r := NewReader(b, "some/key", c.size, c.want)
				got, err := io.ReadAll(r)
				if c.corrupt == "" {
					if err != nil || !bytes.Equal(got, c.content) {
						t.Fatalf("%d bytes, error %v", len(got), err)
					}
				} else {
					wantCorrupt(t, err, c.corrupt)
					if int64(len(got)) > c.size {
						t.Errorf("%d bytes of %d were handed on", len(got), c.size)
					}
				}
				for range 3 { // the verdict stays
					if n, again := r.Read(make([]byte, 10)); n != 0 || again == nil || c.corrupt == "" && again != io.EOF {
						t.Errorf("read again: %d bytes, %v", n, again)
					}
				}
				if err := r.Close(); err != nil || b.closed != 1 {
					t.Errorf("closed %d times, error %v", b.closed, err)
				}
			})
		}
	}
}

func wantCorrupt(t *testing.T, err error, text string) {
	t.Helper()
	var e *backends.Error
	if !errors.As(err, &e) || e.Class != backends.Corrupt || e.Key != "some/key" || e.Op != "read" {
		t.Fatalf("%#v is no corrupt read of the key", err)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v can be taken for an end", err)
	}
	if !strings.Contains(err.Error(), text) {
		t.Errorf("%q does not say %q", err, text)
	}
}

// A long source is refused at the first byte too many, not at its end.
func TestReaderStopsAtTheFirstByteTooMany(t *testing.T) {
	r := NewReader(io.NopCloser(zeros{}), "some/key", 10, digest.FromBytes(make([]byte, 10)))
	n, err := io.Copy(io.Discard, r)
	wantCorrupt(t, err, "longer")
	if n > 64<<10 {
		t.Errorf("%d bytes were read", n)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// What goes wrong below comes up as it is; only a bare end is judged.
func TestReaderPassesErrorsOn(t *testing.T) {
	content := someBytes(100)
	plain := errors.New("the cable")
	cut := &backends.Error{Op: "read", Key: "k", Class: backends.Transient, Err: fmt.Errorf("40 bytes are missing: %w", io.ErrUnexpectedEOF)}
	shrunk := &backends.Error{Op: "read", Key: "k", Class: backends.Changed, Err: io.ErrUnexpectedEOF}
	for _, c := range []struct {
		name  string
		err   error
		class backends.Class
	}{
		{"unclassified", plain, backends.Unknown},
		{"denied", &backends.Error{Op: "read", Class: backends.Denied}, backends.Denied},
		{"a connection that broke is not damage", cut, backends.Transient},
		{"nor is a file that was cut while it was read", shrunk, backends.Changed},
		{"a bare unexpected end", io.ErrUnexpectedEOF, backends.Corrupt},
		{"a wrapped end", fmt.Errorf("wrapped: %w", io.EOF), backends.Corrupt},
	} {
		t.Run(c.name, func(t *testing.T) {
			src := io.MultiReader(bytes.NewReader(content[:60]), iotest.ErrReader(c.err))
			r := NewReader(io.NopCloser(src), "k", 100, digest.FromBytes(content))
			n, err := io.Copy(io.Discard, r)
			if err == nil || backends.ClassOf(err) != c.class || n != 60 {
				t.Errorf("%d bytes, %v of class %v, want class %v", n, err, backends.ClassOf(err), c.class)
			}
			if c.class != backends.Corrupt && !errors.Is(err, c.err) {
				t.Errorf("%v is not %v", err, c.err)
			}
		})
	}
	// An error after the last byte must not pass for the end either.
	src := io.MultiReader(bytes.NewReader(content), iotest.ErrReader(plain))
	if _, err := io.ReadAll(NewReader(io.NopCloser(src), "k", 100, digest.FromBytes(content))); !errors.Is(err, plain) {
		t.Errorf("after the last byte: %v", err)
	}
}

func TestReaderCloseError(t *testing.T) {
	b := &body{Reader: strings.NewReader(""), closeErr: errors.New("close")}
	if err := NewReader(b, "k", 0, "").Close(); err != b.closeErr {
		t.Errorf("%v", err)
	}
}

// The state of the hash goes through another process.
func TestResume(t *testing.T) {
	content := someBytes(5000)
	for _, alg := range []digest.Algorithm{digest.SHA256, digest.SHA384, digest.SHA512} {
		want := alg.FromBytes(content)
		for _, at := range []int{0, 1, 63, 64, 65, 2500, 4999, 5000} {
			first := NewReader(io.NopCloser(bytes.NewReader(content)), "some/key", 5000, want)
			if _, err := io.CopyN(io.Discard, first, int64(at)); err != nil {
				t.Fatal(err)
			}
			state, err := first.MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			resume := func(rest []byte) error {
				r, err := Resume(io.NopCloser(bytes.NewReader(rest)), "some/key", 5000, want, int64(at), state)
				if err != nil {
					t.Fatal(err)
				}
				_, err = io.Copy(io.Discard, r)
				return err
			}
			if err := resume(content[at:]); err != nil {
				t.Errorf("%s from %d: %v", alg, at, err)
			}
			wantCorrupt(t, resume(append(bytes.Clone(content[at:]), 0)), "longer")
			if at < 5000 {
				wantCorrupt(t, resume(content[at:4999]), "ends after 4999")
				bad := bytes.Clone(content[at:])
				bad[0]++
				wantCorrupt(t, resume(bad), "has the digest")
			}
		}
	}
}

func TestResumeWithAStateThatIsNone(t *testing.T) {
	content := someBytes(100)
	want := digest.FromBytes(content)
	other, err := digest.SHA512.Hash().(interface{ MarshalBinary() ([]byte, error) }).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	good, err := sha256.New().(interface{ MarshalBinary() ([]byte, error) }).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	for name, state := range map[string][]byte{
		"none": nil, "rubbish": []byte("rubbish"), "of another algorithm": other, "cut": good[:len(good)-1],
	} {
		if _, err := Resume(io.NopCloser(bytes.NewReader(content[50:])), "k", 100, want, 50, state); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	// A state that is well formed and of other bytes shows at the end.
	r, err := Resume(io.NopCloser(bytes.NewReader(content[50:])), "some/key", 100, want, 50, good)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.ReadAll(r)
	wantCorrupt(t, err, "has the digest")
}

// Without a hash there is no state, and going on counts bytes only.
func TestResumeUnprovable(t *testing.T) {
	content := someBytes(100)
	unknown := digest.Digest("blake3:" + strings.Repeat("ab", 32))
	r, err := Resume(io.NopCloser(bytes.NewReader(content[40:])), "some/key", 100, unknown, 40, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.MarshalBinary(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a state of no hash: %v", err)
	}
	if n, err := io.Copy(io.Discard, r); n != 60 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestProvable(t *testing.T) {
	for d, want := range map[digest.Digest]bool{
		digest.FromString("x"):        true,
		digest.SHA512.FromString("x"): true,
		"":                            false,
		"sha256:":                     false,
		"sha256:zz":                   false,
		digest.Digest("sha256:" + strings.Repeat("A", 64)):          false,
		digest.Digest("blake3:" + strings.Repeat("ab", 32)):         false,
		digest.Digest("sha256+b64:" + strings.Repeat("ab", 32)):     false,
		digest.Digest("md5:" + strings.Repeat("ab", 16)):            false,
		digest.Digest("sha256:" + strings.Repeat("a", 64) + "\n"):   false,
		digest.Digest("sha256:" + strings.Repeat("a", 63) + "\x00"): false,
	} {
		if Provable(d) != want {
			t.Errorf("Provable(%q) = %v", d, !want)
		}
	}
}
