package mirror

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/migrate"
	"github.com/regferry/regferry/verify"
	"github.com/regferry/regferry/verify/layout"
)

// look is what one round sees: of a full one, what the source has lost since
// earlier rounds. It holds 8 bytes a key of the parts that are being listed, and
// the absences.
type look struct {
	m    *Mirror
	full bool

	mu        sync.Mutex
	parts     map[string]*part
	listed    int
	gone      []absence
	more      int64 // absences beyond maxAbsent
	source    int64 // objects
	blobs     int64 // of the source
	all       int64 // objects of the destination
	landmarks []digest.Digest
	found     int // landmarks of earlier rounds that the source still has
}

// part is one prefix at hand.
type part struct {
	number int
	old    []uint64 // what the source had in earlier rounds, sorted
	now    []uint64
	gone   []absence
	more   int64
	source int64
	blobs  int64
	all    int64
	marks  []digest.Digest
	found  int
}

func (m *Mirror) newLook(full bool) *look { return &look{m: m, full: full} }

func (l *look) watch(ctx context.Context) migrate.Watch {
	return migrate.Watch{
		Begin: l.begin, Listed: l.end,
		Pair: func(prefix string, p verify.Pair) error { return l.pair(ctx, prefix, p) },
		Same: l.m.tags.note, Wrote: l.m.wrote, Tag: l.m.mayWriteTag, Retry: l.m.Retried,
	}
}

func (l *look) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.parts, l.listed, l.gone, l.more, l.source, l.blobs, l.all, l.landmarks, l.found = nil, 0, nil, 0, 0, 0, 0, nil, 0
}

// part finds the part that a prefix names; only full rounds have any.
func (l *look) part(prefix string) (*part, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.parts[prefix]; p != nil {
		return p, nil
	}
	n := slices.Index(l.m.parts, prefix)
	if n < 0 {
		return nil, fmt.Errorf("a part of the registry that nobody knows: %q", prefix)
	}
	old, err := l.m.state.readHashes(seenName(n))
	if err != nil {
		return nil, err
	}
	if l.parts == nil {
		l.parts = make(map[string]*part)
	}
	l.parts[prefix] = &part{number: n, old: old}
	return l.parts[prefix], nil
}

func seenName(part int) string { return fmt.Sprintf("seen-%03d", part) }

// pair takes one key into account.
func (l *look) pair(ctx context.Context, prefix string, p verify.Pair) error {
	k := layout.Parse(p.Key)
	if err := l.foreign(ctx, k, p); err != nil || !l.full {
		return err
	}
	at, err := l.part(prefix)
	if err != nil {
		return err
	}
	if p.Dst != nil {
		at.all++
	}
	if p.Src != nil {
		at.source++
	}
	if !deletable(k.Kind) {
		return nil
	}
	h := l.m.state.hash(p.Key)
	if p.Src != nil {
		at.now = append(at.now, h)
		if k.Kind == layout.Blob {
			at.blob(k.Digest, l.m.landmarks[k.Digest])
		}
		return nil
	}
	if _, seen := slices.BinarySearch(at.old, h); !seen && !l.m.written.has(h) {
		return nil // the mirror has never seen it at the source
	}
	at.now = append(at.now, h)
	if len(at.gone) >= maxAbsent {
		at.more++
		return nil
	}
	at.gone = append(at.gone, absence{Key: p.Key, Size: p.Dst.Size})
	return nil
}

func (at *part) blob(d digest.Digest, known bool) {
	at.blobs++
	if known {
		at.found++
	}
	if len(at.marks) < maxLandmarks {
		at.marks = append(at.marks, d) // in order: the first are the least
	}
}

// deletable says whether the mirror deletes objects of a kind. What a registry
// does not write is not its to judge.
func deletable(k layout.Kind) bool {
	switch k {
	case layout.Blob, layout.LayerLink, layout.RevisionLink, layout.SignatureLink, layout.TagLink, layout.TagIndexLink:
		return true
	}
	return false
}

// foreign notices what somebody else wrote to the destination: a tag that this
// mirror never wrote nor saw at the source, or a push in progress. What was there
// when the mirror was new is left alone.
func (l *look) foreign(ctx context.Context, k layout.Key, p verify.Pair) error {
	if k.Kind == layout.TagLink && p.Src != nil && p.Dst != nil && l.m.takesOver() {
		return l.m.accept(ctx, k, p)
	}
	if k.Kind == layout.TagLink && p.Dst != nil && l.m.tags.see(k.Repository, k.Tag) {
		return nil
	}
	if p.Src != nil || p.Dst == nil {
		return nil
	}
	switch k.Kind {
	case layout.TagLink:
		return l.m.strange("the tag "+backends.Printable(tagName(k.Repository, k.Tag)), tagName(k.Repository, k.Tag), p.Key)
	case layout.Upload:
		return l.m.strange("a push in progress", uploadOf(k), p.Key)
	}
	return nil
}

// end puts away what was seen of a part.
func (l *look) end(prefix string) error {
	if !l.full {
		return nil
	}
	at, err := l.part(prefix)
	if err != nil {
		return err
	}
	slices.Sort(at.now)
	at.now = slices.Compact(at.now)
	if !slices.Equal(at.now, at.old) {
		if err := l.m.state.writeHashes(seenName(at.number), at.now); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.listed++
	room := max(0, maxAbsent-len(l.gone))
	l.gone = append(l.gone, at.gone[:min(room, len(at.gone))]...)
	l.more += at.more + int64(max(0, len(at.gone)-room))
	l.source, l.blobs, l.all, l.found = l.source+at.source, l.blobs+at.blobs, l.all+at.all, l.found+at.found
	l.landmarks = append(l.landmarks, at.marks...)
	slices.Sort(l.landmarks)
	l.landmarks = l.landmarks[:min(len(l.landmarks), maxLandmarks)]
	l.parts[prefix] = &part{number: at.number} // its lists are not needed any more
	return nil
}

// complete says that every part was listed to its end.
func (l *look) complete() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.listed == len(l.m.parts)
}

// strangers are what the destination held, of what only a writer other than the
// mirror makes, when the mirror was new: 8 bytes each, and as much again.
type strangers struct {
	mu    sync.Mutex
	known map[uint64]bool
	new   bool // no full round has gone to its end yet: what comes is kept
}

func (m *Mirror) strange(what, name, key string) error {
	s := &m.strangers
	s.mu.Lock()
	defer s.mu.Unlock()
	h := m.state.hash(name)
	switch {
	case s.known[h]:
		return nil
	case s.new || m.takesOver():
		s.known[h] = true
		return nil
	}
	return otherWriter(what, key)
}

func (s *strangers) hashes() []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]uint64, 0, len(s.known))
	for h := range s.known {
		all = append(all, h)
	}
	slices.Sort(all)
	return all
}

// uploadOf is what all keys of one push in progress have in common.
func uploadOf(k layout.Key) string {
	prefix := layout.UploadsPrefix(k.Repository)
	rest := k.Path[min(len(prefix), len(k.Path)):]
	for i := range rest {
		if rest[i] == '/' {
			return prefix + rest[:i]
		}
	}
	return k.Path
}
