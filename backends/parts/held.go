package parts

import "sync"

// Held are the names of what this process works on, such as uploads, so that
// it does not clean them away. The zero value holds nothing.
type Held struct {
	mu    sync.Mutex
	names map[string]bool
}

// Hold adds a name.
func (h *Held) Hold(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.names == nil {
		h.names = make(map[string]bool)
	}
	h.names[name] = true
}

// Release takes a name back.
func (h *Held) Release(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.names, name)
}

// Holds says whether a name is held.
func (h *Held) Holds(name string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.names[name]
}
