package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	bolt "go.etcd.io/bbolt"

	"github.com/regferry/regferry/backends"
)

// maxPending bounds the digests in memory, in bytes: once in the batch that
// gathers and once in the one that is being committed. Who is faster than the
// disk waits in Proved.
const maxPending = 1 << 20

// batch is what goes into one commit.
type batch struct {
	since    time.Time // of the first change; zero: nothing to commit
	pass     *Pass     // begun or finished: the places of all shards before go
	begun    bool      // ... and so do the failures
	shards   map[string]place
	proved   map[string][]uint64
	size     int             // of proved, in bytes
	durable  bool            // a Sync since it was taken lost nothing
	drops    map[string]bool // upload records to delete
	failures []failureRecord
	failSize int            // of failures, in bytes
	byClass  map[string]int // all failures, kept or not
	totals   Totals
	run      *Run
}

// claims says whether the batch says of anything that it is durable.
func (b *batch) claims() bool { return b.pass != nil || len(b.shards) > 0 || b.size > 0 }

// queued starts the clock of the batch. The caller holds mu.
func (f *File) queued() {
	if f.pending.since.IsZero() {
		f.pending.since = time.Now()
		signal(f.wake)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// flushLoop commits each batch one interval after its first change, or as
// soon as it is full.
func (f *File) flushLoop() {
	defer close(f.done)
	for {
		select {
		case <-f.stop:
			return
		case <-f.wake:
		}
		f.mu.Lock()
		due := time.NewTimer(time.Until(f.pending.since.Add(f.interval)))
		f.mu.Unlock()
		select {
		case <-f.stop:
			due.Stop()
			return
		case <-f.full:
			due.Stop()
		case <-due.C:
		}
		_ = f.flush() // kept in f.err
	}
}

// flush takes what is queued, makes the destination durable, and commits, in
// this order: what is queued after the taking was perhaps Put after the Sync
// began, and must not be in this commit.
func (f *File) flush() error {
	f.flushing.Lock()
	defer f.flushing.Unlock()
	f.mu.Lock()
	b := f.pending
	if f.err != nil || b.since.IsZero() && b.run == nil {
		defer f.mu.Unlock()
		return f.err
	}
	f.pending, f.inflight = new(batch), b
	f.room.Broadcast()
	f.mu.Unlock()

	err := f.settle(b)
	if err == nil {
		err = f.commit(func(tx *bolt.Tx) error { return f.write(tx, b) })
	}

	f.mu.Lock()
	defer f.mu.Unlock()
	f.inflight = nil
	f.fail(err) // of settle; one of commit is known
	return f.err
}

// settle makes durable at the destination what the batch claims.
func (f *File) settle(b *batch) error {
	if f.sync == nil || !b.claims() {
		return nil
	}
	err := f.sync(context.Background())
	if some := new(backends.SyncError); errors.As(err, &some) {
		f.mu.Lock()
		defer f.mu.Unlock()
		b.forget()
		return nil
	}
	if err != nil {
		return fmt.Errorf("checkpoint: the destination could not be synced: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	b.durable = true
	return nil
}

func (b *batch) forget() { b.proved, b.size = nil, 0 }

// Unprove takes back what Proved queued and no Sync of the file has made
// durable yet. It is for who calls the destination's Sync as well and is told
// of objects that were lost: the next Sync knows nothing of them. It never waits.
func (f *File) Unprove() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pending.forget()
	if f.inflight != nil && !f.inflight.durable {
		f.inflight.forget()
	}
	f.room.Broadcast()
}

// fail keeps the first error and wakes who waits for room. The caller holds mu.
func (f *File) fail(err error) {
	if err != nil && f.err == nil {
		f.err = err
	}
	if f.err != nil {
		f.pending = new(batch)
		f.room.Broadcast()
	}
}

// write puts a batch into the file.
func (f *File) write(tx *bolt.Tx, b *batch) error {
	if b.pass != nil {
		if err := errors.Join(empty(tx, shardBucket), putJSON(tx, headBucket, []byte(keyPass), b.pass)); err != nil {
			return err
		}
	}
	if err := f.writeShards(tx, b); err != nil {
		return err
	}
	if err := f.writeDrops(tx, b); err != nil {
		return err
	}
	if err := f.writeFailures(tx, b); err != nil {
		return err
	}
	if b.totals != (Totals{}) {
		f.totals.add(b.totals)
		if err := putJSON(tx, headBucket, []byte(keyTotals), f.totals); err != nil {
			return err
		}
	}
	if b.run != nil {
		return putJSON(tx, runBucket, f.runKey, b.run)
	}
	return nil
}

// writeShards goes in the order of the names: bbolt keeps what one commit adds
// to a page in one slice, and moves half of it for each key out of order.
func (f *File) writeShards(tx *bolt.Tx, b *batch) error {
	names := slices.Sorted(maps.Keys(b.shards))
	for _, name := range names {
		if err := put(tx, shardBucket, []byte(name), b.shards[name].payload()); err != nil {
			return err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.proved)) {
		if err := f.appendProved(tx, name, b.proved[name]); err != nil {
			return err
		}
	}
	for _, name := range names {
		if !b.shards[name].done {
			continue
		}
		if err := f.compact(tx, name); err != nil {
			return err
		}
	}
	return nil
}

// Proved queues that this migration itself wrote the blob d of a shard, or
// read it at the destination and found it right: its Put returned nil before
// this call. It waits while 1 MiB is queued. A digest that is not well formed
// is left out: it claims nothing.
func (f *File) Proved(shard string, d digest.Digest) {
	short, ok := shorten(d)
	if !ok || checkShard(shard) != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.pending.size >= maxPending && f.usable() == nil {
		signal(f.full)
		f.room.Wait()
	}
	if f.usable() != nil {
		return
	}
	if f.pending.proved == nil {
		f.pending.proved = map[string][]uint64{}
	}
	f.pending.proved[shard] = append(f.pending.proved[shard], short)
	f.pending.size += digestSize
	f.queued()
}

// Mark records d in a shard at once, before it returns. It is for what is
// not a claim: that something is not to be believed any more.
func (f *File) Mark(shard string, d digest.Digest) error {
	short, ok := shorten(d)
	if !ok || checkShard(shard) != nil {
		return nil
	}
	return f.commit(func(tx *bolt.Tx) error { return f.appendProved(tx, shard, []uint64{short}) })
}

// AddTotals queues an addition to the counts of all runs.
func (f *File) AddTotals(t Totals) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.usable() != nil || t == (Totals{}) {
		return
	}
	f.pending.totals.add(t)
	f.queued()
}

// queuedDigests returns the digests of a shard that are not yet committed.
func (f *File) queuedDigests(shard string) []uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := append([]uint64(nil), f.pending.proved[shard]...)
	if f.inflight != nil {
		all = append(all, f.inflight.proved[shard]...)
	}
	return all
}

// writeDrops deletes the upload records that were dropped and not saved again
// since.
func (f *File) writeDrops(tx *bolt.Tx, b *batch) error {
	f.mu.Lock()
	drops := maps.Clone(b.drops)
	f.mu.Unlock()
	for key := range drops {
		if err := tx.Bucket(uploadBucket).Delete([]byte(key)); err != nil {
			return err
		}
	}
	return nil
}
