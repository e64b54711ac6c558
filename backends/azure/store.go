package azure

import (
	"context"
	"sync"

	gocloud "gocloud.dev/blob"
	"gocloud.dev/blob/azureblob"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/bucket"
	"github.com/regferry/regferry/backends/parts"
)

// Store writes a container as a store. It is safe for concurrent use.
type Store struct {
	*Reader
	buffers *parts.Buffers
	proof   proof
	scratch *gocloud.Bucket // what lies below .regferry/
	notices backends.Notices
	held    parts.Held // scratch of this process

	mu   sync.Mutex
	busy map[string]chan struct{} // keys that are sent in blocks; closed when they are done
}

var (
	_ backends.Store   = (*Store)(nil)
	_ backends.Cleaner = (*Store)(nil)
	_ backends.Prover  = (*Store)(nil)

	_ backends.Deleter           = (*Store)(nil)
	_ backends.ConditionalPutter = (*Store)(nil)
)

// Open opens a container for writing and finds out by a tiny blob which
// checksums the service compares; it is removed again.
func Open(ctx context.Context, o Options) (*Store, error) {
	r, err := open(ctx, o, true)
	if err != nil {
		return nil, err
	}
	all, err := azureblob.OpenBucket(ctx, r.client, nil)
	if err != nil {
		r.Close()
		return nil, r.failed("open", "", err)
	}
	s := &Store{
		Reader: r, buffers: parts.NewBuffers(r.o.PartSize, r.o.Memory),
		scratch: gocloud.PrefixedBucket(all, r.root+scratch),
		notices: backends.Notices{Tell: o.Notice},
		busy:    make(map[string]chan struct{}),
	}
	if err := s.probe(ctx); err != nil {
		s.Close()
		return nil, r.failed("write a scratch object", "", err)
	}
	if err := r.lookForDirectory(ctx); err != nil {
		s.Close()
		return nil, r.failed("open", "", err)
	}
	return s, nil
}

// Close closes the bucket of the scratch, too.
func (s *Store) Close() error {
	err := s.scratch.Close()
	_ = s.Reader.Close()
	return err
}

// Proof names what the service itself compares with the bytes that it gets.
func (s *Store) Proof() string { return s.proof.String() }

// notice tells of something once.
func (s *Store) notice(text string) { s.notices.Say(s.at + ": " + text) }

// inScratch is the scratch as a store, for a listing with our classes.
func (s *Store) inScratch() *bucket.Store {
	return bucket.With(s.scratch, s.at, bucket.Hooks{Class: classOf})
}

// enter waits until no other Put of this process sends blocks of the key: the
// service drops the blocks of all others when one list of them is committed.
func (s *Store) enter(ctx context.Context, key string) (leave func(), err error) {
	done := make(chan struct{})
	for {
		s.mu.Lock()
		other, taken := s.busy[key]
		if !taken {
			s.busy[key] = done
		}
		s.mu.Unlock()
		if !taken {
			return func() {
				s.mu.Lock()
				delete(s.busy, key)
				s.mu.Unlock()
				close(done)
			}, nil
		}
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
