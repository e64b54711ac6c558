package checkpoint

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Format is the version of the format that this package writes. It reads
// this one and all before it.
const Format = 1

const magic = "regferry checkpoint"

// The buckets; doc.go has the table.
var (
	headBucket    = []byte("regferry")
	shardBucket   = []byte("shards")
	provedBucket  = []byte("proved")
	uploadBucket  = []byte("uploads")
	failureBucket = []byte("failures")
	runBucket     = []byte("runs")

	buckets = [][]byte{headBucket, shardBucket, provedBucket, uploadBucket, failureBucket, runBucket}
)

// The keys of the head bucket.
const (
	keyMagic    = "magic"
	keyFormat   = "format"
	keyIdentity = "identity"
	keyPass     = "pass"
	keyTotals   = "totals"
	keyFailed   = "failed"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errSum = errors.New("the checksum of a record is wrong")

// sum covers bucket and key too, so that a flipped bit in a key does not make
// a claim about another shard.
func sum(bucket, key, payload []byte) uint32 {
	s := crc32.Update(0, castagnoli, bucket)
	s = crc32.Update(s, castagnoli, []byte{0})
	s = crc32.Update(s, castagnoli, key)
	return crc32.Update(s, castagnoli, payload)
}

// seal appends the checksum to a payload, in place if there is room.
func seal(bucket, key, payload []byte) []byte {
	return binary.BigEndian.AppendUint32(payload, sum(bucket, key, payload))
}

// unseal returns the payload of a record's value.
func unseal(bucket, key, value []byte) ([]byte, error) {
	n := len(value) - 4
	if n < 0 || binary.BigEndian.Uint32(value[n:]) != sum(bucket, key, value[:n]) {
		return nil, errSum
	}
	return value[:n:n], nil
}

func put(tx *bolt.Tx, bucket, key, payload []byte) error {
	b := tx.Bucket(bucket)
	if b == nil {
		return fmt.Errorf("bucket %s is gone", bucket)
	}
	return b.Put(key, seal(bucket, key, payload))
}

func putJSON(tx *bolt.Tx, bucket, key []byte, v any) error {
	payload, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return put(tx, bucket, key, payload)
}

// get returns the payload under key, valid within tx, or nil if there is none.
func get(tx *bolt.Tx, bucket, key []byte) ([]byte, error) {
	b := tx.Bucket(bucket)
	if b == nil {
		return nil, fmt.Errorf("bucket %s is gone", bucket)
	}
	value := b.Get(key)
	if value == nil {
		return nil, nil
	}
	return unseal(bucket, key, value)
}

// empty removes all records of a bucket.
func empty(tx *bolt.Tx, bucket []byte) error {
	if err := tx.DeleteBucket(bucket); err != nil {
		return err
	}
	_, err := tx.CreateBucket(bucket)
	return err
}

// number is the key of records that are kept in the order they came.
func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// identityRecord is who a file belongs to. The scope is in the pass.
type identityRecord struct {
	Source      string    `json:"source"`
	Destination string    `json:"destination"`
	Root        string    `json:"root"`
	Created     time.Time `json:"created"`
}

func (r identityRecord) is(id Identity) bool {
	return r.Source == id.Source && r.Destination == id.Destination && r.Root == id.Root
}

// place is how far one shard has come in the pass under way.
type place struct {
	cursor string
	done   bool
}

func (p place) payload() []byte {
	b := make([]byte, 1, 1+len(p.cursor)+4)
	if p.done {
		b[0] = 1
	}
	return append(b, p.cursor...)
}

func parsePlace(payload []byte) (place, error) {
	if len(payload) == 0 || payload[0] > 1 {
		return place{}, errors.New("the record of a shard makes no sense")
	}
	return place{done: payload[0] == 1, cursor: string(payload[1:])}, nil
}

// uploadRecord keeps the token as bytes: nothing promises that it is UTF-8,
// and JSON would change it silently.
type uploadRecord struct {
	Token  []byte    `json:"token"`
	Offset int64     `json:"offset"`
	Hash   []byte    `json:"hash,omitempty"`
	Saved  time.Time `json:"saved"`
}

// failureRecord keeps the key as bytes, for the same reason.
type failureRecord struct {
	Side    string    `json:"side,omitempty"`
	Op      string    `json:"op,omitempty"`
	Key     []byte    `json:"key,omitempty"`
	Class   string    `json:"class,omitempty"`
	Message string    `json:"message,omitempty"`
	Time    time.Time `json:"time"`
}

func (r failureRecord) failure() Failure {
	return Failure{Side: r.Side, Op: r.Op, Key: string(r.Key), Class: r.Class, Message: r.Message, Time: r.Time}
}

// failed counts the failures of a pass, kept or not.
type failed struct {
	Total   int            `json:"total"`
	Kept    int            `json:"kept"`
	ByClass map[string]int `json:"by_class,omitempty"`
}
