package backendtest

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"testing"
	"time"

	"github.com/regferry/regferry/backends"
)

// run is one case on one store.
type run struct {
	testing.TB
	t       *testing.T
	h       Harness
	ctx     context.Context
	s       backends.Store
	clients []backends.Store
	sources []*source
}

// other is another client of the store, the same at each call, where the
// harness can make one.
func (r *run) other() backends.Store {
	if r.h.Reopen == nil {
		return r.s
	}
	if len(r.clients) == 0 {
		r.clients = append(r.clients, r.h.Reopen(r.t, r.s))
	}
	return r.clients[0]
}

func (r *run) close() {
	for _, s := range r.sources {
		s.release()
	}
	for _, s := range append(r.clients, r.s) {
		if s == nil {
			continue
		}
		if err := s.Close(); err != nil {
			r.Errorf("Close: %v", err)
		}
	}
}

// within fails the case when f takes longer than the harness's patience, and
// then lets go whatever reads a blocked source.
func (r *run) within(what string, f func() error) error {
	r.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	timer := time.NewTimer(r.h.Patience)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
	}
	for _, s := range r.sources {
		s.release()
	}
	select { // let it end, if that was all that it waited for
	case <-done:
	case <-time.After(r.h.Patience):
	}
	r.Fatalf("%s is stuck for %v", what, r.h.Patience)
	return nil
}

// put stores src under key, syncs, and checks what holds for every Put: the
// object returned, and how the readers were treated.
func (r *run) put(ctx context.Context, key string, src *source) error {
	r.Helper()
	return r.putContent(ctx, key, src, src.content())
}

func (r *run) putContent(ctx context.Context, key string, src *source, c backends.Content) error {
	r.Helper()
	return r.within("Put", func() error { return r.putOn(ctx, r.s, key, src, c) })
}

// putOn is for goroutines: it fails the case without ending it.
func (r *run) putOn(ctx context.Context, s backends.Store, key string, src *source, c backends.Content) error {
	o, err := s.Put(ctx, key, c)
	for _, fault := range src.treatment() {
		r.Errorf("P10: Put of %q: %s", key, fault)
	}
	if y := backends.PowersOf(s).Syncer; y != nil {
		if err := y.Sync(r.ctx); err != nil {
			r.Errorf("Sync: %v", err)
		}
	}
	if err == nil {
		r.describes(o, key, src.pattern)
	}
	return err
}

// describes checks an Object that says it is p under key.
func (r *run) describes(o backends.Object, key string, p pattern) {
	r.Helper()
	if o.Key != key {
		r.Errorf("the object of %q has the key %q", key, o.Key)
	}
	if o.Size != p.size {
		r.Errorf("the object of %q has %d bytes, want %d", key, o.Size, p.size)
	}
	if o.MD5 == nil || p.size > 1<<20 { // large ones are read, not hashed again
		return
	}
	if sum := md5.Sum(p.bytes()); string(sum[:]) != string(o.MD5) {
		r.Errorf("the object of %q has the MD5 %x, want %x", key, o.MD5, sum)
	}
}

// must stores p under key and ends the case if that fails.
func (r *run) must(key string, p pattern) {
	r.Helper()
	if err := r.put(r.ctx, key, r.source(p.seed, p.size)); err != nil {
		r.Fatalf("Put of %q, %d bytes: %v", key, p.size, err)
	}
}

// holds checks by all three ways that the key holds p, as s sees it.
func (r *run) holds(s backends.Store, key string, p pattern) {
	r.Helper()
	o, err := s.Stat(r.ctx, key)
	if err != nil {
		r.Errorf("Stat: %v", err)
		return
	}
	r.describes(o, key, p)
	if err := r.reads(s, key, 0, p); err != nil {
		r.Errorf("%q: %v", key, err)
	}
	all := r.list(s, key, "")
	if len(all) == 0 || all[0].Key != key {
		r.Errorf("%q is not listed", key)
		return
	}
	if all[0].Size != -1 {
		r.describes(all[0], key, p)
	}
}

// reads opens the key at off and compares all it yields.
func (r *run) reads(s backends.Store, key string, off int64, p pattern) error {
	b, err := s.Open(r.ctx, key, off)
	if err != nil {
		return err
	}
	if b.Object.Key != key || b.Object.Size != p.size {
		r.Errorf("Open of %q says it is %q of %d bytes, want %d", key, b.Object.Key, b.Object.Size, p.size)
	}
	return errors.Join(p.check(b, off), b.Close())
}

// absent checks by all three ways that the key holds nothing.
func (r *run) absent(s backends.Store, key string) {
	r.Helper()
	if o, err := s.Stat(r.ctx, key); !errors.Is(err, fs.ErrNotExist) {
		r.Errorf("Stat of %q, which must be absent: %+v, %v", key, o, err)
	}
	if b, err := s.Open(r.ctx, key, 0); !errors.Is(err, fs.ErrNotExist) {
		r.Errorf("Open of %q, which must be absent: %v", key, err)
		if err == nil {
			_ = b.Close()
		}
	}
	for _, o := range r.list(s, key, "") {
		if o.Key == key {
			r.Errorf("%q is listed and must be absent", key)
		}
	}
}

// only checks that the store lists these keys and no others.
func (r *run) only(s backends.Store, keys ...string) {
	r.Helper()
	slices.Sort(keys)
	if got := keysOf(r.list(s, "", "")); !slices.Equal(got, keys) {
		r.Errorf("the store lists %q, want %q", got, keys)
	}
}

// clean checks that no unfinished work is left.
func (r *run) clean() {
	r.Helper()
	if r.h.Leftovers == nil {
		return
	}
	if left := r.h.Leftovers(r.t, r.s); len(left) > 0 {
		r.Errorf("left behind: %q", left)
	}
}

// list collects a listing that must succeed.
func (r *run) list(s backends.Store, prefix, after string) []backends.Object {
	r.Helper()
	all, err := collect(r.ctx, s, prefix, after)
	if err != nil {
		r.Errorf("List(%q, %q): %v", prefix, after, err)
	}
	return all
}

// collect lists to the end. Order and what follows an error are checked here,
// so that each listing of the suite is a test of L1 and L3.
func collect(ctx context.Context, s backends.ReadStore, prefix, after string) ([]backends.Object, error) {
	var all []backends.Object
	var failed error
	for o, err := range s.List(ctx, prefix, after) {
		switch {
		case failed != nil:
			return all, fmt.Errorf("L3: %q follows the error %w", o.Key, failed)
		case err != nil:
			failed = err
		case len(all) > 0 && o.Key <= all[len(all)-1].Key:
			return all, fmt.Errorf("L1: %q is listed after %q", o.Key, all[len(all)-1].Key)
		default:
			all = append(all, o)
		}
	}
	return all, failed
}

func keysOf(objects []backends.Object) []string {
	keys := make([]string, len(objects))
	for i, o := range objects {
		keys[i] = o.Key
	}
	return keys
}

// discard reads to the end and returns the error that is not io.EOF.
func discard(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

// large is a size of some parts, or of some buffers where there are none.
func (r *run) large() int64 {
	if r.h.PartSize == 0 {
		return 300_001
	}
	return 2*r.h.PartSize + 7
}
