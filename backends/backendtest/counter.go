package backendtest

import (
	"context"
	"io"
	"iter"
	"sync/atomic"

	"github.com/regferry/regferry/backends"
)

// Counter counts what is asked of the stores that it wraps. The zero value is
// ready.
type Counter struct {
	Lists, Stats, Opens, Puts, Syncs atomic.Int64 // calls, failed ones too
	Deletes, Gets, Replaces          atomic.Int64 // the same

	Listed  atomic.Int64 // objects that listings yielded
	Read    atomic.Int64 // bytes that bodies yielded
	Written atomic.Int64 // bytes that Puts read from their content
}

// Wrap counts a store. What it returns has the powers of s.
func (c *Counter) Wrap(s backends.Store) backends.Store {
	return powered{&countedStore{countedReads{s, c}, s}, c.powers(s)}
}

// WrapRead is Wrap for a side that is only read.
func (c *Counter) WrapRead(s backends.ReadStore) backends.ReadStore {
	return poweredReads{&countedReads{s, c}, c.powers(s)}
}

func (c *Counter) powers(s backends.ReadStore) backends.Powers {
	p := backends.PowersOf(s)
	if p.Syncer != nil {
		p.Syncer = countedSyncer{p.Syncer, c}
	}
	if p.Deleter != nil {
		p.Deleter = countedDeleter{p.Deleter, c}
	}
	if p.ConditionalPutter != nil {
		p.ConditionalPutter = countedReplacer{p.ConditionalPutter, c}
	}
	return p
}

type countedSyncer struct {
	backends.Syncer
	c *Counter
}

func (s countedSyncer) Sync(ctx context.Context) error {
	s.c.Syncs.Add(1)
	return s.Syncer.Sync(ctx)
}

type countedDeleter struct {
	backends.Deleter
	c *Counter
}

func (s countedDeleter) Delete(ctx context.Context, key string) error {
	s.c.Deletes.Add(1)
	return s.Deleter.Delete(ctx, key)
}

type countedReplacer struct {
	backends.ConditionalPutter
	c *Counter
}

func (s countedReplacer) Get(ctx context.Context, key string) ([]byte, string, error) {
	s.c.Gets.Add(1)
	return s.ConditionalPutter.Get(ctx, key)
}

func (s countedReplacer) PutIf(ctx context.Context, key string, content []byte, version string) (string, error) {
	s.c.Replaces.Add(1)
	return s.ConditionalPutter.PutIf(ctx, key, content, version)
}

type countedReads struct {
	backends.ReadStore
	c *Counter
}

func (s *countedReads) List(ctx context.Context, prefix, after string) iter.Seq2[backends.Object, error] {
	return func(yield func(backends.Object, error) bool) {
		s.c.Lists.Add(1)
		for o, err := range s.ReadStore.List(ctx, prefix, after) {
			if err == nil {
				s.c.Listed.Add(1)
			}
			if !yield(o, err) {
				return
			}
		}
	}
}

func (s *countedReads) Stat(ctx context.Context, key string) (backends.Object, error) {
	s.c.Stats.Add(1)
	return s.ReadStore.Stat(ctx, key)
}

func (s *countedReads) Open(ctx context.Context, key string, offset int64) (backends.Body, error) {
	s.c.Opens.Add(1)
	b, err := s.ReadStore.Open(ctx, key, offset)
	if err == nil {
		b.ReadCloser = &countedReader{b.ReadCloser, &s.c.Read}
	}
	return b, err
}

type countedStore struct {
	countedReads
	store backends.Store
}

func (s *countedStore) Put(ctx context.Context, key string, c backends.Content) (backends.Object, error) {
	s.c.Puts.Add(1)
	open := c.Open
	c.Open = func(ctx context.Context, offset int64) (io.ReadCloser, error) {
		r, err := open(ctx, offset)
		if err != nil {
			return nil, err
		}
		return marshaling(&countedReader{r, &s.c.Written}, r), nil
	}
	return s.store.Put(ctx, key, c)
}

type countedReader struct {
	io.ReadCloser
	n *atomic.Int64
}

func (r *countedReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.n.Add(int64(n))
	return n, err
}
