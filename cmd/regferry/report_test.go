//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/regferry/regferry/migrate"
	"github.com/regferry/regferry/verify/layout/layouttest"
	"github.com/regferry/regferry/verify/report"
)

// fitsSchema holds a JSON report to the published schema.
func fitsSchema(t *testing.T, path string) {
	t.Helper()
	parse := func(b []byte) any {
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("report", parse(report.Schema)); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("report")
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(parse(b)); err != nil {
		t.Errorf("%#v\n%.300s", err, b)
	}
}

func headOf(t *testing.T, path string) (h report.Head) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &h); err != nil {
		t.Fatal(err)
	}
	return h
}

// Real reports, of runs that ended in different ways, are what the schema says.
func TestReportsFitTheSchema(t *testing.T) {
	from, _ := damaged(t)
	dir := t.TempDir()
	to := filepath.Join(dir, "to")
	for _, c := range []struct {
		name string
		code int
		to   string
		more []string
	}{
		{"dry", exitDone, to, []string{"--dry-run"}},
		{"damage", exitDamage, to, nil},
		{"final", exitDamage, to, []string{"--final", "--recheck-existing"}},
		{"unreachable", exitSide, filepath.Join(dir, "no", "parent"), nil},
		{"nothing", exitUsage, to, []string{"--repository", "no/such", "--takeover"}},
	} {
		path := filepath.Join(dir, c.name+".json")
		output(t, c.code, append([]string{"migrate", "--from", from, "--to", c.to, "--report", path, "--report", filepath.Join(dir, c.name+".html")}, c.more...)...)
		fitsSchema(t, path)
		h := headOf(t, path)
		if h.Complete != (c.code == exitDone || c.code == exitDamage) || h.ExitCode != c.code || h.Command != "migrate" || h.Verdict == "" || h.Finished.Before(h.Started) {
			t.Errorf("%s: %+v", c.name, h)
		}
		if c.name == "damage" {
			var source, proved int64
			for _, s := range h.Sides {
				source += s.Blobs
			}
			for _, p := range h.Proof {
				proved += p.Blobs
			}
			if source == 0 || proved != source-1 || len(h.Counts) == 0 || h.Options[0] != "--from="+from {
				t.Errorf("%+v", h)
			}
		}
	}
}

// So are those of verify, of one side and of two.
func TestReportsOfVerifyFitTheSchema(t *testing.T) {
	from, _ := damaged(t)
	dir := t.TempDir()
	to := filepath.Join(dir, "to")
	output(t, exitDamage, "migrate", "--from", from, "--to", to)
	for name, sides := range map[string][]string{"one": {"--on", from}, "two": {"--from", from, "--to", to}} {
		path := filepath.Join(dir, name+".json")
		output(t, exitDamage, append([]string{"verify", "--level", "content", "--report", path, "--report", filepath.Join(dir, name+".html")}, sides...)...)
		fitsSchema(t, path)
		if h := headOf(t, path); !h.Complete || h.Command != "verify" || len(h.Sides) == 0 || len(h.Counts) == 0 {
			t.Errorf("%s: %+v", name, h)
		}
	}
}

// So are those of inspect, and what it writes for programs but for the findings.
func TestReportsOfInspectFitTheSchema(t *testing.T) {
	from, _ := damagedBy(t, "layer-link-missing")
	dir := t.TempDir()
	path := filepath.Join(dir, "survey.json")
	out, _ := output(t, exitDamage, "inspect", from, "--json", "--report", path, "--report", filepath.Join(dir, "survey.html"), "--report", filepath.Join(dir, "survey.txt"))
	fitsSchema(t, path)
	if written, err := os.ReadFile(path); err != nil || out != string(written) {
		t.Errorf("%v; stdout is not the report:\n%.300s", err, out)
	}
	if h := headOf(t, path); h.Command != "inspect" || h.ExitCode != exitDamage || len(h.Counts) == 0 {
		t.Errorf("%+v", h)
	}
}

