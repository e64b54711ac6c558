package main

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/location"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/report"
)

// maxShown is how many findings and failures go to the terminal; the report
// has all.
const maxShown = 20

// addReport defines --report, which may be repeated.
func addReport(f *pflag.FlagSet, paths *[]string) {
	f.StringArrayVar(paths, "report", nil, "write a report to `FILE`, by its suffix "+report.Suffixes+"; repeatable")
}

// newHead is what is known of a run before it begins.
func newHead(c *cobra.Command) report.Head {
	return report.Head{
		Program: "regferry", Version: version(), Command: c.Name(), Options: givenOptions(c.Flags()),
		Root: strings.TrimSuffix(layout.Root, "/"), Started: time.Now().UTC(),
	}
}

// givenOptions are the flags that were given, by name, without the secrets
// that a location may have.
func givenOptions(f *pflag.FlagSet) []string {
	var given []string
	f.Visit(func(one *pflag.Flag) {
		values := []string{one.Value.String()}
		if list, ok := one.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		for _, v := range values {
			if one.Value.Type() == "bool" && v == "true" {
				given = append(given, "--"+one.Name)
				continue
			}
			given = append(given, "--"+one.Name+"="+location.Redacted(v))
		}
	})
	return given
}

// endHead says how the run ended. code is the exit code if err is nil.
func endHead(h report.Head, code int, err error, sig *signals) report.Head {
	h.Finished, h.ExitCode = time.Now().UTC(), code
	if err == nil {
		return h
	}
	h.ExitCode, h.Error, h.ErrorClass, h.Complete = exitCode(err, sig), err.Error(), backends.ClassOf(err).Error(), false
	if h.ExitCode == sig.code() {
		h.Error, h.ErrorClass = errInterrupted.Error(), ""
	}
	return h
}

// recorder takes what a run finds: it counts all, keeps the first findings for
// the terminal and passes them on to the reports. The zero value has no
// reports.
type recorder struct {
	limit int64 // most findings that go to the reports, a quarter of them notices; 0: all

	files  *report.Files
	counts report.Tally

	mu       sync.Mutex
	passed   int64 // to the reports
	notices  int64 // of these
	findings []report.Finding
	failures []report.Failure
	more     int
}

// open begins the reports.
func (r *recorder) open(h report.Head, paths []string) error {
	files, err := report.Create(h, paths...)
	if err != nil {
		return usageError{fmt.Errorf("--report: %w", err)}
	}
	r.files = files
	return nil
}

// close writes the reports. summary is what the terminal shows besides the
// findings and the verdict; more has the fields that only this command has.
func (r *recorder) close(h report.Head, summary string, more any) error {
	if r.files == nil {
		return nil
	}
	h.Counts = r.counts.Counts()
	if err := r.files.Close(h, summary, more); err != nil {
		return usageError{err}
	}
	return nil
}

// Reset begins a new pass.
func (r *recorder) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.findings, r.failures, r.more, r.passed, r.notices = nil, nil, 0, 0, 0
	r.counts.Reset()
	if r.files != nil {
		r.files.Reset()
	}
}

// Finding takes a finding; notices go to the report only.
func (r *recorder) Finding(f report.Finding) {
	r.counts.Add(f)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.files != nil && r.pass(f.Severity) {
		r.files.Finding(f)
	}
	switch {
	case f.Severity == report.Notice && f.Kind != report.Extra:
	case len(r.findings) < maxShown:
		r.findings = append(r.findings, f)
	default:
		r.more++
	}
}

// pass says whether a finding goes to the reports. Damage may come after any
// number of notices, so these get a share only.
func (r *recorder) pass(s report.Severity) bool {
	notice := s == report.Notice
	if r.limit > 0 && (r.passed >= r.limit || notice && r.notices >= r.limit/4) {
		return false
	}
	r.passed++
	if notice {
		r.notices++
	}
	return true
}

// Failure takes a failure.
func (r *recorder) Failure(f report.Failure) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.files != nil {
		r.files.Failure(f)
	}
	if len(r.failures) < maxShown {
		r.failures = append(r.failures, f)
	} else {
		r.more++
	}
}

// Repository takes a repository, for the report.
func (r *recorder) Repository(v report.Repository) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.files != nil {
		r.files.Repository(v)
	}
}

// text is the first findings and failures, for the terminal.
func (r *recorder) text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	for _, f := range r.failures {
		b.WriteString(f.Text())
	}
	for _, f := range r.findings {
		b.WriteString(f.Text())
	}
	if r.more > 0 {
		fmt.Fprintf(&b, "... and %s more; --report FILE has all of them\n", humanize.Comma(int64(r.more)))
	}
	return b.String()
}
