package migrate

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest"
	"github.com/regferry/regferry/verify/layout"
)

func failure(side backends.Side, class backends.Class) error {
	return &backends.Error{Side: side, Op: "put", Key: "k", Class: class, Err: errors.New("x")}
}

// A side that answers nothing is given up after a while; any answer, be it no,
// starts the time anew, and an answer of the other side does not.
func TestBreakerByTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker{patience: time.Minute}
		away := failure(backends.Destination, backends.Transient)
		for _, answer := range []func(){
			func() { b.succeeded(backends.Destination) },
			func() { _ = b.tried(failure(backends.Destination, backends.NotFound)) },
			func() { _ = b.tried(failure(backends.Destination, backends.Throttled)) },
		} {
			for range 5 {
				if err := b.tried(away); err != nil {
					t.Fatal(err)
				}
				time.Sleep(11 * time.Second)
			}
			answer()
		}
		for range 6 {
			if err := b.tried(away); err != nil {
				t.Fatal(err)
			}
			b.succeeded(backends.Source)
			time.Sleep(11 * time.Second)
		}
		err := b.tried(away)
		if !errors.As(err, new(*Fault)) || backends.SideOf(err) != backends.Destination || !strings.Contains(err.Error(), "has not answered for 1m6s") {
			t.Errorf("%v", err)
		}
	})
}

// gone is a store that answers nothing from some Put on, like one behind a
// cable that was pulled.
type gone struct {
	backends.Store
	puts int64
	seen backendtest.Counter
}

func (g *gone) Put(ctx context.Context, key string, c backends.Content) (backends.Object, error) {
	g.seen.Puts.Add(1)
	if g.seen.Puts.Load() > g.puts {
		return backends.Object{}, &backends.Error{Op: "put", Key: key, Class: backends.Transient, Err: errors.New("no route to host")}
	}
	return g.Store.Put(ctx, key, c)
}

func TestDestinationThatDies(t *testing.T) {
	dir, _ := small(t)
	dst := &gone{Store: memory(t), puts: 10}
	o := quick()
	o.sleep = func(context.Context, time.Duration) error { time.Sleep(20 * time.Millisecond); return nil }
	o.Patience = 50 * time.Millisecond
	_, err := Run(t.Context(), reader(t, dir), dst, o)
	if !errors.As(err, new(*Fault)) || backends.SideOf(err) != backends.Destination || !strings.Contains(err.Error(), "no route to host") {
		t.Errorf("%v", err)
	}
	if n := dst.seen.Puts.Load(); n > 10+int64(6*o.Workers) {
		t.Errorf("%d more were tried", n)
	}
}

// What the source says is said first, and not what the destination did then.
func TestSourceErrorComesFirst(t *testing.T) {
	f := newFaulty(t, memory(t))
	f.from.On("open", backendtest.Key(f.key), backendtest.FailAfter(7, backends.Denied).Always())
	_, n := transfer(t, f.src, f.dst, f.o)
	for _, got := range n.failures {
		if got.Side != "source" || !strings.HasPrefix(got.Message, "source: ") {
			t.Errorf("%+v", got)
		}
	}
	if len(n.failures) == 0 {
		t.Error("no failure")
	}
}

// resetting is a source whose connections break at certain times.
type resetting struct {
	backends.ReadStore
	opens atomic.Int64
	quiet bool // nothing comes in between
}

func (r *resetting) Open(ctx context.Context, key string, offset int64) (backends.Body, error) {
	b, err := r.ReadStore.Open(ctx, key, offset)
	n := r.opens.Add(1)
	if err != nil || n > 2 {
		return b, err
	}
	part := int64(10)
	if n == 1 {
		time.Sleep(time.Second) // all listings have come to their ends
	} else {
		time.Sleep(10 * time.Minute)
		if r.quiet {
			part = 0
		}
	}
	reset := &backends.Error{Op: "read", Key: key, Class: backends.Transient, Err: errors.New("connection reset")}
	b.ReadCloser = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(io.LimitReader(b.ReadCloser, part), iotest.ErrReader(reset)), b.ReadCloser}
	return b, nil
}

// A side whose bytes flow answers, however long an object takes: connections
// that break long after one another are faults of their objects.
func TestBytesAreAnAnswer(t *testing.T) {
	for _, quiet := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			from := memory(t)
			content := strings.Repeat("layer", 100)
			put(t, from, layout.BlobKey(digestOf(content)), content)
			dst := memory(t)
			_, err := Run(t.Context(), &resetting{ReadStore: from, quiet: quiet}, dst, quick())
			if quiet {
				if !errors.As(err, new(*Fault)) || !strings.Contains(err.Error(), "has not answered for 10m") {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			same(t, treeOf(t, dst), treeOf(t, from))
		})
	}
}

// So are the parts that a destination has, and the objects of a listing.
func TestOtherAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for what, answer := range map[string]func(e *engine) error{
			"a part": func(e *engine) error { return (&content{engine: e}).save(backends.Upload{}) },
			"an object of a listing": func(e *engine) error {
				for _, err := range (&pass{engine: e}).list(t.Context(), e.dst, "", "") {
					return err
				}
				return errors.New("nothing is listed")
			},
			"what is proved there": func(e *engine) error {
				err := e.proveThere(t.Context(), backends.Object{Key: "a", Size: 2}, digestOf("x"))
				if backends.ClassOf(err) != backends.Corrupt {
					return err
				}
				return nil
			},
		} {
			dst := memory(t)
			put(t, dst, "a", "x")
			put(t, dst, "b", "x")
			e, err := newEngine(memory(t), dst, quick())
			if err != nil {
				t.Fatal(err)
			}
			away := failure(backends.Destination, backends.Transient)
			for range 3 {
				if err := e.breaker.tried(away); err != nil {
					t.Errorf("%s: %v", what, err)
				}
				time.Sleep(DefaultPatience)
				if err := answer(e); err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
		}
	})
}
