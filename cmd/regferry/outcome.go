package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/regferry/regferry/migrate"
	"github.com/regferry/regferry/verify/report"
)

// outcome is how it ended, for people and for the report.
type outcome struct {
	m                 *migration
	summary           migrate.Summary
	err               error
	started, finished time.Time
	seen              *recorder
}

// migrateFields are those of a report that only migrate has.
type migrateFields struct {
	DryRun bool             `json:"dry_run"`
	Final  bool             `json:"final"`
	Totals migrate.Totals   `json:"totals"` // of the last pass
	Passes []migrate.Totals `json:"passes"`
}

func (o outcome) fields() migrateFields {
	return migrateFields{DryRun: o.m.dryRun, Final: o.m.options.Final, Totals: o.summary.Last(), Passes: o.summary.Passes}
}

// head is the head of the report.
func (o outcome) head() report.Head {
	h := o.m.head
	h.Complete, h.Metadata, h.Verdict = o.summary.Complete, "storage", o.sentence()
	if o.summary.Database {
		h.Metadata = "database"
	}
	if len(o.summary.Passes) > 0 {
		t := o.summary.Last()
		h.Sides = []report.Totals{{
			Side: report.Source, Repositories: t.Repositories, Tags: t.Tags, Revisions: t.Revisions, Blobs: t.Blobs, Bytes: t.BlobBytes,
		}}
		h.Proof = o.proof()
	}
	return endHead(h, outcomeCode(o.summary), o.err, o.m.sig)
}

// proof says how the blobs at the destination are known to be right.
func (o outcome) proof() []report.Proof {
	t, work := o.summary.Last(), o.work()
	if o.m.dryRun {
		work = migrate.Totals{}
	}
	var all []report.Proof
	for _, p := range []report.Proof{
		{How: report.ByContent, Blobs: work.Copied + work.Replaced - work.ByService - t.Unproved + t.Rechecked},
		{How: report.ByChecksum, Blobs: work.ByService},
		{How: report.ByEarlier, Blobs: o.earlier(t.ProvedBefore)},
		{How: report.ByPresence, Blobs: t.OnTrust + t.Unproved},
	} {
		if p.Side = report.Destination; p.Blobs > 0 {
			all = append(all, p)
		}
	}
	return all
}

// work is what all passes wrote.
func (o outcome) work() (all migrate.Totals) {
	for _, p := range o.summary.Passes {
		all = all.AddWork(p)
	}
	return all
}

// earlier leaves out of a number of the last pass what earlier passes of this
// run wrote.
func (o outcome) earlier(n int64) int64 {
	t, work := o.summary.Last(), o.work()
	return max(0, n-(work.Copied+work.Replaced-t.Copied-t.Replaced))
}

// print says how it went, so that it can be read aloud.
func (o outcome) print(to io.Writer) error {
	if len(o.summary.Passes) == 0 {
		return nil
	}
	_, err := io.WriteString(to, o.seen.text()+o.numbers()+o.verdict()+"\n")
	return err
}

