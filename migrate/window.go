package migrate

import "sync"

// maxWindow is how many keys a shard may be ahead of its oldest unfinished
// one: about 200 bytes each, so one 40 GB layer cannot let the rest of its
// shard pile up in memory or in the checkpoint.
const maxWindow = 4096

// window follows the keys of one shard, which start in order and finish in
// any. moved is called with the greatest key up to which all are finished.
type window struct {
	mu     sync.Mutex
	change sync.Cond
	slots  []*slot // those from the oldest unfinished one on
	open   int     // of them unfinished
	broken bool    // one was abandoned: the cursor stays before it for good
	moved  func(cursor string)
}

type slot struct {
	key  string
	done bool
}

func newWindow(moved func(cursor string)) *window {
	w := &window{moved: moved}
	w.change.L = &w.mu
	return w
}

// start opens the slot of the next key. It waits while the window is full.
func (w *window) start(key string) *slot {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.slots) >= maxWindow && !w.broken {
		w.change.Wait()
	}
	s := &slot{key: key}
	w.slots = append(w.slots, s)
	w.open++
	return s
}

// finish closes a slot.
func (w *window) finish(s *slot) {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.change.Broadcast()
	s.done = true
	w.open--
	n := 0
	for n < len(w.slots) && w.slots[n].done {
		n++
	}
	if n > 0 {
		w.moved(w.slots[n-1].key)
		w.slots = append(w.slots[:0], w.slots[n:]...)
	}
}

// abandon closes a slot whose key stays undone.
func (w *window) abandon() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open--
	w.broken = true
	w.change.Broadcast()
}

// drain waits until no slot is open.
func (w *window) drain() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.open > 0 {
		w.change.Wait()
	}
}
