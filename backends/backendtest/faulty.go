package backendtest

import (
	"context"
	"encoding"
	"io"
	"iter"
	"time"

	"github.com/regferry/regferry/backends"
)

// Wrap puts the faults before a store. What it returns has the powers of s.
func (f *Faults) Wrap(s backends.Store) backends.Store {
	return powered{&faultyStore{faultyReads{s, f}, s}, f.powers(s)}
}

// WrapRead is Wrap for a side that is only read.
func (f *Faults) WrapRead(s backends.ReadStore) backends.ReadStore {
	return poweredReads{&faultyReads{s, f}, f.powers(s)}
}

// call is a fault that strikes the call itself: it returns what the call
// fails with. A fault for later is returned for who can apply it.
func (f *Faults) call(ctx context.Context, op, key string) (later *armed, err error) {
	a := f.take(op, key)
	if a == nil {
		return nil, nil
	}
	switch a.kind {
	case fail:
		f.fire(a)
		return nil, injected(op, key, a.err)
	case block:
		f.fire(a)
		<-ctx.Done()
		return nil, injected(op, key, ctx.Err())
	case delay:
		f.fire(a)
		timer := time.NewTimer(a.wait)
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil, nil
		case <-ctx.Done():
			return nil, injected(op, key, ctx.Err())
		}
	}
	return a, nil
}

// after turns the good end of a call into a lost answer.
func (f *Faults) after(a *armed, op, key string, err error) error {
	if a == nil || a.kind != lost || err != nil {
		return err
	}
	f.fire(a)
	return injected(op, key, a.err)
}

type faultyReads struct {
	backends.ReadStore
	f *Faults
}

func (r *faultyReads) Stat(ctx context.Context, key string) (backends.Object, error) {
	if err := r.f.vanished("stat", key); err != nil {
		return backends.Object{}, err
	}
	if _, err := r.f.call(ctx, "stat", key); err != nil {
		return backends.Object{}, err
	}
	return r.ReadStore.Stat(ctx, key)
}

func (r *faultyReads) Open(ctx context.Context, key string, offset int64) (backends.Body, error) {
	if err := r.f.vanished("open", key); err != nil {
		return backends.Body{}, err
	}
	a, err := r.f.call(ctx, "open", key)
	if err != nil {
		return backends.Body{}, err
	}
	b, err := r.ReadStore.Open(ctx, key, offset)
	if err == nil && a != nil {
		b.ReadCloser = &faultyReader{ReadCloser: b.ReadCloser, f: r.f, a: a, ctx: ctx, key: key, op: "read", pos: offset}
	}
	return b, err
}

func (r *faultyReads) List(ctx context.Context, prefix, after string) iter.Seq2[backends.Object, error] {
	return func(yield func(backends.Object, error) bool) {
		a, err := r.f.call(ctx, "list", prefix)
		if err != nil {
			yield(backends.Object{}, err)
			return
		}
		l := faultyListing{f: r.f, a: a, ctx: ctx, prefix: prefix}
		for o, err := range r.ReadStore.List(ctx, prefix, after) {
			if err == nil && r.f.vanishing(o.Key) {
				continue
			}
			if !l.pass(o, err, yield) {
				return
			}
		}
		l.end(yield)
	}
}

// faultyListing applies one fault to one listing.
type faultyListing struct {
	f      *Faults
	a      *armed
	ctx    context.Context
	prefix string
	n      int64
	held   *backends.Object // the first of two that change places
}

func (l *faultyListing) pass(o backends.Object, err error, yield func(backends.Object, error) bool) bool {
	if err != nil || l.a == nil {
		return yield(o, err)
	}
	if l.stop(yield) {
		return false
	}
	l.n++
	if l.held != nil {
		first := *l.held
		l.held = nil
		l.f.fire(l.a)
		return yield(o, nil) && yield(first, nil)
	}
	if l.a.kind == swap && l.n == l.a.n+1 {
		l.held = &o
		return true
	}
	return yield(o, nil)
}

