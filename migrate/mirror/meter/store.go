package meter

import (
	"context"
	"encoding"
	"errors"
	"io"
	"iter"

	"github.com/regferry/regferry/backends"
)

// reads is a ReadStore that is counted.
type reads struct {
	backends.ReadStore
	t      *tally
	powers backends.Powers
}

// Powers are those of the store, counted.
func (s *reads) Powers() backends.Powers { return s.powers }

// Unwrap is the store itself, for a driver that looks for one of its own.
func (s *reads) Unwrap() backends.ReadStore { return s.ReadStore }

func (s *reads) List(ctx context.Context, prefix, after string) iter.Seq2[backends.Object, error] {
	return func(yield func(backends.Object, error) bool) {
		s.t.flying.Inc()
		var failed error
		defer func() {
			s.t.flying.Dec()
			s.t.ended("list", failed)
		}()
		for o, err := range s.ReadStore.List(ctx, prefix, after) {
			if err != nil {
				failed = err
			} else {
				s.t.listed.Inc()
			}
			if !yield(o, err) {
				return
			}
		}
	}
}

func (s *reads) Stat(ctx context.Context, key string) (o backends.Object, err error) {
	err = s.t.do("stat", func() error { o, err = s.ReadStore.Stat(ctx, key); return err })
	return o, err
}

// Open is in flight until its body is closed.
func (s *reads) Open(ctx context.Context, key string, offset int64) (backends.Body, error) {
	s.t.flying.Inc()
	b, err := s.ReadStore.Open(ctx, key, offset)
	s.t.ended("open", err)
	if err != nil {
		s.t.flying.Dec()
		return b, err
	}
	b.ReadCloser = &body{ReadCloser: b.ReadCloser, t: s.t}
	return b, nil
}

// store is a Store that is counted.
type store struct {
	reads
	inner backends.Store
}

func (s *store) Put(ctx context.Context, key string, c backends.Content) (o backends.Object, err error) {
	open := c.Open
	c.Open = func(ctx context.Context, offset int64) (io.ReadCloser, error) {
		r, err := open(ctx, offset)
		if err != nil {
			return nil, err
		}
		return content(r, s.t), nil
	}
	err = s.t.do("put", func() error { o, err = s.inner.Put(ctx, key, c); return err })
	s.t.stored(err)
	return o, err
}

// body is what Open returned. What ends it early is counted once.
type body struct {
	io.ReadCloser
	t              *tally
	failed, closed bool
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.t.read.Add(float64(n))
	if err != nil && !errors.Is(err, io.EOF) && !b.failed {
		b.failed = true
		b.t.ended("read", err)
	}
	return n, err
}

func (b *body) Close() error {
	if !b.closed {
		b.closed = true
		b.t.flying.Dec()
	}
	return b.ReadCloser.Close()
}

// content counts what is read of a Put's content, and can still give the state
// of its hash where r can: an upload is resumed by it.
func content(r io.ReadCloser, t *tally) io.ReadCloser {
	counted := &counter{r, t}
	m, ok := r.(encoding.BinaryMarshaler)
	if !ok {
		return counted
	}
	return struct {
		io.ReadCloser
		encoding.BinaryMarshaler
	}{counted, m}
}

type counter struct {
	io.ReadCloser
	t *tally
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.t.wrote(n, c.t.written)
	return n, err
}
