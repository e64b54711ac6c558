package migrate

import (
	"context"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/regferry/regferry/backends"
)

// Stores that do what real ones do at the wrong moment.

// markers is a store that lists empty objects which other tools made.
type markers struct {
	backends.ReadStore
	keys []string
}

func (m markers) List(ctx context.Context, prefix, after string) iter.Seq2[backends.Object, error] {
	return func(yield func(backends.Object, error) bool) {
		var all []backends.Object
		for o, err := range m.ReadStore.List(ctx, prefix, after) {
			if err != nil {
				yield(o, err)
				return
			}
			all = append(all, o)
		}
		for _, key := range m.keys {
			if strings.HasPrefix(key, prefix) && key > after {
				all = append(all, backends.Object{Key: key})
			}
		}
		slices.SortFunc(all, func(a, b backends.Object) int { return strings.Compare(a.Key, b.Key) })
		for _, o := range all {
			if !yield(o, nil) {
				return
			}
		}
	}
}

// lateFailure is a store of which one listing fails after some objects and a
// while.
type lateFailure struct {
	backends.ReadStore
	prefix string
	n      int
	wait   time.Duration
}

func (s lateFailure) List(ctx context.Context, prefix, after string) iter.Seq2[backends.Object, error] {
	if prefix != s.prefix {
		return s.ReadStore.List(ctx, prefix, after)
	}
	return func(yield func(backends.Object, error) bool) {
		n := 0
		for o, err := range s.ReadStore.List(ctx, prefix, after) {
			if n++; n > s.n {
				time.Sleep(s.wait)
				yield(backends.Object{}, &backends.Error{Op: "list", Key: prefix, Class: backends.Denied})
				return
			}
			if !yield(o, err) {
				return
			}
		}
	}
}

// hooks calls before each request, one at a time: what a live registry does
// while it is looked at.
type hooks struct {
	backends.ReadStore
	mu   sync.Mutex
	list func(prefix string)
	open func(key string)
	stat func(key string)
}

func (h *hooks) call(f func(string), key string) {
	if f != nil {
		h.mu.Lock()
		defer h.mu.Unlock()
		f(key)
	}
}

func (h *hooks) List(ctx context.Context, prefix, after string) iter.Seq2[backends.Object, error] {
	h.call(h.list, prefix)
	return h.ReadStore.List(ctx, prefix, after)
}

func (h *hooks) Open(ctx context.Context, key string, offset int64) (backends.Body, error) {
	h.call(h.open, key)
	return h.ReadStore.Open(ctx, key, offset)
}

func (h *hooks) Stat(ctx context.Context, key string) (backends.Object, error) {
	h.call(h.stat, key)
	return h.ReadStore.Stat(ctx, key)
}

// watched is a destination that is looked at after each Put and Sync.
type watched struct {
	backends.Store
	before func(key string)
	after  func(op, key string)
	list   func(prefix string) // one at a time
	mu     sync.Mutex
}

func (w *watched) List(ctx context.Context, prefix, after string) iter.Seq2[backends.Object, error] {
	if w.list != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.list(prefix)
	}
	return w.Store.List(ctx, prefix, after)
}

func (w *watched) Put(ctx context.Context, key string, c backends.Content) (backends.Object, error) {
	if w.before != nil {
		w.before(key)
	}
	o, err := w.Store.Put(ctx, key, c)
	if w.after != nil {
		w.after("put", key)
	}
	return o, err
}

// watchedGroups is one that buys durability in groups.
type watchedGroups struct {
	*watched
	backends.Syncer
}

func (w watchedGroups) Sync(ctx context.Context) error {
	err := w.Syncer.Sync(ctx)
	if w.after != nil {
		w.after("sync", "")
	}
	return err
}

func watch(w *watched) backends.Store {
	if y := backends.PowersOf(w.Store).Syncer; y != nil {
		return watchedGroups{w, y}
	}
	return w
}

// groups is the strictest store that the contract allows: what was put is
// neither visible nor durable before the next Sync, which may then refuse
// single objects, or all.
type groups struct {
	backends.Store // holds what is durable
	mu             sync.Mutex
	pending        []pending
	syncs          int
	lose           func(key string) bool // refused by the Sync; may be nil
	fails          func(sync int) error  // of the whole Sync; may be nil
	put            func(key string)      // may be nil
}

type pending struct{ key, content string }

func (g *groups) Put(ctx context.Context, key string, c backends.Content) (backends.Object, error) {
	if g.put != nil {
		g.put(key)
	}
	r, err := c.Open(ctx, 0)
	if err != nil {
		return backends.Object{}, err
	}
	b, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err != nil {
		return backends.Object{}, err
	}
	if int64(len(b)) != c.Size {
		return backends.Object{}, &backends.Error{Op: "put", Key: key, Err: errors.New("another size")}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pending = append(g.pending, pending{key, string(b)})
	return backends.Object{Key: key, Size: c.Size}, nil
}

func (g *groups) Sync(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.syncs++
	if g.fails != nil {
		if err := g.fails(g.syncs); err != nil {
			return err
		}
	}
	var failed []*backends.Error
	for _, p := range g.pending {
		if g.lose != nil && g.lose(p.key) {
			failed = append(failed, &backends.Error{Op: "sync", Key: p.key, Class: backends.Denied, Err: errors.New("no")})
			continue
		}
		_, err := g.Store.Put(ctx, p.key, backends.Content{Size: int64(len(p.content)), Open: func(context.Context, int64) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(p.content)), nil
		}})
		if err != nil {
			return err
		}
	}
	g.pending = nil
	if failed != nil {
		return &backends.SyncError{Failed: failed}
	}
	return nil
}

// flaky lists some keys and fails after each few of them.
type flaky struct {
	backends.ReadStore
	keys  []string
	every int
	calls int
}

func (f *flaky) List(_ context.Context, _, after string) iter.Seq2[backends.Object, error] {
	f.calls++
	return func(yield func(backends.Object, error) bool) {
		n := 0
		for _, k := range f.keys {
			if k <= after {
				continue
			}
			if n++; n > f.every {
				yield(backends.Object{}, &backends.Error{Op: "list", Class: backends.Throttled})
				return
			}
			if !yield(backends.Object{Key: k}, nil) {
				return
			}
		}
	}
}
