package s3

import (
	"context"
	"sync/atomic"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/parts"
)

// Store writes a bucket as a store. It is safe for concurrent use.
type Store struct {
	*Reader
	buffers *parts.Buffers
	proof   proof

	copiesNot atomic.Bool // the service was seen not to copy by itself

	notices backends.Notices

	held parts.Held // uploads that this process works on

	conditions conditions
	versions   versions
	plain      plainParts
	stays      atomic.Bool // what is in scratch: the rights here forbid to delete
}

var (
	_ backends.Store   = (*Store)(nil)
	_ backends.Cleaner = (*Store)(nil)
	_ backends.Prover  = (*Store)(nil)

	_ backends.ServerSideCopier = (*Store)(nil)
	_ backends.ChecksumReporter = (*Store)(nil)

	_ backends.Deleter           = (*Store)(nil)
	_ backends.ConditionalPutter = (*Store)(nil)

	_ backends.Trier     = (*Store)(nil)
	_ backends.Cautioner = (*Reader)(nil)
)

// Open opens a bucket for writing and finds out by a tiny object what the
// store proves of what is written; it is removed again.
func Open(ctx context.Context, o Options) (*Store, error) {
	r, err := OpenReader(ctx, o)
	if err != nil {
		return nil, err
	}
	s := &Store{
		Reader: r, buffers: parts.NewBuffers(r.o.PartSize, r.o.Memory),
		notices: backends.Notices{Tell: o.Notice}, conditions: conditions{question: newQuestion()}, versions: versions{question: newQuestion()}, plain: plainParts{question: newQuestion()},
	}
	if err := s.probe(ctx); err != nil {
		r.Close()
		return nil, r.failed("write a scratch object", "", err)
	}
	return s, nil
}

// Powers leaves out what rests on digests where the service keeps none.
func (s *Store) Powers() backends.Powers {
	p := backends.Powers{Cleaner: s, Prover: s, Trier: s, Cautioner: s, Deleter: s, ConditionalPutter: s}
	if s.proof.sum {
		p.ServerSideCopier, p.ChecksumReporter = s, s
	}
	return p
}

// Proof names what the service itself compares with the bytes that it gets.
func (s *Store) Proof() string { return s.proof.String() }

// notice tells of something once.
func (s *Store) notice(text string) { s.notices.Say(s.at + ": " + text) }