// numbers is the table of what was found and done, empty if nothing was.
func (o outcome) numbers() string {
	if len(o.summary.Passes) == 0 {
		return ""
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	o.table(w)
	w.Flush() // a strings.Builder takes everything
	return b.String()
}

func (o outcome) table(w io.Writer) {
	t, work := o.summary.Last(), o.work()
	verb := "copied"
	if o.m.dryRun {
		verb = "to copy"
	}
	row := func(name, format string, args ...any) { fmt.Fprintf(w, "  "+name+"\t"+format+"\n", args...) }
	row("blobs", "%s at the source, %s", humanize.Comma(t.Blobs), bytesOf(t.BlobBytes))
	row("  "+verb, "%s, %s", humanize.Comma(work.Copied+work.Replaced), bytesOf(work.CopiedBytes))
	if work.ByService > 0 {
		row("  by service", "%s of them, without passing through here", humanize.Comma(work.ByService))
	}
	row("  there", "%s: %s proved by this migration, %s rechecked, %s taken on trust",
		humanize.Comma(o.earlier(t.Present)), humanize.Comma(o.earlier(t.ProvedBefore)), humanize.Comma(t.Rechecked), humanize.Comma(t.OnTrust))
	row("repositories", "%s, with %s tags and %s manifests", humanize.Comma(t.Repositories), humanize.Comma(t.Tags), humanize.Comma(t.Revisions))
	row("  links "+verb, "%s tags, %s others", humanize.Comma(work.TagsWritten), humanize.Comma(work.Links))
	if o.m.dryRun && o.m.free >= 0 {
		row("free there", "%s", bytesOf(o.m.free))
		if lack := t.CopiedBytes + t.UnknownBytes - o.m.free; lack > 0 {
			row("!", "the destination has %s too little", bytesOf(lack))
		}
	}
	if !o.m.dryRun {
		row("  proved now", "%s tags and %s manifests have all that a pull needs", humanize.Comma(work.TagsProved), humanize.Comma(work.RevsProved))
	}
	if o.m.options.Final {
		row("  checked", "%s tags at the destination alone", humanize.Comma(t.TagsChecked))
	}
	for _, c := range []struct {
		n         int64
		one, more string // a word alone stands for that word and the rest of the other
	}{
		{t.Failed, "object", "objects could not be transferred"}, {t.Held, "tag or manifest held back because of that", "tags and manifests held back because of that"},
		{t.Unsettled, "tag", "tags moved faster than they could be copied"}, {t.Vanished, "object", "objects vanished from the source meanwhile"},
		{t.Corrupt, "blob is corrupt at the source, not copied", "blobs are corrupt at the source, not copied"},
		{t.TagsBroken, "tag", "tags cannot be pulled at the source either"},
		{t.RevsBroken, "manifest is incomplete at the source", "manifests are incomplete at the source"},
		{t.Malformed, "link at the source holds no digest, not copied", "links at the source hold no digest, not copied"},
		{t.Withheld, "broken tag or manifest withheld", "broken tags and manifests withheld"}, {t.Damaged, "tag", "tags cannot be pulled at the destination"},
		{t.TagsExtra, "tag is at the destination only", "tags are at the destination only"},
		{t.Unknown, "object", "objects that a registry does not write, carried along"},
		{t.Unproved, "blob", "blobs copied without proof, by their algorithm"}, {t.Uploads + t.Junk, "file", "files of uploads in progress and leftovers skipped"},
	} {
		if c.n == 0 {
			continue
		}
		if _, rest, _ := strings.Cut(c.more, " "); !strings.Contains(c.one, " ") { // the same words follow
			c.one += " " + rest
		}
		row("!", "%s", count(c.n, c.one, c.more))
	}
	passes := "1 pass"
	if n := len(o.summary.Passes); n > 1 {
		passes = fmt.Sprintf("%d passes", n)
	}
	row("time", "%s, %s", o.finished.Sub(o.started).Round(10*time.Millisecond), passes)
}

// verdict is the last line.
func (o outcome) verdict() string {
	t := o.summary.Last()
	switch {
	case o.err != nil && o.m.dryRun:
		return "NOT DONE: stopped before the end; nothing was written"
	case o.err != nil:
		return "NOT DONE: stopped before the end; the same command goes on from here"
	case t.Undone() > 0:
		return "NOT DONE: some things are left; run the same command again"
	case o.m.dryRun:
		return "nothing was written: this was a dry run"
	case t.Damaged > 0:
		return "DONE, but some tags cannot be pulled at the destination"
	case t.SourceDamage() > 0:
		return "done, except for what is damaged at the source"
	case o.summary.Database:
		return "done: all storage is across; the tags live in a database, so what they need could not be proved from here"
	}
	return "done"
}

// sentence is the verdict where nothing else stands beside it.
func (o outcome) sentence() string {
	t := o.summary.Last()
	if v := o.verdict(); v != "done" {
		return v
	}
	return fmt.Sprintf("done: all %s blobs, %s tags and %s manifests of the source are at the destination",
		humanize.Comma(t.Blobs), humanize.Comma(t.Tags), humanize.Comma(t.Revisions))
}
