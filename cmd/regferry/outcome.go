package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/location"
	"github.com/regferry/regferry/migrate"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/report"
)

// maxShown is how many findings and failures go to the terminal; the report
// has all.
const maxShown = 20

// recorder keeps the first findings for the terminal and passes all on to the
// report, if there is one.
type recorder struct {
	file *report.File

	mu       sync.Mutex
	findings []report.Finding
	failures []report.Failure
	more     int
}

// Reset begins a new pass.
func (r *recorder) Reset() {
	r.mu.Lock()
	r.findings, r.failures, r.more = nil, nil, 0
	r.mu.Unlock()
	if r.file != nil {
		r.file.Reset()
	}
}

// Finding takes a finding; notices go to the report only.
func (r *recorder) Finding(f report.Finding) {
	if r.file != nil {
		r.file.Finding(f)
	}
	if f.Severity == report.Notice && f.Kind != report.Extra {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.findings) < maxShown {
		r.findings = append(r.findings, f)
	} else {
		r.more++
	}
}

// Failure takes a failure.
func (r *recorder) Failure(f report.Failure) {
	if r.file != nil {
		r.file.Failure(f)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.failures) < maxShown {
		r.failures = append(r.failures, f)
	} else {
		r.more++
	}
}

// Repository takes a repository, for the report.
func (r *recorder) Repository(v report.Repository) {
	if r.file != nil {
		r.file.Repository(v)
	}
}

// outcome is how it ended, for people and for the report.
type outcome struct {
	m                 *migration
	summary           migrate.Summary
	err               error
	started, finished time.Time
	seen              *recorder
}

// document is the head of the report.
type document struct {
	Program     string           `json:"program"`
	Version     string           `json:"version"`
	Root        string           `json:"root"`
	Source      string           `json:"source"`
	Destination string           `json:"destination"`
	Started     time.Time        `json:"started"`
	Finished    time.Time        `json:"finished"`
	DryRun      bool             `json:"dry_run"`
	Final       bool             `json:"final"`
	Complete    bool             `json:"complete"` // the last pass looked at everything
	Metadata    string           `json:"metadata"` // storage or database
	Error       string           `json:"error,omitempty"`
	ErrorClass  string           `json:"error_class,omitempty"`
	Totals      migrate.Totals   `json:"totals"` // of the last pass
	Passes      []migrate.Totals `json:"passes"`
}

func (o outcome) document() document {
	d := document{
		Program: "regferry", Version: version(), Root: strings.TrimSuffix(layout.Root, "/"),
		Source: location.Redacted(o.m.from), Destination: location.Redacted(o.m.to), Started: o.started.UTC(), Finished: o.finished.UTC(),
		DryRun: o.m.dryRun, Final: o.m.options.Final, Complete: o.summary.Complete && o.err == nil,
		Metadata: "storage", Totals: o.summary.Last(), Passes: o.summary.Passes,
	}
	if o.summary.Database {
		d.Metadata = "database"
	}
	if o.err != nil {
		d.Error, d.ErrorClass = o.err.Error(), backends.ClassOf(o.err).Error()
	}
	return d
}

// print says how it went, so that it can be read aloud.
func (o outcome) print(to io.Writer) error {
	if len(o.summary.Passes) == 0 {
		return nil
	}
	var b strings.Builder
	o.findings(&b)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	o.table(w)
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(&b, o.verdict())
	_, err := io.WriteString(to, b.String())
	return err
}

func (o outcome) findings(b *strings.Builder) {
	o.seen.mu.Lock()
	defer o.seen.mu.Unlock()
	for _, f := range o.seen.failures {
		fmt.Fprintf(b, "! %s\n", f.Message)
	}
	for _, f := range o.seen.findings {
		fmt.Fprintf(b, "%s %s: %s: %s\n", letter(f), f.Side, f.Kind, backends.Printable(subject(f)))
		if f.Found != "" {
			fmt.Fprintf(b, "    found: %s\n", f.Found)
		}
		fmt.Fprintf(b, "    %s\n", f.Advice)
	}
	if o.seen.more > 0 {
		fmt.Fprintf(b, "... and %s more; --report FILE has all of them\n", humanize.Comma(int64(o.seen.more)))
	}
}

// letter marks a finding as rclone's check marks files.
func letter(f report.Finding) string {
	if f.Kind == report.Extra {
		return "-"
	}
	return "*"
}

func subject(f report.Finding) string {
	if f.Tag != "" {
		return f.Repository + ":" + f.Tag
	}
	return f.Key
}

func (o outcome) table(w io.Writer) {
	t, work := o.summary.Last(), migrate.Totals{}
	for _, p := range o.summary.Passes {
		work = work.AddWork(p)
	}
	verb := "copied"
	if o.m.dryRun {
		verb = "to copy"
	}
	row := func(name, format string, args ...any) { fmt.Fprintf(w, "  "+name+"\t"+format+"\n", args...) }
	row("blobs", "%s at the source, %s", humanize.Comma(t.Blobs), bytesOf(t.BlobBytes))
	row("  "+verb, "%s, %s", humanize.Comma(work.Copied+work.Replaced), bytesOf(work.CopiedBytes))
	row("  there", "%s: %s proved by this migration, %s rechecked, %s taken on trust",
		humanize.Comma(t.Present), humanize.Comma(t.ProvedBefore), humanize.Comma(t.Rechecked), humanize.Comma(t.OnTrust))
	row("repositories", "%s, with %s tags and %s manifests", humanize.Comma(t.Repositories), humanize.Comma(t.Tags), humanize.Comma(t.Revisions))
	row("  links "+verb, "%s tags, %s others", humanize.Comma(work.TagsWritten), humanize.Comma(work.Links))
	if !o.m.dryRun {
		row("  proved now", "%s tags and %s manifests have all that a pull needs", humanize.Comma(work.TagsProved), humanize.Comma(work.RevsProved))
	}
	if o.m.options.Final {
		row("  checked", "%s tags at the destination alone", humanize.Comma(t.TagsChecked))
	}
	for _, c := range []struct {
		n    int64
		text string
	}{
		{t.Failed, "objects could not be transferred"}, {t.Held, "tags and manifests held back because of them"},
		{t.Unsettled, "tags moved faster than they could be copied"}, {t.Vanished, "objects vanished from the source meanwhile"},
		{t.Corrupt, "blobs are corrupt at the source, not copied"}, {t.TagsBroken, "tags cannot be pulled at the source either"},
		{t.RevsBroken, "manifests are incomplete at the source"}, {t.Malformed, "links at the source hold no digest, not copied"},
		{t.Withheld, "broken tags and manifests withheld"}, {t.Damaged, "tags cannot be pulled at the destination"},
		{t.TagsExtra, "tags are at the destination only"}, {t.Unknown, "objects that a registry does not write, carried along"},
		{t.Unproved, "blobs copied without proof, by their algorithm"}, {t.Uploads + t.Junk, "uploads in progress and leftovers skipped"},
	} {
		if c.n > 0 {
			row("!", "%s %s", humanize.Comma(c.n), c.text)
		}
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
