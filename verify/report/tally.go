package report

import (
	"cmp"
	"slices"
	"sync"
)

// Tally counts findings, kept or not. The zero value is ready; its methods may
// be called concurrently. It needs memory for each kind, side and severity
// only.
type Tally struct {
	mu sync.Mutex
	n  map[Count]int64
}

// Add counts a finding.
func (t *Tally) Add(f Finding) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n == nil {
		t.n = map[Count]int64{}
	}
	t.n[Count{Kind: f.Kind, Side: f.Side, Severity: f.Severity}]++
}

// Reset forgets what was counted: a new pass supersedes it.
func (t *Tally) Reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.n = nil
}

// Counts lists them, the gravest first, for Head.Counts.
func (t *Tally) Counts() []Count {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []Count
	for c, n := range t.n {
		c.Findings = n
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b Count) int {
		return cmp.Or(gravity(a.Severity)-gravity(b.Severity), rank(a.Kind)-rank(b.Kind),
			cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Side, b.Side))
	})
	return all
}

func sum(counts []Count) (n int64) {
	for _, c := range counts {
		n += c.Findings
	}
	return n
}
