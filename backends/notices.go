package backends

import "sync"

// Notices tells of each thing once, from any goroutine. What a driver has to
// tell of is a few sentences, so all are kept. The zero value is silent.
type Notices struct {
	Tell func(string)

	mu   sync.Mutex
	said map[string]bool
}

// Say tells of something that was not told before.
func (n *Notices) Say(text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.Tell == nil || n.said[text] {
		return
	}
	if n.said == nil {
		n.said = make(map[string]bool)
	}
	n.said[text] = true
	n.Tell(text)
}
