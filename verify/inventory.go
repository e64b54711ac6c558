package verify

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/report"
)

// Inventory is what a survey counts beyond what an audit proves. The zero
// value is ready; one serves one run. While it counts it holds 8 bytes a
// manifest, 16 a blob that manifests name and 8 any blob, each with up to as
// much again for room to grow.
type Inventory struct {
	MediaTypes   []MediaType  `json:"media_types"`  // of the manifests, each once; most first
	Unreferenced Amount       `json:"unreferenced"` // blobs to which no link and no manifest refers
	Garbage      Amount       `json:"garbage"`      // blobs that no manifest with a revision link needs: what a registry's garbage collection frees
	Shared       Amount       `json:"shared"`       // blobs that manifests of several repositories name
	Named        int64        `json:"named_bytes"`  // of what manifests name, each once a repository: what it would take without sharing
	Uploads      Uploads      `json:"uploads"`      // in progress, not migrated
	Junk         Amount       `json:"junk"`         // what killed processes left, not migrated
	Unknown      Amount       `json:"unknown"`      // below the root, of no registry; migrated
	Objects      int64        `json:"objects"`      // below the root
	Stored       int64        `json:"stored_bytes"` // of all of those
	Blobs        Span         `json:"blobs_from"`   // when the blobs were stored
	Tags         Span         `json:"tags_from"`    // when the tags were written
	BigBlobs     []BigBlob    `json:"biggest_blobs"`
	BigOnes      []Repository `json:"biggest_repositories"`

	mu        sync.Mutex
	types     map[string]int64
	manifests Set
	once      Set
	again     Set
	garbage   Set // blobs that nothing was seen to need yet
}

// Repository is one of the biggest.
type Repository = report.Repository

// Amount is how much there is of something.
type Amount struct {
	Objects int64 `json:"objects"`
	Bytes   int64 `json:"bytes"`
}

// MediaType is how many manifests are of one.
type MediaType struct {
	Name      string `json:"media_type"` // as the manifest says it, or as its shape implies; it may hold anything
	Manifests int64  `json:"manifests"`
}

// Uploads are pushes that somebody began.
type Uploads struct {
	Uploads int64     `json:"uploads"`
	Bytes   int64     `json:"bytes"`
	Oldest  time.Time `json:"oldest,omitzero"` // last written
}

// Span is from the oldest to the newest, zero where the store does not say.
type Span struct {
	Oldest time.Time `json:"oldest,omitzero"`
	Newest time.Time `json:"newest,omitzero"`
}

// BigBlob is one of the biggest.
type BigBlob struct {
	Digest digest.Digest `json:"digest"`
	Bytes  int64         `json:"bytes"`
}

const (
	biggest   = 10 // of the blobs, and of the repositories, are kept
	mostTypes = 50 // media types are told apart; who may push may make up more
	moreTypes = "others"
)

// Its methods do nothing for nil, so that an audit need not ask.

func (v *Inventory) count(do func()) {
	if v == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	do()
}

func (a *Amount) add(size int64) {
	a.Objects++
	a.Bytes += max(size, 0)
}

func (s *Span) add(t time.Time) {
	if t.IsZero() {
		return
	}
	if s.Oldest.IsZero() || t.Before(s.Oldest) {
		s.Oldest = t.UTC()
	}
	if t.After(s.Newest) {
		s.Newest = t.UTC()
	}
}

func (v *Inventory) blob(d digest.Digest, o backends.Object) {
	v.count(func() {
		v.garbage.Add(d)
		v.Blobs.add(o.ModTime)
		v.BigBlobs = keepBiggest(v.BigBlobs, BigBlob{d, o.Size}, func(a, b BigBlob) int {
			return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Digest, b.Digest))
		})
	})
}

// object counts anything below the root.
func (v *Inventory) object(k layout.Key, o *backends.Object) {
	if o == nil {
		return
	}
	v.count(func() {
		v.Objects++
		v.Stored += max(o.Size, 0)
		switch k.Kind {
		case layout.TagLink:
			v.Tags.add(o.ModTime)
		case layout.Upload:
			v.Uploads.Bytes += max(o.Size, 0)
		case layout.Junk:
			v.Junk.add(o.Size)
		case layout.Unknown:
			v.Unknown.add(o.Size)
		}
	})
}

// upload counts one of which everything was listed; at is when something of it
// was written last.
func (v *Inventory) upload(at time.Time) {
	v.count(func() {
		v.Uploads.Uploads++
		if !at.IsZero() && (v.Uploads.Oldest.IsZero() || at.Before(v.Uploads.Oldest)) {
			v.Uploads.Oldest = at.UTC()
		}
	})
}

func (v *Inventory) unreferenced(size int64) { v.count(func() { v.Unreferenced.add(size) }) }

// needed notes a blob that a manifest names, or is.
func (v *Inventory) needed(d digest.Digest) { v.count(func() { v.garbage.Remove(d) }) }

// freed counts a blob if nothing needs it.
func (v *Inventory) freed(d digest.Digest, size int64) {
	v.count(func() {
		if v.garbage.Has(d) {
			v.Garbage.add(size)
		}
	})
}

func (v *Inventory) garbageLen() (n int) {
	v.count(func() { n = v.garbage.Len() })
	return n
}

// manifest counts one that was read, once.
func (v *Inventory) manifest(d digest.Digest, mediaType string) {
	v.count(func() {
		if !v.manifests.Add(d) {
			return
		}
		if v.types == nil {
			v.types = make(map[string]int64)
		}
		if _, known := v.types[mediaType]; !known && len(v.types) >= mostTypes {
			mediaType = moreTypes
		}
		v.types[mediaType]++
	})
}

// named counts what a manifest names, once for each repository.
func (v *Inventory) named(d digest.Digest, size int64) {
	v.count(func() {
		v.Named += max(size, 0)
		if !v.once.Add(d) && v.again.Add(d) {
			v.Shared.add(size)
		}
	})
}

func (v *Inventory) repository(r report.Repository) {
	v.count(func() {
		v.BigOnes = keepBiggest(v.BigOnes, r, func(a, b Repository) int {
			return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Name, b.Name))
		})
	})
}

// finish lays out what was counted.
func (v *Inventory) finish() {
	v.count(func() {
		for _, name := range slices.Sorted(maps.Keys(v.types)) {
			v.MediaTypes = append(v.MediaTypes, MediaType{name, v.types[name]})
		}
		slices.SortStableFunc(v.MediaTypes, func(a, b MediaType) int { return cmp.Compare(b.Manifests, a.Manifests) })
		v.manifests, v.once, v.again, v.garbage = Set{}, Set{}, Set{}, Set{} // they are no longer needed
	})
}

func keepBiggest[T any](all []T, one T, order func(a, b T) int) []T {
	at, _ := slices.BinarySearchFunc(all, one, order)
	if at >= biggest {
		return all
	}
	all = slices.Insert(all, at, one)
	return all[:min(len(all), biggest)]
}
