package s3

import (
	"context"
	"sync"

	"github.com/regferry/regferry/backends"
)

// Store writes a bucket as a store. It is safe for concurrent use.
type Store struct {
	*Reader
	buffers *buffers
	proof   proof

	mu   sync.Mutex
	held map[string]bool // uploads that this process works on
	said map[string]bool // notices, of which there are few
}

var (
	_ backends.Store   = (*Store)(nil)
	_ backends.Cleaner = (*Store)(nil)
)

// Open opens a bucket for writing and finds out by a tiny object what the
// store proves of what is written; it is removed again.
func Open(ctx context.Context, o Options) (*Store, error) {
	r, err := OpenReader(ctx, o)
	if err != nil {
		return nil, err
	}
	s := &Store{
		Reader: r, buffers: newBuffers(r.o.PartSize, r.o.Memory),
		held: make(map[string]bool), said: make(map[string]bool),
	}
	if err := s.probe(ctx); err != nil {
		r.Close()
		return nil, r.failed("open", "", err)
	}
	return s, nil
}

// Proof names what the service itself proves of the bytes that it gets.
func (s *Store) Proof() string { return s.proof.String() }

// notice tells of something once.
func (s *Store) notice(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.said[text] {
		s.said[text] = true
		s.o.Notice(s.at + ": " + text)
	}
}

func (s *Store) hold(upload string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[upload] = true
}

func (s *Store) release(upload string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.held, upload)
}

func (s *Store) holds(upload string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held[upload]
}
