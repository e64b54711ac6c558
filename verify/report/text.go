package report

import (
	"bufio"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dustin/go-humanize"
)

// Text is the finding for people, with an end of line, safe for a terminal.
func (f Finding) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: %s: %s\n", f.Letter(), f.Side, f.Kind, Name(f.Subject()))
	if f.Expected != "" {
		fmt.Fprintf(&b, "    expected: %s\n", clean(f.Expected))
	}
	if f.Found != "" {
		fmt.Fprintf(&b, "    found: %s\n", clean(f.Found))
	}
	if len(f.Chain) > 1 {
		links := make([]string, len(f.Chain))
		for i, d := range f.Chain {
			links[i] = Name(d.String())
		}
		fmt.Fprintf(&b, "    through: %s\n", strings.Join(links, " -> "))
	}
	if f.Advice != "" {
		fmt.Fprintf(&b, "    %s\n", clean(f.Advice))
	}
	return b.String()
}

// Letter marks a finding as rclone's check marks files: + is at the source
// only, - at the destination only, ! could not be judged, * is anything else
// that is not right.
func (f Finding) Letter() string {
	switch {
	case f.Kind == Extra:
		return "-"
	case f.Kind == Missing && f.Side != Source:
		return "+"
	case f.Kind == Unproved:
		return "!"
	}
	return "*"
}

// Subject is what the finding is about, as it was found.
func (f Finding) Subject() string {
	switch {
	case f.Tag != "":
		return f.Repository + ":" + f.Tag
	case f.Key != "":
		return f.Key
	case f.Repository != "" && f.Digest != "":
		return f.Repository + "@" + f.Digest.String()
	case f.Repository != "":
		return f.Repository
	}
	return f.Digest.String()
}

// Text is the failure for people, with an end of line, safe for a terminal.
func (f Failure) Text() string { return "! " + clean(f.Message) + "\n" }

// Name is a name from a registry, safe for a terminal and unmistakable in a
// line: it is quoted if it has blanks, quotes or anything that is not printed.
func Name(s string) string {
	if s == "" || strings.ContainsAny(s, ` "\`) {
		return strconv.QuoteToGraphic(s)
	}
	return clean(s)
}

// clean is a text safe for a terminal: quoted if it has what moves a cursor or
// turns the direction of writing.
func clean(s string) string {
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) }) {
		return strconv.QuoteToGraphic(s)
	}
	return s
}

func writeText(w *bufio.Writer, s *source) error {
	h := s.head
	fmt.Fprintf(w, "%s %s: report\n", h.Program, h.Command)
	if p := s.partial(); p != "" {
		fmt.Fprintf(w, "%s\n", p)
	}
	for _, fact := range h.facts() {
		fmt.Fprintf(w, "  %-12s %s\n", fact.Name, clean(fact.Value))
	}
	fmt.Fprintf(w, "\n%s", s.summary)
	if s.findings.n+s.failures.n > 0 {
		fmt.Fprintln(w)
	}
	err := decoded(s.failures, func(f Failure) error { _, err := w.WriteString(f.Text()); return err })
	if err != nil {
		return err
	}
	err = decoded(s.findings, func(f Finding) error { _, err := w.WriteString(f.Text()); return err })
	if err != nil {
		return err
	}
	if n := s.omitted(); n > 0 {
		fmt.Fprintf(w, "... and %s more, counted and not kept\n", comma(n))
	}
	if p := s.partial(); p != "" {
		fmt.Fprintf(w, "\n%s", p)
	}
	_, err = fmt.Fprintf(w, "\n%s\n", clean(h.Verdict))
	return err
}

// fact is one line of what a run was.
type fact struct{ Name, Value string }

// facts are those that there are.
func (h Head) facts() []fact {
	metadata := h.Metadata
	if metadata == "database" {
		metadata = "in a database: storage alone does not show all references"
	}
	all := []fact{
		{"source", h.Source}, {"destination", h.Destination}, {"root", h.Root}, {"metadata", metadata},
		{"started", instant(h.Started)}, {"finished", instant(h.Finished)}, {"took", took(h.Started, h.Finished)},
		{"version", strings.TrimSpace(h.Program + " " + h.Version)}, {"options", strings.Join(h.Options, " ")},
		{"exit code", strconv.Itoa(h.ExitCode)}, {"ended by", h.Error},
	}
	kept := all[:0]
	for _, f := range all {
		if f.Value != "" {
			kept = append(kept, f)
		}
	}
	return kept
}

func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

func took(from, to time.Time) string {
	if from.IsZero() || to.Before(from) {
		return ""
	}
	if d := to.Sub(from); d < 10*time.Second {
		return d.Round(10 * time.Millisecond).String()
	}
	return to.Sub(from).Round(time.Second).String()
}

func comma(n int64) string { return humanize.Comma(n) }

func bytesOf(n int64) string { return humanize.IBytes(uint64(max(n, 0))) }
