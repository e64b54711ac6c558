package checkpoint

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/regferry/regferry/backends"
)

// Summary is what a checkpoint says, for people and, as JSON, for programs.
type Summary struct {
	Path           string         `json:"path"`
	Size           int64          `json:"size"` // of the file, in bytes
	Format         int            `json:"format"`
	Created        time.Time      `json:"created"`
	Identity       Identity       `json:"identity"` // with the scope of the pass
	Pass           Pass           `json:"pass"`
	ShardsStarted  int            `json:"shards_started"`  // in this pass, finished ones too
	ShardsFinished int            `json:"shards_finished"` // 0 of 0 after a complete pass
	Proved         int64          `json:"proved"`          // digests that this migration wrote or proved; a few may count twice
	Totals         Totals         `json:"totals"`
	Uploads        []UploadInfo   `json:"uploads"`
	Failures       int            `json:"failures"` // of this pass
	ByClass        map[string]int `json:"failures_by_class"`
	FirstFailures  []Failure      `json:"first_failures"` // at most 10
	Runs           []Run          `json:"runs"`           // the last 100
}

// Show reads the checkpoint at path without changing it. Its errors are those
// of [Open], a missing file too: a run that has it open makes it a
// *[LockedError].
func Show(path string) (Summary, error) {
	f, err := hold(path, false)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errMoved) {
		err = &AccessError{Path: path, Op: "open", Err: err}
	}
	if err != nil {
		return Summary{}, err
	}
	defer f.Close()
	s, err := readHeld(f, path)
	if err != nil {
		return Summary{}, err
	}
	info, err := f.Stat()
	if err != nil {
		return Summary{}, &AccessError{Path: path, Op: "read", Err: err}
	}
	sum := s.summary()
	sum.Path, sum.Size = path, info.Size()
	return sum, nil
}

func (s *state) summary() Summary {
	id := s.identity
	sum := Summary{
		Format: s.format, Created: id.Created, Pass: s.pass, Proved: s.proved, Totals: s.totals,
		Identity:      Identity{Source: id.Source, Destination: id.Destination, Root: id.Root, Scope: s.pass.Scope},
		ShardsStarted: len(s.shards), Uploads: slices.Collect(maps.Values(s.uploads)),
		Failures: s.failed.Total, ByClass: s.failed.ByClass, FirstFailures: s.first, Runs: s.runs,
	}
	for _, p := range s.shards {
		if p.done {
			sum.ShardsFinished++
		}
	}
	slices.SortFunc(sum.Uploads, func(a, b UploadInfo) int { return cmp.Compare(a.Key, b.Key) })
	return sum
}

// WriteText writes the summary for people. Names that come from a store are
// quoted where a terminal could not take them.
func (s Summary) WriteText(w io.Writer) error {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "checkpoint\t%s, format %d, %s, created %s\n", backends.Printable(s.Path), s.Format, megabytes(s.Size), stamp(s.Created))
	fmt.Fprintf(t, "source\t%s\n", backends.Printable(s.Identity.Source))
	fmt.Fprintf(t, "destination\t%s\n", backends.Printable(s.Identity.Destination))
	fmt.Fprintf(t, "root\t%s\n", backends.Printable(s.Identity.Root))
	fmt.Fprintf(t, "scope\t%s\n", line(cmp.Or(s.Identity.Scope, "everything")))
	fmt.Fprintf(t, "pass\t%s\n", s.passText())
	fmt.Fprintf(t, "written\t%d objects, %s; %d more were there\n", s.Totals.Objects, megabytes(s.Totals.Bytes), s.Totals.Present)
	fmt.Fprintf(t, "proved\t%d blobs\n", s.Proved)
	fmt.Fprintf(t, "unfinished\t%d uploads\n", len(s.Uploads))
	for _, u := range s.Uploads {
		fmt.Fprintf(t, "\t%s at %s, %s\n", backends.Printable(u.Key), megabytes(u.Offset), stamp(u.Saved))
	}
	s.writeFailures(t)
	fmt.Fprintf(t, "runs\t%d\n", len(s.Runs))
	for _, r := range s.Runs {
		fmt.Fprintf(t, "\t%s\n", r.text())
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (s Summary) writeFailures(t io.Writer) {
	var classes []string
	for _, c := range slices.Sorted(maps.Keys(s.ByClass)) {
		classes = append(classes, fmt.Sprintf("%d %s", s.ByClass[c], line(c)))
	}
	fmt.Fprintf(t, "failures\t%d", s.Failures)
	if len(classes) > 0 {
		fmt.Fprintf(t, ": %s", strings.Join(classes, ", "))
	}
	fmt.Fprintln(t)
	for _, f := range s.FirstFailures {
		fmt.Fprintf(t, "\t%s\n", line(f.text()))
	}
	if more := s.Failures - len(s.FirstFailures); more > 0 && len(s.FirstFailures) > 0 {
		fmt.Fprintf(t, "\tand %d more\n", more)
	}
}

func (s Summary) passText() string {
	switch p := s.Pass; {
	case p.Number == 0:
		return "none begun"
	case p.Complete:
		return fmt.Sprintf("%d, begun %s, complete", p.Number, stamp(p.Started))
	case p.Dropped:
		return fmt.Sprintf("%d, begun %s, given up because what is migrated was changed", p.Number, stamp(p.Started))
	default:
		return fmt.Sprintf("%d, begun %s, under way: %d groups of blobs done, %d more begun", p.Number, stamp(p.Started), s.ShardsFinished, s.ShardsStarted-s.ShardsFinished)
	}
}

// text leaves the message, which as a rule repeats the rest, to the end.
func (f Failure) text() string {
	var parts []string
	for _, p := range []string{f.Side, f.Op, f.Class} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	s := strings.Join(parts, " ")
	if f.Key != "" {
		s += " " + backends.Printable(f.Key)
	}
	if f.Message != "" {
		s += ": " + f.Message
	}
	return s
}

func (r Run) text() string {
	s := fmt.Sprintf("%s, process %d on %s", stamp(r.Started), r.PID, backends.Printable(r.Host))
	if r.Version != "" {
		s += ", regferry " + line(r.Version)
	}
	switch {
	case r.Ended.IsZero():
		return s + ": did not say how it ended"
	case r.How == "":
		return s + ": closed " + stamp(r.Ended)
	default:
		return s + ": " + line(r.How) + " " + stamp(r.Ended)
	}
}

// line returns a text fit for one line of a terminal: as it is, or quoted.
func line(s string) string {
	for _, r := range s {
		if r < ' ' || r >= 0x7f {
			return fmt.Sprintf("%+q", s)
		}
	}
	return s
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

func megabytes(n int64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }
