package verify

import (
	"cmp"
	"context"

	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/report"
)

// Summary is how a run went.
type Summary struct {
	Complete  bool // it looked at everything
	Compared  bool // two stores, not one
	Database  bool // the tags live in a database, so the storage does not know all references
	Closures  bool // references were followed
	Sides     []report.Totals
	Proof     []report.Proof // of the judged side: the destination, or the only one
	Counts    []report.Count // of findings
	Resumed   int64          // blobs that an interrupted run had proved before
	Revisions Proved
	Tags      Proved
	Listed    Proved // of Options.Tags
}

// Proved says of how many it was proved that a pull gets everything.
type Proved struct {
	All    int64 `json:"all"`
	Proved int64 `json:"proved"`
}

func (r *run) summary() Summary {
	r.results.mu.Lock()
	defer r.results.mu.Unlock()
	c := r.results.closed
	s := Summary{
		Compared: r.comparing, Closures: !r.SkipReferences, Resumed: r.results.before,
		Revisions: Proved{c.revisions, c.revisionsProved}, Tags: Proved{c.tags, c.tagsProved}, Listed: Proved{c.listed, c.listedProved},
	}
	for _, t := range sorted(r.results.sides, func(a, b *report.Totals) int { return bySide(a.Side, b.Side) }) {
		s.Sides = append(s.Sides, *t)
		if t.Side == r.mine.name {
			s.Database = r.Metadata.Database(t.Blobs, t.Revisions, t.Tags)
		}
	}
	for _, p := range sorted(r.results.proof, func(a, b *report.Proof) int { return cmp.Compare(a.How, b.How) }) {
		s.Proof = append(s.Proof, *p)
	}
	s.Counts = r.results.counts.Counts()
	return s
}

// Differences counts what is not equal, or not sound at the destination alone.
func (s Summary) Differences() int64 {
	return s.sum(func(c report.Count) bool { return c.Side != report.Source })
}

// SourceDamage counts what is wrong at the source, or at the only side.
func (s Summary) SourceDamage() int64 {
	return s.sum(func(c report.Count) bool { return c.Side == report.Source })
}

// sum leaves out notices.
func (s Summary) sum(of func(report.Count) bool) (n int64) {
	for _, c := range s.Counts {
		if c.Severity != report.Notice && of(c) {
			n += c.Findings
		}
	}
	return n
}

// Of counts the findings of a kind.
func (s Summary) Of(kind report.Kind) (n int64) {
	for _, c := range s.Counts {
		if c.Kind == kind {
			n += c.Findings
		}
	}
	return n
}

// nothingProved reports that something is there, or must be, and not one
// manifest or tag was proved to be pullable: it may be that none is.
func (r *run) nothingProved(context.Context) error {
	s := r.summary()
	if r.SkipReferences || !s.NothingProved() || r.Metadata != MetadataDatabase && s.nothing(r.mine.name) {
		return nil
	}
	advice := "prove the tags that the registry's database has: regferry verify --tags FILE"
	if s.Revisions.All > 0 {
		advice = "see the findings before this one"
	}
	r.find(report.Finding{
		Kind: report.Unproved, Side: report.Source, Severity: report.Warning, Key: layout.Root,
		Found: "not one tag or manifest was proved to have all that a pull needs", Advice: advice,
	})
	return nil
}

// nothing says that a side has neither blobs nor repositories: what a registry
// has before the first push.
func (s Summary) nothing(side report.Side) bool {
	for _, t := range s.Sides {
		if t.Side == side && t.Blobs+t.Repositories > 0 {
			return false
		}
	}
	return true
}

// NothingProved says that no tag and no manifest was proved to be pullable:
// where anything is there, nobody may call the registry sound then.
func (s Summary) NothingProved() bool {
	return s.Revisions.Proved+s.Tags.Proved+s.Listed.Proved == 0
}
