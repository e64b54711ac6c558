package checkpoint

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Failure is one object that could not be transferred in this pass.
type Failure struct {
	Side    string    `json:"side,omitempty"` // as in backends.Error
	Op      string    `json:"op,omitempty"`
	Key     string    `json:"key,omitempty"`
	Class   string    `json:"class,omitempty"`
	Message string    `json:"message,omitempty"` // without secrets; longer than 1 KiB is cut
	Time    time.Time `json:"time"`
}

const (
	maxFailures    = 10000 // records in the file; more are only counted
	maxFailPending = 1 << 20
	maxClasses     = 64
	longestMessage = 1 << 10
)

// Fail queues a failure of the current pass. It never waits, so Options.Sync
// may call it: what finds 1 MiB queued is counted without its record, as is
// what comes after the first 10,000.
func (f *File) Fail(x Failure) {
	if x.Time.IsZero() {
		x.Time = time.Now().UTC()
	}
	r := failureRecord{
		Side: clip(x.Side, 64), Op: clip(x.Op, 64), Key: []byte(clip(x.Key, maxCursor)),
		Class: clip(x.Class, 64), Message: clip(x.Message, longestMessage), Time: x.Time,
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.usable() != nil {
		return
	}
	b := f.pending
	if b.byClass == nil {
		b.byClass = map[string]int{}
	}
	if _, known := b.byClass[r.Class]; !known && len(b.byClass) >= maxClasses {
		r.Class = "other"
	}
	b.byClass[r.Class]++
	if b.failSize < maxFailPending {
		b.failures = append(b.failures, r)
		b.failSize += 200 + len(r.Key) + len(r.Message)
	}
	f.queued()
}

// Failures returns the failures of the current pass that were kept, in the
// order they came, and how many there were in all. It commits what is queued.
func (f *File) Failures() ([]Failure, int, error) {
	if err := f.flush(); err != nil {
		return nil, 0, err
	}
	f.mu.Lock()
	err := f.usable()
	f.mu.Unlock()
	if err != nil {
		return nil, 0, err
	}
	var kept []Failure
	var n failed
	err = f.view(func(tx *bolt.Tx) error {
		payload, err := get(tx, headBucket, []byte(keyFailed))
		if err == nil && payload != nil {
			err = json.Unmarshal(payload, &n)
		}
		if err != nil {
			return err
		}
		return tx.Bucket(failureBucket).ForEach(func(key, value []byte) error {
			payload, err := unseal(failureBucket, key, value)
			if err != nil {
				return err
			}
			var r failureRecord
			if err := json.Unmarshal(payload, &r); err != nil {
				return fmt.Errorf("the record of a failure: %w", err)
			}
			kept = append(kept, r.failure())
			return nil
		})
	})
	return kept, n.Total, err
}

// writeFailures forgets those of the last pass, if one was begun, and adds
// the new ones. The caller holds commits.
func (f *File) writeFailures(tx *bolt.Tx, b *batch) error {
	if b.begun {
		f.failed, f.nextFail = failed{}, 1
		if err := empty(tx, failureBucket); err != nil {
			return err
		}
	}
	if !b.begun && len(b.byClass) == 0 {
		return nil
	}
	for _, r := range b.failures {
		if f.failed.Kept >= maxFailures {
			break
		}
		if err := putJSON(tx, failureBucket, number(f.nextFail), r); err != nil {
			return err
		}
		f.nextFail++
		f.failed.Kept++
	}
	if f.failed.ByClass == nil {
		f.failed.ByClass = map[string]int{}
	}
	for class, n := range b.byClass {
		if _, known := f.failed.ByClass[class]; !known && len(f.failed.ByClass) > maxClasses {
			class = "other"
		}
		f.failed.ByClass[class] += n
		f.failed.Total += n
	}
	return putJSON(tx, headBucket, []byte(keyFailed), f.failed)
}

// clip cuts a text to at most n bytes, not within a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n-3], "") + "..."
}
