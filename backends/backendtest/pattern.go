package backendtest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// pattern is a content that is computed and never held: size bytes. Each block
// of them is the filler, but for a word at its begin that depends on the seed and
// on where it is.
type pattern struct {
	seed uint64
	size int64
}

// filler is copied as a whole: the race detector looks at each byte that is
// computed, which took most of the suite's time.
var filler = func() (b [512]byte) {
	for i := 0; i < len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], mix(uint64(i)))
	}
	return b
}()

// fill writes the bytes from off on.
func (p pattern) fill(buf []byte, off int64) {
	for len(buf) > 0 {
		block := filler
		size := int64(len(block))
		binary.LittleEndian.PutUint64(block[:], mix(p.seed<<40^uint64(off/size)))
		n := copy(buf, block[off%size:])
		buf, off = buf[n:], off+int64(n)
	}
}

func (p pattern) bytes() []byte {
	b := make([]byte, p.size)
	p.fill(b, 0)
	return b
}

// reader yields the bytes from off to the end.
func (p pattern) reader(off int64) io.Reader {
	return &patternReader{p, off}
}

type patternReader struct {
	pattern
	pos int64
}

func (r *patternReader) Read(b []byte) (int, error) {
	if r.pos >= r.size {
		return 0, io.EOF
	}
	b = b[:min(int64(len(b)), r.size-r.pos)]
	r.fill(b, r.pos)
	r.pos += int64(len(b))
	return len(b), nil
}

// check reads r to its end and says where it is not the pattern from off on.
func (p pattern) check(r io.Reader, off int64) error {
	got, want := make([]byte, 32<<10), make([]byte, 32<<10)
	for {
		n, err := r.Read(got)
		if int64(n) > p.size-off {
			return fmt.Errorf("more than %d bytes", p.size)
		}
		p.fill(want[:n], off)
		if string(got[:n]) != string(want[:n]) {
			return fmt.Errorf("other bytes in %d to %d", off, off+int64(n))
		}
		off += int64(n)
		if err == io.EOF {
			if off < p.size {
				return fmt.Errorf("ends at %d of %d: %w", off, p.size, errEnd)
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("at %d of %d: %w", off, p.size, err)
		}
	}
}

var errEnd = errors.New("a plain end of file")

// mix is the finalizer of SplitMix64 (Steele, Lea, Flood 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
