package gcs

import (
	"context"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/parts"
)

// Store writes a bucket as a store. It is safe for concurrent use.
type Store struct {
	*Reader
	buffers *parts.Buffers
	proof   proof
	notices backends.Notices
}

var (
	_ backends.Store   = (*Store)(nil)
	_ backends.Cleaner = (*Store)(nil)
	_ backends.Prover  = (*Store)(nil)

	_ backends.Deleter           = (*Store)(nil)
	_ backends.ConditionalPutter = (*Store)(nil)
)

// Open opens a bucket for writing and finds out by a tiny object what the
// service proves of what is written; it is removed again.
func Open(ctx context.Context, o Options) (*Store, error) {
	r, err := OpenReader(ctx, o)
	if err != nil {
		return nil, err
	}
	s := &Store{Reader: r, buffers: parts.NewBuffers(r.o.PartSize, r.o.Memory), notices: backends.Notices{Tell: o.Notice}}
	if err := s.probe(ctx); err != nil {
		r.Close()
		return nil, r.failed("write a scratch object", "", err)
	}
	return s, nil
}

// Proof names what the service itself compares with the bytes that it gets.
func (s *Store) Proof() string { return s.proof.String() }

// notice tells of something once.
func (s *Store) notice(text string) { s.notices.Say(s.at + ": " + text) }
