package checkpoint

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"slices"

	"github.com/opencontainers/go-digest"
	bolt "go.etcd.io/bbolt"
)

const (
	digestSize = 8    // bytes kept of a digest
	segment    = 4096 // digests in one value of a compacted shard: 32 KiB
	maxTail    = 64   // values appended to a shard before it is compacted
)

// Set is a set of digests, known by their first 8 bytes. Its zero value and
// nil are empty.
type Set struct{ sorted []uint64 }

// newSet takes digests over.
func newSet(digests []uint64) *Set {
	slices.Sort(digests)
	return &Set{slices.Clip(slices.Compact(digests))}
}

// Has says whether d is in the set.
func (s *Set) Has(d digest.Digest) bool {
	short, ok := shorten(d)
	if !ok || s == nil {
		return false
	}
	_, found := slices.BinarySearch(s.sorted, short)
	return found
}

// Len returns the number of digests.
func (s *Set) Len() int {
	if s == nil {
		return 0
	}
	return len(s.sorted)
}

// shorten returns the first 8 bytes of a well-formed digest.
func shorten(d digest.Digest) (uint64, bool) {
	if d.Validate() != nil {
		return 0, false
	}
	var b [digestSize]byte
	if n, err := hex.Decode(b[:], []byte(d.Encoded()[:2*digestSize])); err != nil || n != digestSize {
		return 0, false
	}
	return binary.BigEndian.Uint64(b[:]), true
}

// tail is where a shard's digests are appended.
type tail struct {
	next     uint64 // number of the next value
	appended int    // values since it was compacted
}

// provedKey is shard, NUL, number: one bucket for all shards, because a bucket
// each would cost each a page of its own.
func provedKey(shard string, n uint64) []byte {
	key := make([]byte, 0, len(shard)+1+8)
	key = append(key, shard...)
	return binary.BigEndian.AppendUint64(append(key, 0), n)
}

// appendProved adds one value with these digests. The caller holds commits.
func (f *File) appendProved(tx *bolt.Tx, shard string, digests []uint64) error {
	t, known := f.tails[shard]
	if !known {
		t = findTail(tx, shard)
	}
	b := tx.Bucket(provedBucket)
	b.FillPercent = 0.9 // values are appended, or rewritten as they are
	for part := range slices.Chunk(digests, segment) {
		key := provedKey(shard, t.next)
		if err := b.Put(key, seal(provedBucket, key, pack(part))); err != nil {
			return err
		}
		t.next++
		t.appended++
	}
	f.tails[shard] = t
	if t.appended >= maxTail {
		return f.compact(tx, shard)
	}
	return nil
}

// findTail counts all values of a shard as appended: a shard that was
// compacted before has few.
func findTail(tx *bolt.Tx, shard string) tail {
	var t tail
	for key := range provedOf(tx, shard) {
		t.next = binary.BigEndian.Uint64(key[len(key)-8:]) + 1
		t.appended++
	}
	return t
}

// compact writes all digests of a shard again, sorted, each once, in few
// values. The caller holds commits.
func (f *File) compact(tx *bolt.Tx, shard string) error {
	if t, known := f.tails[shard]; known && t.appended == 0 {
		return nil
	}
	digests, err := readProved(tx, shard)
	if err != nil {
		return err
	}
	set := newSet(digests)
	var keys [][]byte
	for key := range provedOf(tx, shard) {
		keys = append(keys, bytes.Clone(key))
	}
	b := tx.Bucket(provedBucket)
	b.FillPercent = 0.9
	for _, key := range keys {
		if err := b.Delete(key); err != nil {
			return err
		}
	}
	var t tail
	for part := range slices.Chunk(set.sorted, segment) {
		key := provedKey(shard, t.next)
		if err := b.Put(key, seal(provedBucket, key, pack(part))); err != nil {
			return err
		}
		t.next++
	}
	f.tails[shard] = t
	return nil
}

// readProved returns all digests of a shard.
func readProved(tx *bolt.Tx, shard string) ([]uint64, error) {
	var digests []uint64
	for key, value := range provedOf(tx, shard) {
		payload, err := unseal(provedBucket, key, value)
		if err != nil {
			return nil, err
		}
		digests = slices.Grow(digests, len(payload)/digestSize)
		for i := 0; i+digestSize <= len(payload); i += digestSize {
			digests = append(digests, binary.BigEndian.Uint64(payload[i:]))
		}
	}
	return digests, nil
}

// provedOf yields the records of a shard, valid until tx changes the bucket.
func provedOf(tx *bolt.Tx, shard string) func(yield func(key, value []byte) bool) {
	prefix := append([]byte(shard), 0)
	return func(yield func(key, value []byte) bool) {
		c := tx.Bucket(provedBucket).Cursor()
		for key, value := c.Seek(prefix); bytes.HasPrefix(key, prefix); key, value = c.Next() {
			if !yield(key, value) {
				return
			}
		}
	}
}

func pack(digests []uint64) []byte {
	b := make([]byte, 0, len(digests)*digestSize+4) // with room for the checksum
	for _, d := range digests {
		b = binary.BigEndian.AppendUint64(b, d)
	}
	return b
}
