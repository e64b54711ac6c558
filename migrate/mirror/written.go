package mirror

import "sync"

// maxWritten is how many keys of one generation are kept, some 20 bytes each.
// What is beyond stays at the destination if the source loses it at once.
const maxWritten = 1 << 20

// written is what the mirror has copied lately, by hash: what a push brought after
// a listing, and a deletion took before the next, no full round ever sees at the
// source. A kill forgets it. The last complete full round, and what came since,
// are a generation each.
type written struct {
	mu         sync.Mutex
	old, young map[uint64]struct{}
}

func (m *Mirror) wrote(key string) { m.written.add(m.state.hash(key)) }

func (w *written) add(h uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.young == nil {
		w.young = make(map[uint64]struct{})
	}
	if len(w.young) < maxWritten {
		w.young[h] = struct{}{}
	}
}

func (w *written) has(h uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, young := w.young[h]
	_, old := w.old[h]
	return young || old
}

// turn begins a generation.
func (w *written) turn() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.old, w.young = w.young, nil
}
