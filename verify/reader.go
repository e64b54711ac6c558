package verify

import (
	"encoding"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
)

// Reader passes bytes on and yields io.EOF only when there were exactly as
// many as promised and their digest is the one wanted. Another end is a
// *backends.Error of class Corrupt, never io.EOF or io.ErrUnexpectedEOF, so
// that no caller takes damage for an end. An error that the store has given a
// class passes as it is: a line that broke half-way says nothing about the
// object. Whoever reads to the end has verified.
type Reader struct {
	src  io.ReadCloser
	key  string
	want digest.Digest
	size int64
	n    int64
	hash hash.Hash
	err  error
}

// Provable says whether content named d can be proved here: the algorithm is
// one that this program can compute.
func Provable(d digest.Digest) bool {
	return d != "" && d.Validate() == nil && d.Algorithm().Available()
}

// NewReader checks the size bytes of src against want. With a digest that is
// not [Provable] only the size is checked. The key is for errors.
func NewReader(src io.ReadCloser, key string, size int64, want digest.Digest) *Reader {
	r := &Reader{src: src, key: key, want: want, size: size}
	if Provable(want) {
		r.hash = want.Algorithm().Hash()
	}
	return r
}

// Resume is NewReader for a src whose first byte is at offset; state is what
// MarshalBinary returned at that offset, in this process or another.
func Resume(src io.ReadCloser, key string, size int64, want digest.Digest, offset int64, state []byte) (*Reader, error) {
	r := NewReader(src, key, size, want)
	r.n = offset
	if r.hash == nil {
		return r, nil
	}
	u, ok := r.hash.(encoding.BinaryUnmarshaler)
	if !ok {
		return nil, fmt.Errorf("a hash of %s cannot go on from a saved state", want.Algorithm())
	}
	if err := u.UnmarshalBinary(state); err != nil {
		return nil, fmt.Errorf("saved hash state: %w", err)
	}
	return r, nil
}

// Read implements io.Reader.
func (r *Reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	n, err := r.src.Read(p)
	if r.hash != nil {
		r.hash.Write(p[:n])
	}
	r.n += int64(n)
	switch {
	case r.n > r.size:
		// Kept back, so that who counts too sees this error and not its own.
		n -= int(min(r.n-r.size, int64(n)))
		r.err = r.corrupt(fmt.Errorf("it is longer than the %d bytes it should have", r.size))
	case err == nil:
	case backends.ClassOf(err) != backends.Unknown:
		r.err = err
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		r.err = r.end()
	default:
		r.err = err
	}
	return n, r.err
}

func (r *Reader) end() error {
	if r.n < r.size {
		return r.corrupt(fmt.Errorf("it ends after %d of %d bytes", r.n, r.size))
	}
	if r.hash == nil {
		return io.EOF
	}
	if got := digest.NewDigest(r.want.Algorithm(), r.hash); got != r.want {
		return r.corrupt(fmt.Errorf("its content has the digest %s", got))
	}
	return io.EOF
}

func (r *Reader) corrupt(err error) error {
	return &backends.Error{Op: "read", Key: r.key, Class: backends.Corrupt, Err: err}
}

// MarshalBinary gives the state of the hash over all bytes before the
// position, for [Resume].
func (r *Reader) MarshalBinary() ([]byte, error) {
	m, ok := r.hash.(encoding.BinaryMarshaler)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return m.MarshalBinary()
}

// Close closes the source.
func (r *Reader) Close() error { return r.src.Close() }