// stop ends the listing where a fault says so.
func (l *faultyListing) stop(yield func(backends.Object, error) bool) bool {
	if l.a == nil || l.n < l.a.n || l.a.kind != failAfter && l.a.kind != blockAfter {
		return false
	}
	l.f.fire(l.a)
	err := l.a.err
	if l.a.kind == blockAfter {
		<-l.ctx.Done()
		err = l.ctx.Err()
	}
	yield(backends.Object{}, injected("list", l.prefix, err))
	return true
}

func (l *faultyListing) end(yield func(backends.Object, error) bool) {
	if l.stop(yield) || l.held == nil {
		return
	}
	yield(*l.held, nil) // there is no next one to change places with
}

type faultyStore struct {
	faultyReads
	store backends.Store
}

func (s *faultyStore) Put(ctx context.Context, key string, c backends.Content) (backends.Object, error) {
	a, err := s.f.call(ctx, "put", key)
	if err != nil {
		return backends.Object{}, err
	}
	if a != nil && a.kind != lost {
		open := c.Open
		c.Open = func(ctx context.Context, offset int64) (io.ReadCloser, error) {
			r, err := open(ctx, offset)
			if err != nil {
				return nil, err
			}
			return marshaling(&faultyReader{ReadCloser: r, f: s.f, a: a, ctx: ctx, key: key, op: "put", pos: offset}, r), nil
		}
	}
	o, err := s.store.Put(ctx, key, c)
	if err == nil {
		s.f.back(key)
	}
	if err = s.f.after(a, "put", key, err); err != nil {
		return backends.Object{}, err
	}
	return o, nil
}

// marshaling keeps the one thing that Content.Open may return beside a reader.
func marshaling(outer io.ReadCloser, inner io.Reader) io.ReadCloser {
	m, ok := inner.(encoding.BinaryMarshaler)
	if !ok {
		return outer
	}
	return struct {
		io.ReadCloser
		encoding.BinaryMarshaler
	}{outer, m}
}

// faultyReader applies one fault to one body or content.
type faultyReader struct {
	io.ReadCloser
	f       *Faults
	a       *armed
	ctx     context.Context
	key, op string
	pos     int64 // in the object
	n       int64 // bytes of this reading
	ended   bool
	added   int64
}

func (r *faultyReader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return r.ReadCloser.Read(p)
	}
	switch r.a.kind {
	case failAfter, blockAfter, truncate:
		if r.n >= r.a.n {
			return r.strike()
		}
		p = p[:min(int64(len(p)), r.a.n-r.n)]
	case more:
		if r.ended {
			return r.extra(p)
		}
	}
	n, err := r.ReadCloser.Read(p)
	if at := r.a.n - r.pos; r.a.kind == flip && at >= 0 && at < int64(n) {
		p[at] ^= 1
		r.f.fire(r.a)
	}
	r.pos += int64(n)
	r.n += int64(n)
	if err == io.EOF && r.a.kind == more {
		r.ended = true
		return n, nil
	}
	if err == io.EOF && r.a.kind == failAfter && r.n >= r.a.n {
		return n, nil // the error comes in the place of the end
	}
	return n, err
}

// strike is called when the bytes before the fault have been read.
func (r *faultyReader) strike() (int, error) {
	err := r.a.err
	switch r.a.kind {
	case truncate:
		if n, err := io.ReadFull(r.ReadCloser, make([]byte, 1)); n == 0 {
			return 0, err // nothing is left to cut off
		}
		err = io.EOF
	case blockAfter:
		r.f.fire(r.a)
		<-r.ctx.Done()
		return 0, injected(r.op, r.key, r.ctx.Err())
	}
	r.f.fire(r.a)
	if err == io.EOF {
		return 0, err
	}
	return 0, injected(r.op, r.key, err)
}

// extra yields what Extra appends. It fires when some of it was read, as a
// reader that knows the size may never ask.
func (r *faultyReader) extra(p []byte) (int, error) {
	if r.added == 0 {
		r.f.fire(r.a)
	}
	n := copy(p, make([]byte, min(int64(len(p)), r.a.n-r.added)))
	if r.added += int64(n); n == 0 {
		return 0, io.EOF
	}
	return n, nil
}
