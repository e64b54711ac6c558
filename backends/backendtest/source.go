package backendtest

import (
	"context"
	"crypto/sha256"
	"encoding"
	"fmt"
	"hash"
	"io"
	"sync"

	"github.com/regferry/regferry/backends"
)

// source is a content with vices. It watches how its readers are treated.
type source struct {
	pattern             // what Put is told
	yields  int64       // bytes that come, size unless set by short, long
	chunk   int64       // most bytes a Read returns
	end     error       // in the place of io.EOF
	with    bool        // the end comes together with the last bytes
	empty   bool        // every other Read returns 0, nil
	hashed  bool        // readers are encoding.BinaryMarshaler
	refuse  error       // Open fails
	blockAt int64       // the read at this offset waits for its context; -1 never
	before  func(int64) // called before each Read with its offset

	freed chan struct{} // ends a blocked read when the case is over
	free  sync.Once

	mu     sync.Mutex
	opens  []int64 // offsets
	open   int
	faults []string
}

// source makes a well-behaved source.
func (r *run) source(seed uint64, size int64) *source {
	s := &source{pattern: pattern{seed, size}, yields: size, chunk: 16 << 10, end: io.EOF, blockAt: -1, freed: make(chan struct{})}
	r.sources = append(r.sources, s)
	return s
}

// content is what Put is given.
func (s *source) content() backends.Content {
	return backends.Content{Size: s.size, Open: s.opened}
}

func (s *source) opened(ctx context.Context, off int64) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opens = append(s.opens, off)
	if s.refuse != nil {
		return nil, s.refuse
	}
	if off < 0 || off > max(0, s.size) {
		s.faults = append(s.faults, fmt.Sprintf("opened at %d of %d", off, s.size))
		return nil, fmt.Errorf("no offset %d", off)
	}
	if s.open++; s.open > 1 {
		s.faults = append(s.faults, fmt.Sprintf("%d readers at once, not in turn", s.open))
	}
	r := &sourceReader{source: s, ctx: ctx, pos: off}
	if !s.hashed {
		return r, nil
	}
	h := &hashedReader{sourceReader: r, sum: sha256.New()}
	_, err := io.Copy(h.sum, pattern{s.seed, off}.reader(0))
	return h, err
}

func (s *source) fault(format string, a ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, fmt.Sprintf(format, a...))
}

// treatment returns what was done to the readers that must not be (P10).
func (s *source) treatment() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open > 0 {
		return append([]string{fmt.Sprintf("%d readers not closed when Put returned", s.open)}, s.faults...)
	}
	return s.faults
}

func (s *source) offsets() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]int64(nil), s.opens...)
}

func (s *source) release() { s.free.Do(func() { close(s.freed) }) }

type sourceReader struct {
	*source
	ctx    context.Context
	pos    int64
	odd    bool
	using  sync.Mutex
	closed bool
}

func (r *sourceReader) Read(p []byte) (int, error) {
	if !r.using.TryLock() {
		r.fault("two calls of one reader at once")
		r.using.Lock()
	}
	defer r.using.Unlock()
	if r.closed {
		r.fault("read after Close")
		return 0, io.ErrClosedPipe
	}
	if r.before != nil {
		r.before(r.pos)
	}
	if r.odd = !r.odd; r.empty && r.odd {
		return 0, nil
	}
	if r.blockAt >= 0 && r.pos >= r.blockAt {
		select {
		case <-r.ctx.Done():
			return 0, r.ctx.Err()
		case <-r.freed:
			return 0, fmt.Errorf("the case is over")
		}
	}
	left := r.yields - r.pos
	if left <= 0 {
		return 0, r.end
	}
	p = p[:min(int64(len(p)), left, r.chunk)]
	r.fill(p, r.pos)
	r.pos += int64(len(p))
	if r.with && r.pos == r.yields {
		return len(p), r.end
	}
	return len(p), nil
}

func (r *sourceReader) Close() error {
	r.using.Lock()
	defer r.using.Unlock()
	if !r.closed {
		r.closed = true
		r.mu.Lock()
		r.open--
		r.mu.Unlock()
	}
	return nil
}

// hashedReader can give the state of its hash, as a digest-checking one does.
type hashedReader struct {
	*sourceReader
	sum hash.Hash
}

func (r *hashedReader) Read(p []byte) (int, error) {
	n, err := r.sourceReader.Read(p)
	r.sum.Write(p[:n])
	return n, err
}

func (r *hashedReader) MarshalBinary() ([]byte, error) {
	return r.sum.(encoding.BinaryMarshaler).MarshalBinary()
}
