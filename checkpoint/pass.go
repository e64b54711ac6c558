package checkpoint

import (
	"errors"
	"fmt"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Pass is one walk over everything in scope.
type Pass struct {
	Number   int       `json:"number"` // 1, 2, ...; 0: none was begun
	Started  time.Time `json:"started,omitzero"`
	Complete bool      `json:"complete"`
	Dropped  bool      `json:"dropped,omitempty"` // its progress was forgotten: the scope changed
	Scope    string    `json:"scope,omitempty"`

	// Resumed: an earlier run began it, this one goes on with it.
	Resumed bool `json:"-"`
}

// Shard is how far a shard has come.
type Shard struct {
	Cursor string // all keys up to and including it are done in this pass, or recorded as failures; "" for none
	Done   bool   // all of its keys are
	Proved *Set   // what this migration wrote or proved, in any pass: also what finished beyond the cursor
}

const (
	maxShardName = 1024
	maxCursor    = 16 << 10
	maxShards    = 1 << 14
)

var errNoPass = errors.New("checkpoint: no pass is under way")

// Pass returns the pass under way, or the last one.
func (f *File) Pass() Pass {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.pass
}

// BeginPass begins the next pass and commits that. The places of all shards
// and the failures of the last pass are forgotten, finished or not; digests
// and uploads stay. An empty scope is the one that Open was given.
func (f *File) BeginPass(scope string) error {
	if scope == "" {
		scope = f.scope
	}
	f.mu.Lock()
	if err := f.usable(); err != nil {
		f.mu.Unlock()
		return err
	}
	f.pass = Pass{Number: f.pass.Number + 1, Started: time.Now().UTC(), Scope: scope}
	f.turn()
	f.pending.begun, f.pending.failures, f.pending.failSize, f.pending.byClass = true, nil, 0, nil
	f.mu.Unlock()
	return f.flush()
}

// FinishPass says that everything in scope was visited, and commits that.
func (f *File) FinishPass() error {
	f.mu.Lock()
	err := f.usable()
	if err == nil && (f.pass.Number == 0 || f.pass.Complete || f.pass.Dropped) {
		err = errNoPass
	}
	if err != nil {
		f.mu.Unlock()
		return err
	}
	f.pass.Complete, f.pass.Resumed = true, false
	f.turn()
	f.mu.Unlock()
	return f.flush()
}

// turn queues the pass as it now is, and that all shards start anew. The
// caller holds mu.
func (f *File) turn() {
	pass := f.pass
	f.shards = map[string]place{}
	f.pending.pass, f.pending.shards = &pass, nil
	f.queued()
}

// Shard returns how far a shard has come, and reads its digests: 8 bytes each.
func (f *File) Shard(name string) (Shard, error) {
	if err := checkShard(name); err != nil {
		return Shard{}, err
	}
	f.mu.Lock()
	err := f.usable()
	p, begun := f.shards[name]
	if err == nil && !begun {
		err = f.place(name, p)
	}
	f.mu.Unlock()
	if err != nil {
		return Shard{}, err
	}
	// First what is queued, then what is committed: what moves from one to the
	// other meanwhile is seen twice, not missed.
	digests := f.queuedDigests(name)
	err = f.view(func(tx *bolt.Tx) error {
		committed, err := readProved(tx, name)
		digests = append(digests, committed...)
		return err
	})
	if err != nil {
		return Shard{}, err
	}
	return Shard{Cursor: p.cursor, Done: p.done, Proved: newSet(digests)}, nil
}

// Advance queues that all keys of a shard up to and including cursor are done
// or recorded as failures: each Put returned before this call. A cursor never
// goes back.
func (f *File) Advance(shard, cursor string) {
	if len(cursor) > maxCursor { // no registry has such a key; without it only time is lost
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.shards[shard]
	if f.usable() != nil || p.done || cursor <= p.cursor {
		return
	}
	p.cursor = cursor
	_ = f.place(shard, p)
}

// FinishShard queues that all keys of a shard are done in this pass.
func (f *File) FinishShard(shard string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := f.shards[shard]
	if f.usable() != nil || p.done {
		return
	}
	p.done = true
	_ = f.place(shard, p)
}

// place queues how far a shard has come. Outside of a pass nothing is kept.
// The caller holds mu.
func (f *File) place(shard string, p place) error {
	if err := checkShard(shard); err != nil {
		return err
	}
	if f.pass.Number == 0 || f.pass.Complete || f.pass.Dropped {
		return nil
	}
	if _, known := f.shards[shard]; !known && len(f.shards) >= maxShards {
		return fmt.Errorf("checkpoint: more than %d shards", maxShards)
	}
	f.shards[shard] = p
	if f.pending.shards == nil {
		f.pending.shards = map[string]place{}
	}
	f.pending.shards[shard] = p
	f.queued()
	return nil
}

// checkShard refuses names that cannot be part of a key.
func checkShard(name string) error {
	if name == "" || len(name) > maxShardName || strings.ContainsRune(name, 0) {
		return fmt.Errorf("checkpoint: %.40q is no name of a shard", name)
	}
	return nil
}
