package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"

	"github.com/regferry/regferry/verify"
	"github.com/regferry/regferry/verify/report"
)

// audited is how a verification ended, for people and for the reports.
type audited struct {
	v       *verification
	summary verify.Summary
	err     error
	seen    *recorder
	survey  bool // of inspect, which is not asked for a proof
}

// code is the exit code if there was no error.
func (a audited) code() int {
	switch {
	case a.survey && a.onlyUnproved():
		return exitDone
	case a.summary.Differences() > 0:
		return exitDifferences
	case a.summary.SourceDamage() > 0:
		return exitDamage
	}
	return exitDone
}

func (a audited) head() report.Head {
	h := a.v.head
	h.Complete, h.Verdict = a.summary.Complete, a.verdict()
	switch {
	case a.summary.Database && a.summary.Complete:
		h.Metadata = "database"
	case a.summary.Complete:
		h.Metadata = "storage"
	}
	h.Sides, h.Proof = a.summary.Sides, a.summary.Proof
	return endHead(h, a.code(), a.err, a.v.sig)
}

func (a audited) print(to io.Writer) error {
	if a.nothingSeen() {
		return nil
	}
	_, err := io.WriteString(to, a.seen.text()+a.numbers()+a.verdict()+"\n")
	return err
}

// nothingSeen says that it ended before it saw anything. Where it went to its
// end there may be nothing to see, and that is what it has to say.
func (a audited) nothingSeen() bool { return a.err != nil && len(a.summary.Sides) == 0 }

// numbers is the table of what was seen and how it was proved.
func (a audited) numbers() string {
	if a.nothingSeen() {
		return ""
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) { fmt.Fprintf(w, "  "+name+"\t"+format+"\n", args...) }
	for _, t := range a.summary.Sides {
		row(string(t.Side), "%s blobs, %s; %s repositories, %s tags, %s manifests",
			humanize.Comma(t.Blobs), bytesOf(t.Bytes), humanize.Comma(t.Repositories), humanize.Comma(t.Tags), humanize.Comma(t.Revisions))
	}
	for _, p := range a.summary.Proof {
		row("proved", "%s blobs, %s, %s", humanize.Comma(p.Blobs), bytesOf(p.Bytes), proofWords[p.How])
	}
	if a.summary.Closures {
		a.closures(row)
	}
	for _, c := range a.summary.Counts {
		mark := "!"
		if c.Severity == report.Notice {
			mark = "note"
		}
		row(mark, "%s: %s, %s", c.Side, c.Kind, humanize.Comma(c.Findings))
	}
	w.Flush() // a strings.Builder takes everything
	return b.String()
}

var proofWords = map[string]string{
	report.ByContent:  "read and hashed now",
	report.ByChecksum: "by the digest that the service keeps",
	report.ByEarlier:  "by the part of this audit that was interrupted",
	report.ByPresence: "by name and size only",
}

func (a audited) closures(row func(name, format string, args ...any)) {
	of := func(name string, p verify.Proved) {
		row(name, "%s of %s have all that a pull needs", humanize.Comma(p.Proved), humanize.Comma(p.All))
	}
	of("tags", a.summary.Tags)
	of("manifests", a.summary.Revisions)
	if a.v.tags != "" {
		of("listed tags", a.summary.Listed)
	}
}

// verdict is the last line.
func (a audited) verdict() string {
	s := a.summary
	switch {
	case a.err != nil:
		return "PARTIAL: stopped before everything was looked at"
	case a.onlyUnproved() && s.Compared:
		return "equal, but NOT PROVED: not one tag or manifest was proved; give the tags of the registry's database with --tags FILE"
	case a.onlyUnproved():
		return "NOT PROVED: no damage was found, but not one tag or manifest was proved; give the tags of the registry's database with --tags FILE"
	case s.Differences() > 0:
		return "DIFFERENT: " + count(s.Differences(), "difference or damage that the source does not have", "differences or damages that the source does not have")
	case s.SourceDamage() > 0 && s.Compared:
		return "equal, but for " + count(s.SourceDamage(), "damage", "damages") + " that the source has already"
	case s.SourceDamage() > 0:
		return "DAMAGED: " + count(s.SourceDamage(), "finding", "findings")
	}
	good := "sound"
	if s.Compared {
		good = "equal, and the destination is sound"
	}
	switch {
	case s.Database:
		return "no damage was found; the tags live in a database, so only the tags and manifests that are counted here were proved"
	case !s.Closures && s.Compared:
		return "equal, as far as was looked: references were not followed"
	case !s.Closures:
		return "nothing is damaged, as far as was looked: references were not followed"
	case s.Tags.All+s.Revisions.All+s.Listed.All == 0:
		return "NOT PROVED: there is no tag and no manifest to prove"
	case s.Closures && s.Tags.Proved+s.Revisions.Proved+s.Listed.Proved < s.Tags.All+s.Revisions.All+s.Listed.All:
		return "no damage was found, but not all tags and manifests were proved; verify again"
	case a.v.options.Level == verify.Presence || unread(s):
		return good + ", but not all blobs' bytes were proved: see --level"
	}
	return good
}

// onlyUnproved says that nothing is wrong but that nothing was proved.
func (a audited) onlyUnproved() bool {
	s := a.summary
	return s.Closures && s.NothingProved() && s.Differences() == 0 && s.SourceDamage() == 1 && s.Of(report.Unproved) > 0
}

// unread says that some blobs were proved by name and size only.
func unread(s verify.Summary) bool {
	for _, p := range s.Proof {
		if p.How == report.ByPresence && p.Blobs > 0 {
			return true
		}
	}
	return false
}

func count(n int64, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return humanize.Comma(n) + " " + more
}
