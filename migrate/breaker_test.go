package migrate

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest"
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
