package migrate

import (
	"sync"
	"sync/atomic"
)

// Totals counts what one pass found and did. Sizes are in bytes.
type Totals struct {
	Blobs        int64 `json:"blobs"`         // at the source
	BlobBytes    int64 `json:"blob_bytes"`    // at the source, as listed
	Copied       int64 `json:"copied"`        // blobs written, new ones
	Replaced     int64 `json:"replaced"`      // blobs of another size that were replaced by proved ones
	CopiedBytes  int64 `json:"copied_bytes"`  // of both
	ByService    int64 `json:"by_service"`    // of both, that the destination's service copied by itself
	Present      int64 `json:"present"`       // blobs that were there: the sum of the next three
	ProvedBefore int64 `json:"proved_before"` // written or proved by this migration before
	Rechecked    int64 `json:"rechecked"`     // read and hashed now, and right
	OnTrust      int64 `json:"on_trust"`      // taken as right because key and size are
	Unproved     int64 `json:"unproved"`      // copied, but their algorithm cannot be computed here
	Corrupt      int64 `json:"corrupt"`       // blobs at the source that are not what their name says; not copied
	Vanished     int64 `json:"vanished"`      // gone from the source between listing and copying
	BlobsExtra   int64 `json:"blobs_extra"`   // at the destination only
	Repositories int64 `json:"repositories"`  // at the source
	Tags         int64 `json:"tags"`          // at the source
	Revisions    int64 `json:"revisions"`     // at the source
	TagsExtra    int64 `json:"tags_extra"`    // at the destination only
	Links        int64 `json:"links_written"` // layer, revision, index and signature links
	TagsWritten  int64 `json:"tags_written"`  // new or moved
	TagsProved   int64 `json:"tags_proved"`   // judged now: everything a pull needs is at the destination
	RevsProved   int64 `json:"revisions_proved"`
	TagsBroken   int64 `json:"tags_broken"` // a pull fails at the source too
	RevsBroken   int64 `json:"revisions_broken"`
	Withheld     int64 `json:"withheld"`        // broken ones kept back on demand
	Held         int64 `json:"held"`            // tags and revisions kept back since something they need failed
	Unsettled    int64 `json:"unsettled"`       // tags that moved faster than they could be copied
	Malformed    int64 `json:"links_malformed"` // links at the source that hold no digest; not copied
	Unknown      int64 `json:"unknown"`         // objects nobody knows, carried byte for byte
	UnknownDone  int64 `json:"unknown_copied"`
	UnknownBytes int64 `json:"unknown_bytes"` // written
	Also         int64 `json:"also"`          // objects below --also
	Uploads      int64 `json:"skipped_uploads"`
	Junk         int64 `json:"skipped_junk"`
	Failed       int64 `json:"failed"`       // objects that could not be transferred
	TagsChecked  int64 `json:"tags_checked"` // judged from the destination alone and whole, --final only
	Damaged      int64 `json:"damaged"`      // findings that a pull at the destination would meet, --final only
}

// Work is what the pass wrote, in objects.
func (t Totals) Work() int64 {
	return t.Copied + t.Replaced + t.Links + t.TagsWritten + t.UnknownDone
}

// AddWork adds what another pass wrote, for the sum over a run.
func (t Totals) AddWork(o Totals) Totals {
	t.Copied += o.Copied
	t.Replaced += o.Replaced
	t.CopiedBytes += o.CopiedBytes
	t.ByService += o.ByService
	t.Links += o.Links
	t.TagsWritten += o.TagsWritten
	t.TagsProved += o.TagsProved
	t.RevsProved += o.RevsProved
	t.UnknownDone += o.UnknownDone
	t.UnknownBytes += o.UnknownBytes
	return t
}

// SourceDamage is what is wrong at the source and no fault of the transfer.
func (t Totals) SourceDamage() int64 {
	return t.Corrupt + t.TagsBroken + t.RevsBroken + t.Malformed
}

// Undone is what the next pass has to try again.
func (t Totals) Undone() int64 { return t.Failed + t.Held + t.Unsettled }

// tally is Totals that many write.
type tally struct {
	mu sync.Mutex
	t  Totals
}

func (t *tally) count(f func(*Totals)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(&t.t)
}

func (t *tally) totals() Totals {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.t
}

// Progress is how far a run is, for a display that looks at it from time to
// time. The zero value is ready; one Progress serves one run.
type Progress struct {
	pass     atomic.Int64
	phase    atomic.Value // string
	objects  atomic.Int64
	bytes    atomic.Int64
	repos    atomic.Int64
	seen     atomic.Int64
	seenSize atomic.Int64
	shards   atomic.Int64
	retries  atomic.Int64
	failures atomic.Int64
	waits    atomic.Int64
}

// Snapshot is one look at a Progress.
type Snapshot struct {
	Pass                     int
	Phase                    string // blobs, repositories, closures, or empty before the first
	Objects, Bytes           int64  // blobs done in this pass, copied or found present
	Repositories             int64  // gone through in this pass
	TotalObjects, TotalBytes int64  // of this pass: an estimate until all shards are listed, 0 while there is none
	Retries, Failures        int64
	Waiting                  int64 // workers that wait for a repository or a budget that runs share
}

// Snapshot looks. Digests are spread evenly, so what the listed shards hold
// says what all hold, long before the last one is listed.
func (p *Progress) Snapshot() Snapshot {
	s := Snapshot{
		Pass: int(p.pass.Load()), Objects: p.objects.Load(), Bytes: p.bytes.Load(),
		Repositories: p.repos.Load(), Retries: p.retries.Load(), Failures: p.failures.Load(), Waiting: p.waits.Load(),
	}
	s.Phase, _ = p.phase.Load().(string)
	if n := p.shards.Load(); n > 0 {
		s.TotalObjects = max(p.seen.Load()*shardCount/n, s.Objects)
		s.TotalBytes = max(p.seenSize.Load()*shardCount/n, s.Bytes)
	}
	return s
}

const shardCount = 256

func (p *Progress) begin(pass int) {
	p.pass.Store(int64(pass))
	for _, c := range []*atomic.Int64{&p.objects, &p.bytes, &p.repos, &p.seen, &p.seenSize, &p.shards, &p.failures} {
		c.Store(0)
	}
}

func (p *Progress) enter(phase string) { p.phase.Store(phase) }
func (p *Progress) listed(bytes int64) { p.seen.Add(1); p.seenSize.Add(max(bytes, 0)) }
func (p *Progress) moved(bytes int64)  { p.bytes.Add(bytes) }
func (p *Progress) done()              { p.objects.Add(1) }
func (p *Progress) shardListed()       { p.shards.Add(1) }
func (p *Progress) repository()        { p.repos.Add(1) }
func (p *Progress) retried()           { p.retries.Add(1) }
func (p *Progress) failed()            { p.failures.Add(1) }

// waiting counts one more worker that waits, until the returned function is called.
func (p *Progress) waiting() (over func()) {
	p.waits.Add(1)
	return func() { p.waits.Add(-1) }
}
