package verify

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/report"
)

// about fills in of a finding what its key says, and the judged side if it
// names none.
func (r *run) about(k layout.Key, f report.Finding) report.Finding {
	f.Key = k.String()
	f.Repository, f.Tag = k.Repository, k.Tag
	if f.Digest == "" {
		f.Digest = k.Digest
	}
	return f
}

// find counts a finding and hands it on.
func (r *run) find(f report.Finding) {
	if f.Side == "" {
		f.Side = r.mine.name
	}
	if f.Advice == "" {
		f.Advice = advice(f, r.comparing)
	}
	r.Progress.found.Add(1)
	r.results.counts.Add(f)
	r.Recorder.Finding(f)
}

// cause leaves out of an error what the finding says by itself: side,
// operation and key.
func cause(err error) string {
	e := (*backends.Error)(nil)
	if !errors.As(err, &e) {
		return err.Error()
	}
	for inner := e; errors.As(inner.Err, &inner); {
		e = inner
	}
	switch {
	case e.Class == backends.NotFound && (e.Err == nil || e.Op == "stat" || e.Op == "open"):
		return notThere
	case e.Err == nil:
		return e.Class.Error()
	}
	return e.Err.Error()
}

const notThere = "not there"

func byteCount(n int64) string {
	switch {
	case n < 0:
		return "bytes of unknown number"
	case n == 1:
		return "1 byte"
	}
	return fmt.Sprintf("%d bytes", n)
}

// advice is one sentence of what to do.
func advice(f report.Finding, comparing bool) string {
	source := f.Side == report.Source
	where := "here"
	if comparing {
		where = "at the " + string(f.Side)
	}
	switch f.Kind {
	case report.Missing, report.SizeDiffers:
		if source {
			return "restore it from a backup, or push an image that has it again"
		}
		return "run the migration again: it brings what is missing or has another size"
	case report.ContentCorrupt:
		if !source {
			return "run the migration again with --recheck-existing: the source has it whole"
		}
		return "delete this blob's directory " + where + " and push an image that has it again, or restore it from a backup"
	case report.LinkMalformed:
		if !source {
			return "delete it " + where + " and run the migration again"
		}
		return "push the image again, or delete this link: one bad link stops a registry's garbage collection"
	case report.LinkDangling:
		if f.Severity == report.Notice {
			return "nothing: a registry's garbage collection leaves such links"
		}
		return "delete this revision, or push the image again: a registry's garbage collection stops at it"
	case report.TagIncomplete, report.RevIncomplete:
		if !source {
			return "run the migration again with --recheck-existing: the source can serve it"
		}
		return "push it again, or delete it: a pull fails"
	case report.TagDiffers:
		return "run the migration again, unless the destination is in use already"
	case report.Extra:
		return "delete it at the destination if it should not be there"
	case report.Unreferenced:
		return "nothing, or run the registry's garbage collection to have the room back"
	case report.UnknownObject:
		return "nothing: a registry does not write this; a migration carries it byte for byte"
	case report.Skipped:
		return "nothing: it belongs to no image; a migration leaves it where it is"
	case report.Unproved:
		if f.Severity == report.Notice {
			return "nothing: only its size can be compared"
		}
		return "see that it can be read " + where + ", then verify again"
	}
	return ""
}

// results are what a run counts.
type results struct {
	counts report.Tally

	mu     sync.Mutex
	sides  map[report.Side]*report.Totals
	proof  map[proofKey]*report.Proof
	before int64 // blobs that an interrupted run had proved
	closed closures
}

type proofKey struct {
	side report.Side
	how  Level
}

// closures count revisions and tags at the judged side.
type closures struct {
	revisions, revisionsProved int64
	tags, tagsProved           int64
	listed, listedProved       int64 // of Options.Tags
}

func (r *results) side(s report.Side, f func(*report.Totals)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sides == nil {
		r.sides = make(map[report.Side]*report.Totals)
	}
	if r.sides[s] == nil {
		r.sides[s] = &report.Totals{Side: s}
	}
	f(r.sides[s])
}

func (r *results) proved(s report.Side, how Level, size int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.proof == nil {
		r.proof = make(map[proofKey]*report.Proof)
	}
	p := r.proof[proofKey{s, how}]
	if p == nil {
		p = &report.Proof{Side: s, How: string(how)}
		r.proof[proofKey{s, how}] = p
	}
	p.Blobs++
	p.Bytes += size
}

func (r *results) add(n *int64, more int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*n += more
}

func sorted[K comparable, V any](m map[K]V, less func(a, b V) int) []V {
	all := make([]V, 0, len(m))
	for _, v := range m {
		all = append(all, v)
	}
	slices.SortFunc(all, less)
	return all
}

func bySide(a, b report.Side) int { return cmp.Compare(order(a), order(b)) }

func order(s report.Side) int {
	return slices.Index([]report.Side{report.Source, report.Transfer, report.Destination}, s)
}
