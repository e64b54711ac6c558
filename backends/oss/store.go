package oss

import (
	"context"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/parts"
)

// Store writes a bucket as a store. It is safe for concurrent use.
type Store struct {
	*Reader
	o       *Options
	buffers *parts.Buffers
	notices backends.Notices

	held parts.Held // uploads that this process works on
}

var (
	_ backends.Store   = (*Store)(nil)
	_ backends.Cleaner = (*Store)(nil)
	_ backends.Prover  = (*Store)(nil)
	_ backends.Deleter = (*Store)(nil)
)

// Open opens a bucket for writing and finds out by a tiny object whether the
// service compares what is written with its checksums; it is removed again.
func Open(ctx context.Context, o Options) (*Store, error) {
	r, err := OpenReader(ctx, o)
	if err != nil {
		return nil, err
	}
	s := &Store{
		Reader: r, o: &r.d.o, buffers: parts.NewBuffers(r.d.o.PartSize, r.d.o.Memory),
		notices: backends.Notices{Tell: o.Notice},
	}
	if err := s.probe(ctx); err != nil {
		r.Close()
		return nil, r.failed("write a scratch object", "", err)
	}
	return s, nil
}

// Proof names what is compared with the bytes: the one by the service, the
// other here, with what the service says that it stored.
func (s *Store) Proof() string { return "Content-MD5, x-oss-hash-crc64ecma" }

// notice tells of something once.
func (s *Store) notice(text string) { s.notices.Say(s.Location() + ": " + text) }
