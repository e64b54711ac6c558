package verify

import "sync/atomic"

// Progress is how far a run is, for a display that looks at it from time to
// time. The zero value is ready; one Progress serves one run.
type Progress struct {
	phase   atomic.Value // string
	listed  atomic.Int64
	size    atomic.Int64
	done    atomic.Int64
	read    atomic.Int64
	repos   atomic.Int64
	found   atomic.Int64
	retries atomic.Int64
}

// Snapshot is one look at a Progress.
type Snapshot struct {
	Phase                    string // blobs, repositories, unreferenced; empty before the first
	Blobs, Bytes             int64  // blobs judged so far, bytes read to hash them
	ListedBlobs, ListedBytes int64
	Repositories             int64
	Findings                 int64
	Retries                  int64
}

// Snapshot looks.
func (p *Progress) Snapshot() Snapshot {
	s := Snapshot{
		Blobs: p.done.Load(), Bytes: p.read.Load(), ListedBlobs: p.listed.Load(), ListedBytes: p.size.Load(),
		Repositories: p.repos.Load(), Findings: p.found.Load(), Retries: p.retries.Load(),
	}
	s.Phase, _ = p.phase.Load().(string)
	return s
}
