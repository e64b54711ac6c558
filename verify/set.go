package verify

import (
	"hash/maphash"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"
)

// Set holds digests in 8 bytes each, and up to as much again for room to
// grow. It keeps a keyed hash of each, drawn anew for each Set, so that nobody
// can make two digests that meet in it; that two of a hundred million meet by
// chance has a probability below 1 in 3,000. The zero value is empty. Its
// methods may be called concurrently.
type Set struct {
	mu      sync.RWMutex
	seed    maphash.Seed
	bits    int        // of a hash that choose its bucket
	buckets [][]uint64 // ascending each; nil until the first Add
	n       int
}

// crowd is how many digests a bucket holds on average before all are split.
const crowd = 64

func (s *Set) find(d digest.Digest) (bucket *[]uint64, hash uint64, at int, found bool) {
	hash = maphash.String(s.seed, string(d))
	bucket = &s.buckets[hash>>(64-s.bits)]
	at, found = slices.BinarySearch(*bucket, hash)
	return bucket, hash, at, found
}

// Add puts d in and says whether it was not there before.
func (s *Set) Add(d digest.Digest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buckets == nil {
		s.seed, s.buckets = maphash.MakeSeed(), make([][]uint64, 1)
	}
	b, hash, at, found := s.find(d)
	if found {
		return false
	}
	*b = slices.Insert(*b, at, hash)
	if s.n++; s.n > crowd*len(s.buckets) {
		s.split()
	}
	return true
}

// Len returns how many there are.
func (s *Set) Len() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.n
}

// split gives each bucket's upper half to a new one.
func (s *Set) split() {
	s.bits++
	twice := make([][]uint64, 2*len(s.buckets))
	for i, b := range s.buckets {
		upper := uint64(2*i+1) << (64 - s.bits)
		at, _ := slices.BinarySearch(b, upper)
		twice[2*i], twice[2*i+1] = slices.Clone(b[:at]), slices.Clone(b[at:])
	}
	s.buckets = twice
}

// Remove takes d out.
func (s *Set) Remove(d digest.Digest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buckets == nil {
		return
	}
	if b, _, at, found := s.find(d); found {
		*b = slices.Delete(*b, at, at+1)
		s.n--
	}
}

// Has says whether d is in.
func (s *Set) Has(d digest.Digest) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.buckets == nil {
		return false
	}
	_, _, _, found := s.find(d)
	return found
}
