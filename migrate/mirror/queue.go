package mirror

import (
	"sync"
	"time"
)

// maxHints is how many repositories wait at most.
const maxHints = 1000

// queue holds the repositories that notifications named, each once.
type queue struct {
	mu      sync.Mutex
	waiting []string
	known   map[string]bool
	again   []second // in order of time, at most maxHints
	lost    int64
	ring    chan struct{} // of capacity 1: something waits
}

// second is a repository that is looked at once more. A registry notifies of a
// manifest before it writes the tag, so who is quick sees none.
type second struct {
	repository string
	due        time.Time
}

// hintAgain is how long after a hint was followed its repository is looked at
// again.
const hintAgain = 600 * time.Millisecond

func newQueue() *queue { return &queue{known: make(map[string]bool), ring: make(chan struct{}, 1)} }

// add says whether the repository waits now.
func (q *queue) add(repository string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.known[repository] {
		return true
	}
	if len(q.waiting) >= maxHints {
		q.lost++
		return false
	}
	q.waiting = append(q.waiting, repository)
	q.known[repository] = true
	select {
	case q.ring <- struct{}{}:
	default:
	}
	return true
}

// take takes up to n out, and those whose second look is due.
func (q *queue) take(n int, now time.Time) []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	k := min(n, len(q.waiting))
	batch := q.waiting[:k:k]
	q.waiting = q.waiting[k:]
	first := batch
	for ; len(batch) < n && len(q.again) > 0 && !q.again[0].due.After(now); q.again = q.again[1:] {
		if name := q.again[0].repository; !q.known[name] {
			batch = append(batch, name)
		}
	}
	for _, name := range first {
		delete(q.known, name)
		if len(q.again) < maxHints {
			q.again = append(q.again, second{name, now.Add(hintAgain)})
		}
	}
	return batch
}

func (q *queue) counts() (waiting int, lost int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting), q.lost
}
