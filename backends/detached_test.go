package backends_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/regferry/regferry/backends"
)

// What a service does not answer in its time is a fault of the service, and
// what goes on after a cancellation is still cancelled.
func TestDetached(t *testing.T) {
	type name struct{}
	for what, c := range map[string]struct {
		cancelled, stopped bool
		class              backends.Class
		ended              bool
	}{
		"no answer":                         {class: backends.Transient},
		"no answer, after the caller's end": {cancelled: true, ended: true},
		"an answer":                         {stopped: true, ended: true},
		"an answer, after the caller's end": {cancelled: true, stopped: true, ended: true},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				caller, cancel := context.WithCancel(context.WithValue(t.Context(), name{}, what))
				defer cancel()
				ctx, stop := backends.Detached(caller)
				defer stop()
				inner, done := context.WithCancel(ctx)
				defer done()
				if c.cancelled {
					cancel()
				}
				time.Sleep(backends.DetachedMost - time.Nanosecond)
				synctest.Wait()
				if ctx.Err() != nil || inner.Err() != nil || ctx.Value(name{}) != what {
					t.Fatalf("before its time: %v, %v, of %v", ctx.Err(), inner.Err(), ctx.Value(name{}))
				}
				if c.stopped {
					stop()
				}
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				<-inner.Done()
				for _, err := range []error{ctx.Err(), inner.Err(), context.Cause(inner)} {
					class, _ := backends.OwnClass(err)
					if class != c.class || backends.Ended(err) != c.ended || errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("%v: class %v, want %v; ended %v", err, class, c.class, backends.Ended(err))
					}
				}
			})
		})
	}
}
