package checkpoint

import (
	"encoding/json"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/regferry/regferry/backends"
)

const (
	maxUploads    = 1000    // records in the file
	maxUploadSize = 1 << 20 // bytes of one; an S3 upload of 10,000 parts with their ETags takes half of it
)

// UploadInfo is what a Summary says of an unfinished upload.
type UploadInfo struct {
	Key    string    `json:"key"`
	Offset int64     `json:"offset"` // bytes durable at the destination
	Saved  time.Time `json:"saved"`
}

// SaveUpload records how far the unfinished upload of key has come, and
// returns when that is committed. No Sync comes before it: the store made
// these bytes durable before it told. Calls at the same time share a commit.
//
// There are at most as many records as uploads under way, plus those that
// earlier runs left and nobody took up. Beyond 1000 the oldest goes, and costs
// the time to send its object again, as does one of more than 1 MiB, which is
// not recorded.
func (f *File) SaveUpload(key string, u backends.Upload) error {
	if len(u.Token)+len(u.Hash) > maxUploadSize || key == "" || len(key) > maxCursor {
		return nil
	}
	f.mu.Lock()
	if err := f.usable(); err != nil {
		f.mu.Unlock()
		return err
	}
	f.saves[key] = uploadRecord{Token: []byte(u.Token), Offset: u.Offset, Hash: u.Hash, Saved: time.Now().UTC()}
	f.uploads[key] = true
	delete(f.pending.drops, key)
	if f.inflight != nil {
		delete(f.inflight.drops, key)
	}
	f.mu.Unlock()

	return f.commitSaves()
}

// commitSaves commits what all callers of SaveUpload gathered. Who finds
// nothing was served by the one before, which may have failed.
func (f *File) commitSaves() error {
	f.commits.Lock()
	defer f.commits.Unlock()
	f.mu.Lock()
	saves, err := f.saves, f.err
	f.saves = map[string]uploadRecord{}
	f.mu.Unlock()
	if err != nil || len(saves) == 0 {
		return err
	}
	return f.commitHeld(func(tx *bolt.Tx) error { return f.writeSaves(tx, saves) })
}

func (f *File) writeSaves(tx *bolt.Tx, saves map[string]uploadRecord) error {
	for key, r := range saves {
		if err := f.makeRoom(tx, key); err != nil {
			return err
		}
		if err := putJSON(tx, uploadBucket, []byte(key), r); err != nil {
			return err
		}
	}
	return nil
}

// makeRoom deletes the oldest record if there are too many for a new one.
func (f *File) makeRoom(tx *bolt.Tx, key string) error {
	b := tx.Bucket(uploadBucket)
	if b.Get([]byte(key)) != nil || count(b) < maxUploads {
		return nil
	}
	var oldest string
	var saved time.Time
	err := eachUpload(tx, func(key string, r uploadRecord) {
		if oldest == "" || r.Saved.Before(saved) {
			oldest, saved = key, r.Saved
		}
	})
	if err != nil {
		return err
	}
	f.mu.Lock()
	delete(f.uploads, oldest)
	f.mu.Unlock()
	return b.Delete([]byte(oldest))
}

// Upload returns where an upload of key stopped, if one is recorded. A record
// that cannot be read counts as none: that costs time only.
func (f *File) Upload(key string) (backends.Upload, bool) {
	f.mu.Lock()
	known := f.uploads[key] && f.usable() == nil
	f.mu.Unlock()
	if !known {
		return backends.Upload{}, false
	}
	var u backends.Upload
	found := false
	err := f.view(func(tx *bolt.Tx) error {
		payload, err := get(tx, uploadBucket, []byte(key))
		if err != nil || payload == nil {
			return err
		}
		var r uploadRecord
		if err := json.Unmarshal(payload, &r); err != nil {
			return err
		}
		u, found = r.upload(), true
		return nil
	})
	return u, found && err == nil
}

// DropUpload queues that the record of key is to go: its Put returned nil, or
// its token is of no more use. Until a Sync made that Put durable the record
// stays in the file.
func (f *File) DropUpload(key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.uploads[key] || f.usable() != nil {
		return
	}
	delete(f.uploads, key)
	delete(f.saves, key)
	if f.pending.drops == nil {
		f.pending.drops = map[string]bool{}
	}
	f.pending.drops[key] = true
	f.queued()
}

// Uploads returns all recorded uploads by key, at most 1000: the tokens are
// what a backends.Cleaner must keep.
func (f *File) Uploads() (map[string]backends.Upload, error) {
	f.mu.Lock()
	err := f.usable()
	f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	all := map[string]backends.Upload{}
	err = f.view(func(tx *bolt.Tx) error {
		return eachUpload(tx, func(key string, r uploadRecord) { all[key] = r.upload() })
	})
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for key := range all {
		if !f.uploads[key] {
			delete(all, key)
		}
	}
	return all, nil
}

func eachUpload(tx *bolt.Tx, do func(key string, r uploadRecord)) error {
	return tx.Bucket(uploadBucket).ForEach(func(key, value []byte) error {
		payload, err := unseal(uploadBucket, key, value)
		if err != nil {
			return err
		}
		var r uploadRecord
		if err := json.Unmarshal(payload, &r); err != nil {
			return fmt.Errorf("the record of an upload: %w", err)
		}
		do(string(key), r)
		return nil
	})
}

func (r uploadRecord) upload() backends.Upload {
	return backends.Upload{Token: string(r.Token), Offset: r.Offset, Hash: r.Hash}
}
