package report

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"strings"
)

var (
	//go:embed assets/page.html
	pageHTML string
	//go:embed assets/page.css
	pageCSS string
	//go:embed assets/page.js
	pageJS string
	//go:embed assets/chartist.min.js
	chartistJS string
	//go:embed assets/chartist.LICENSE
	chartistLicense string
)

// maxOnPage bounds the findings, and the failures, of one page: a browser
// holds them all in memory, about 1 KiB each.
const maxOnPage = 200_000

// view is what the template shows.
type view struct {
	Head
	Policy, Tone, Sign, Partial      string
	Style                            template.CSS
	Chartist, Script                 template.JS
	Glance, Facts                    []fact
	Compared, ProofBytes             bool
	Rows                             []totalsRow
	Proof                            []proofRow
	Counts                           []countRow
	Failures, Omitted, Nothing, Text string
}

type (
	totalsRow struct {
		Name       string
		Values     []string
		Difference string
		Differs    bool
	}
	proofRow struct{ Side, How, Blobs, Bytes string }
	countRow struct{ Kind, Side, Severity, Class, Title, Number string }
)

// writeHTML writes the part before the data, the data from the spool, and the
// scripts that show it.
func writeHTML(w *bufio.Writer, s *source) error {
	t, err := template.New("page").Parse(pageHTML)
	if err != nil {
		return err
	}
	v := newView(s)
	if err := t.ExecuteTemplate(w, "top", v); err != nil {
		return err
	}
	if err := s.writeData(w); err != nil {
		return err
	}
	return t.ExecuteTemplate(w, "bottom", v)
}

// writeData embeds findings as JSON, which json.Marshal wrote without < > & and
// without the line ends of JavaScript: no string in it ends the element.
func (s *source) writeData(w *bufio.Writer) error {
	charts, err := chartsOf(s.repositories)
	if err != nil {
		return err
	}
	type kind struct {
		Kind    string `json:"kind"`
		Title   string `json:"title"`
		Meaning string `json:"meaning"`
	}
	words := []kind{{"not-transferred", "Not transferred", "The object could not be read or written."}}
	for _, k := range kinds {
		words = append(words, kind{string(k.Kind), k.Title, k.Meaning})
	}
	page, err := json.Marshal(struct {
		Kinds  []kind  `json:"kinds"`
		Charts []chart `json:"charts"`
	}{words, charts})
	if err != nil {
		return err
	}
	const begin, end = "<script type=\"application/json\" id=%q>", "</script>\n"
	fmt.Fprintf(w, begin+"%s"+end, "data-page", page)
	fmt.Fprintf(w, begin, "data-failures")
	if err := writeArray(w, s.failures, maxOnPage); err != nil {
		return err
	}
	fmt.Fprintf(w, end+begin, "data-findings")
	if err := writeArray(w, s.findings, maxOnPage); err != nil {
		return err
	}
	_, err = w.WriteString(end)
	return err
}

func newView(s *source) view {
	h := s.head
	h.Verdict, h.Error, h.Version = clean(h.Verdict), clean(h.Error), clean(h.Version)
	library, _, _ := strings.Cut(chartistJS, "//# sourceMappingURL") // would be asked for from a network
	library = "/*! chartist, " + chartistLicense + "*/" + library
	v := view{
		Head: h, Policy: policy(pageCSS, library, pageJS), Partial: s.partial(),
		Style: template.CSS(pageCSS), Chartist: template.JS(library), Script: template.JS(pageJS),
		Compared: len(h.Sides) == 2, Rows: totalsRows(h.Sides), Text: s.summary, Nothing: "None.",
	}
	v.Tone, v.Sign = tone(h)
	v.Options = nil
	for _, o := range h.Options {
		v.Options = append(v.Options, clean(o))
	}
	for _, f := range h.facts() {
		f.Value = clean(f.Value)
		switch f.Name {
		case "source", "destination", "finished", "took":
			v.Glance = append(v.Glance, f)
		case "options", "ended by":
		default:
			v.Facts = append(v.Facts, f)
		}
	}
	for _, p := range h.Proof {
		row := proofRow{Side: string(p.Side), How: p.words(), Blobs: comma(p.Blobs)}
		if p.Bytes > 0 {
			row.Bytes, v.ProofBytes = bytesOf(p.Bytes), true
		}
		v.Proof = append(v.Proof, row)
	}
	for _, c := range h.Counts {
		title := string(c.Kind)
		if i := rank(c.Kind); i < len(kinds) {
			title = kinds[i].Title
		}
		v.Counts = append(v.Counts, countRow{string(c.Kind), string(c.Side), string(c.Severity), string(c.Severity), title, comma(c.Findings)})
	}
	if s.failures.n > 0 {
		v.Failures = comma(s.failures.n)
	}
	if n := s.omitted() + max(0, s.findings.n-maxOnPage); n > 0 {
		v.Omitted = comma(n)
	}
	if v.Partial != "" {
		v.Nothing = "None so far."
	}
	return v
}

// policy allows the page its own style and scripts, by their hashes, and
// nothing else: no other script, no request. Attributes of style are set by the
// chart library.
func policy(style string, scripts ...string) string {
	hash := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "default-src 'none'; img-src data:; style-src-elem %s; style-src-attr 'unsafe-inline'; base-uri 'none'; form-action 'none'; script-src", hash(style))
	for _, s := range scripts {
		b.WriteString(" " + hash(s))
	}
	return b.String()
}

// tone is the colour of the verdict and a sign that does not need one.
func tone(h Head) (class, sign string) {
	switch {
	case h.ExitCode == 0 && h.Complete:
		return "good", "\u2713"
	case h.ExitCode == 0, h.ExitCode == 4, h.ExitCode >= 128: // the source's damage, or interrupted
		return "warn", "!"
	}
	return "bad", "\u2717"
}

func totalsRows(sides []Totals) []totalsRow {
	var rows []totalsRow
	for _, r := range []struct {
		name string
		of   func(Totals) int64
		text func(int64) string
	}{
		{"repositories", func(t Totals) int64 { return t.Repositories }, comma},
		{"tags", func(t Totals) int64 { return t.Tags }, comma},
		{"manifests", func(t Totals) int64 { return t.Revisions }, comma},
		{"blobs", func(t Totals) int64 { return t.Blobs }, comma},
		{"bytes", func(t Totals) int64 { return t.Bytes }, bytesOf},
	} {
		row := totalsRow{Name: r.name}
		for _, t := range sides {
			row.Values = append(row.Values, r.text(r.of(t)))
		}
		if len(sides) == 2 {
			switch more := r.of(sides[1]) - r.of(sides[0]); {
			case more == 0:
				row.Difference = "none"
			case more > 0:
				row.Difference, row.Differs = "+"+r.text(more), true
			default:
				row.Difference, row.Differs = "\u2212"+r.text(-more), true
			}
		}
		rows = append(rows, row)
	}
	return rows
}

func (p Proof) words() string {
	switch p.How {
	case ByContent:
		return "by their content"
	case ByChecksum:
		return "by the service's checksum"
	case ByEarlier:
		return "by an earlier run"
	case ByPresence:
		return "present with the right size, content not looked at"
	}
	return clean(p.How)
}
