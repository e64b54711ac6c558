package migrate

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"
)

// The cursor is never behind what it said, and never beyond a key that is open.
func TestWindow(t *testing.T) {
	const n = 5000
	key := func(i int) string { return fmt.Sprintf("%05d", i) }
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0))
		last := ""
		open := map[string]*slot{}
		w := newWindow(func(cursor string) {
			if cursor <= last {
				t.Fatalf("%s after %s", cursor, last)
			}
			last = cursor
		})
		begun := 0
		for begun < n || len(open) > 0 {
			if begun < n && (len(open) == 0 || r.IntN(2) == 0) && len(open) < 100 {
				open[key(begun)] = w.start(key(begun))
				begun++
				continue
			}
			for k, s := range open { // any
				delete(open, k)
				w.finish(s)
				break
			}
			for k := range open {
				if k <= last {
					t.Fatalf("the cursor is at %s and %s is open", last, k)
				}
			}
		}
		w.drain()
		if last != key(n-1) {
			t.Errorf("it ends at %s", last)
		}
	}
}

// What is abandoned keeps the cursor before it for good, and nobody waiting.
func TestWindowAbandoned(t *testing.T) {
	last := ""
	w := newWindow(func(cursor string) { last = cursor })
	a, b, c := w.start("a"), w.start("b"), w.start("c")
	w.finish(a)
	w.abandon()
	w.finish(c)
	for i := range 2 * maxWindow {
		w.finish(w.start(fmt.Sprint("d", i)))
	}
	w.drain()
	if last != "a" || b.done {
		t.Errorf("the cursor is at %q", last)
	}
}

// A full window holds the listing back until its oldest key is done.
func TestWindowIsBounded(t *testing.T) {
	w := newWindow(func(string) {})
	oldest := w.start("0")
	var wg sync.WaitGroup
	var mu sync.Mutex
	begun := 0
	wg.Go(func() {
		for i := range 2 * maxWindow {
			w.finish(w.start(fmt.Sprintf("1%05d", i)))
			mu.Lock()
			begun++
			mu.Unlock()
		}
	})
	time.Sleep(50 * time.Millisecond)
	mu.Lock()
	if begun > maxWindow {
		t.Errorf("%d keys were let in", begun)
	}
	mu.Unlock()
	w.finish(oldest)
	wg.Wait()
	w.drain()
	if len(w.slots) != 0 {
		t.Errorf("%d slots are left", len(w.slots))
	}
}