// The options of a report are as they were given, without what is secret.
func TestOptionsHaveNoSecrets(t *testing.T) {
	sig := newSignals()
	defer sig.close()
	c := newMigrate(sig, new(int))
	err := c.ParseFlags([]string{
		"--from", "s3://KEY:hunter2@bucket/x?region=eu&secret=hunter2", "--to=/to", "--repository", "a,b", "--repository", "c/**", "--final", "--dry-run=false",
		"--memory", "64MiB", "--report", "a.json", "--report", "b.html",
	})
	if err != nil {
		t.Fatal(err)
	}
	got := newHead(c).Options
	want := []string{
		"--dry-run=false", "--final", "--from=s3://...@bucket/x?region=eu&secret=...", "--memory=64 MiB", "--report=a.json", "--report=b.html",
		"--repository=a,b", "--repository=c/**", "--to=/to",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// An interrupted run leaves its report, which says that it is partial.
func TestReportOfAnInterruption(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the program")
	}
	dir := fastDir(t, 100<<20)
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	if _, err := layouttest.WriteDir(from, layouttest.Shape{Seed: 3, Repositories: 2, Tags: 10, Layers: 3, MinLayer: 100_000, MaxLayer: 1_000_000}); err != nil {
		t.Fatal(err)
	}
	args := []string{"migrate", "--from", from, "--to", to, "--checkpoint", filepath.Join(dir, "state"), "--bandwidth", "4MiB"}
	for _, suffix := range []string{"txt", "json", "jsonl", "html", "xml"} {
		args = append(args, "--report", filepath.Join(dir, "r."+suffix))
	}
	p := launch(t, args...)
	for len(blobsOf(to)) == 0 {
		if !p.running(10 * time.Millisecond) {
			t.Fatalf("it ended before it was interrupted:\n%s", p.out)
		}
	}
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	p.end(t, 130)
	fitsSchema(t, filepath.Join(dir, "r.json"))
	if h := headOf(t, filepath.Join(dir, "r.json")); h.Complete || h.ExitCode != 130 || h.Error == "" {
		t.Errorf("%+v", h)
	}
	for name, says := range map[string]string{"r.txt": "PARTIAL", "r.jsonl": `"type":"end"`, "r.html": "PARTIAL", "r.xml": "PARTIAL"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !strings.Contains(string(b), says) {
			t.Errorf("%s does not say %q, %v", name, says, err)
		}
	}
}

// However many notices come first, damage has its place in a report.
func TestRecorderLimitOfNotices(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.json")
	r := &recorder{limit: 8}
	h := report.Head{Program: "regferry", Command: "verify", Verdict: "v", Metadata: "storage", Complete: true}
	if err := r.open(h, []string{path}); err != nil {
		t.Fatal(err)
	}
	for _, s := range []report.Severity{report.Notice, report.Warning, report.Damage} {
		for range 4 {
			r.Finding(report.Finding{Kind: report.Unproved, Side: report.Source, Severity: s, Key: "k"})
		}
	}
	if err := r.close(h, "", nil); err != nil {
		t.Fatal(err)
	}
	var got struct{ Findings []report.Finding }
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	kept := map[report.Severity]int{}
	for _, f := range got.Findings {
		kept[f.Severity]++
	}
	if kept[report.Notice] != 2 || kept[report.Warning] != 4 || kept[report.Damage] != 2 {
		t.Errorf("%v", kept)
	}
}

// What is beyond the limit is counted and not kept.
func TestRecorderLimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.json")
	r := &recorder{limit: 3}
	h := report.Head{Program: "regferry", Command: "verify", Verdict: "v", Metadata: "storage", Complete: true}
	if err := r.open(h, []string{path}); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second pass counts anew
		r.Reset()
		for range 30 {
			r.Finding(report.Finding{Kind: report.Missing, Side: report.Source, Severity: report.Damage, Key: "k"})
		}
	}
	if err := r.close(h, "", migrateFields{Passes: []migrate.Totals{}}); err != nil {
		t.Fatal(err)
	}
	var got struct{ Findings []report.Finding }
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if h := headOf(t, path); len(got.Findings) != 3 || len(h.Counts) != 1 || h.Counts[0].Findings != 30 {
		t.Errorf("%d kept, %+v", len(got.Findings), h.Counts)
	}
	if text := r.text(); strings.Count(text, "missing") != maxShown || !strings.Contains(text, "... and 10 more") {
		t.Error(text)
	}
}
