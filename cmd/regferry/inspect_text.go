package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/regferry/regferry/verify"
	"github.com/regferry/regferry/verify/report"
)

// surveyed is how an inspection ended, for people and for the reports.
type surveyed struct {
	audited
	found *survey
}

func (s surveyed) head() report.Head {
	h := s.audited.head()
	h.Verdict = s.verdict()
	return h
}

func (s surveyed) print(to io.Writer) error {
	if s.nothingSeen() {
		return nil
	}
	_, err := io.WriteString(to, s.seen.text()+s.numbers()+s.verdict()+"\n")
	return err
}

// verdict is the last line.
func (s surveyed) verdict() string {
	switch {
	case s.err != nil || s.code() != exitDone:
		return s.audited.verdict()
	case s.summary.Database:
		return "no damage seen; the tags live in a database, so what is needed is not known from here: regferry verify --tags FILE"
	case s.summary.NothingProved():
		return "NOT PROVED: no damage was seen, and not one tag or manifest that has all that a pull needs"
	}
	return "no damage seen; regferry verify --level content also reads the blobs"
}

// table is rows of a name and what there is of it.
type table struct {
	w *tabwriter.Writer
	b strings.Builder
}

func newTable() *table {
	t := new(table)
	t.w = tabwriter.NewWriter(&t.b, 0, 0, 2, ' ', 0)
	return t
}

func (t *table) row(name, format string, args ...any) {
	fmt.Fprintf(t.w, "  "+name+"\t"+format+"\n", args...)
}

func (t *table) String() string {
	t.w.Flush() // a strings.Builder takes everything
	return t.b.String()
}

// numbers is the survey itself.
func (s surveyed) numbers() string {
	if s.nothingSeen() {
		return ""
	}
	t := newTable()
	t.row("registry", "%s in %s", s.v.head.Root, s.v.options.Source.Location())
	var side report.Totals // where there is nothing
	if len(s.summary.Sides) > 0 {
		side = s.summary.Sides[0]
	}
	s.contents(t, side)
	s.age(t)
	s.leftWhere(t)
	s.room(t)
	for _, c := range s.summary.Counts {
		switch {
		case c.Severity != report.Notice:
			t.row("!", "%s, %s", c.Kind, humanize.Comma(c.Findings))
		case c.Kind == report.LinkDangling, c.Kind == report.Unproved:
			t.row("note", "%s, %s", c.Kind, humanize.Comma(c.Findings))
		}
	}
	return t.String() + s.biggest()
}

func (s surveyed) contents(t *table, side report.Totals) {
	where := "in the storage"
	switch {
	case !s.summary.Complete:
		where = "where is not known yet"
	case s.summary.Database:
		where = "in a database, as it seems"
	}
	t.row("tags kept", "%s", where)
	t.row("repositories", "%s, with %s tags and %s manifests", humanize.Comma(side.Repositories), humanize.Comma(side.Tags), humanize.Comma(side.Revisions))
	t.row("  pullable", "%s of %s tags, %s of %s manifests have all that a pull needs", humanize.Comma(s.summary.Tags.Proved), humanize.Comma(s.summary.Tags.All),
		humanize.Comma(s.summary.Revisions.Proved), humanize.Comma(s.summary.Revisions.All))
	for _, m := range s.found.MediaTypes {
		t.row("  manifests", "%s %s", humanize.Comma(m.Manifests), report.Name(m.Name))
	}
	t.row("blobs", "%s, %s", humanize.Comma(side.Blobs), bytesOf(side.Bytes))
	if !s.summary.Database {
		loose := s.found.Unreferenced
		t.row("  referenced", "%s, %s", humanize.Comma(side.Blobs-loose.Objects), bytesOf(side.Bytes-loose.Bytes))
		if loose.Objects > 0 {
			t.row("  unreferenced", "%s; no link and no manifest refers to them", amount(loose))
		}
		if s.found.Garbage.Objects > 0 {
			t.row("  garbage", "%s; no manifest needs them, so a registry's garbage collection frees them", amount(s.found.Garbage))
		}
	}
	t.row("  shared", "%s, by manifests of several repositories; unshared, all would take %s", amount(s.found.Shared), bytesOf(s.found.Named))
	t.row("objects", "%s, %s", humanize.Comma(s.found.Objects), bytesOf(s.found.Stored))
}

func (s surveyed) age(t *table) {
	span := func(name string, v verify.Span) {
		if !v.Oldest.IsZero() {
			t.row(name, "%s to %s", day(v.Oldest), day(v.Newest))
		}
	}
	span("blobs stored", s.found.Blobs)
	span("tags written", s.found.Tags)
}

// leftWhere is what a migration leaves where it is, or carries along unasked.
func (s surveyed) leftWhere(t *table) {
	if u := s.found.Uploads; u.Uploads > 0 {
		t.row("uploads", "%s in progress, %s, the oldest last written %s; not migrated", humanize.Comma(u.Uploads), bytesOf(u.Bytes), day(u.Oldest))
	}
	if j := s.found.Junk; j.Objects > 0 {
		t.row("leftovers", "%s of killed processes; not migrated", amount(j))
	}
	if u := s.found.Unknown; u.Objects > 0 {
		t.row("unknown", "%s that no registry writes; migrated byte for byte", amount(u))
	}
	for _, p := range s.found.Beside {
		switch name := report.Name(p.Prefix); {
		case p.Prefix == "":
			t.row("beside it", "in other places: %s; not migrated", amount(p.Amount))
		case strings.HasSuffix(p.Prefix, "/") && name == p.Prefix && !strings.ContainsAny(name, "'"):
			t.row("beside it", "%s: %s; migrated only with --also '%s'", name, amount(p.Amount), name)
		default:
			t.row("beside it", "%s: %s; not migrated", name, amount(p.Amount))
		}
	}
	if s.found.Unseen != "" {
		t.row("beside it", "not all can be seen: %s", s.found.Unseen)
	}
}

func (s surveyed) room(t *table) {
	if v := s.found.Volume; v != nil {
		t.row("volume", "%s, %s in use, %s free", bytesOf(v.Total), bytesOf(v.Used), bytesOf(v.Free))
	}
	if s.found.Ask > 0 {
		t.row("new volume", "ask for size: %dGi (the objects, 8 KiB for each, and a quarter to grow)", s.found.Ask>>30)
	}
}

func (s surveyed) biggest() string {
	t := newTable()
	for i, r := range s.found.BigOnes {
		if i == 0 {
			t.row("biggest repositories", "")
		}
		t.row("  "+bytesOf(r.Bytes), "%s (%s, %s)", report.Name(r.Name), count(int64(r.Tags), "tag", "tags"), count(int64(r.Revisions), "manifest", "manifests"))
	}
	for i, b := range s.found.BigBlobs {
		if i == 0 {
			t.row("biggest blobs", "")
		}
		t.row("  "+bytesOf(b.Bytes), "%s", report.Name(b.Digest.String()))
	}
	return t.String()
}

func amount(a verify.Amount) string {
	return humanize.Comma(a.Objects) + ", " + bytesOf(a.Bytes)
}

func day(t time.Time) string {
	if t.IsZero() {
		return "at a time that is not known"
	}
	return t.Format("2006-01-02 15:04 UTC")
}
