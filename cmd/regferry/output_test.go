package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/regferry/regferry/migrate"
	"github.com/regferry/regferry/verify/layout/layouttest"
	"github.com/regferry/regferry/verify/report"
)

// output runs the program and returns both streams apart.
func output(t *testing.T, code int, args ...string) (out, errOut string) {
	t.Helper()
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), asProgram+"=1", "XDG_STATE_HOME="+t.TempDir())
	var a, b bytes.Buffer
	c.Stdout, c.Stderr = &a, &b
	if err := c.Run(); err != nil && c.ProcessState == nil {
		t.Fatal(err)
	}
	if c.ProcessState.ExitCode() != code {
		t.Fatalf("exit %d, want %d:\n%s%s", c.ProcessState.ExitCode(), code, &a, &b)
	}
	return a.String(), b.String()
}

// damaged is a small registry with a corrupt layer.
func damaged(t *testing.T) (dir string, hurt layouttest.Hurt) {
	t.Helper()
	return damagedBy(t, "blob-corrupt")
}

func damagedBy(t *testing.T, name string) (dir string, hurt layouttest.Hurt) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "from")
	r, err := layouttest.WriteDir(dir, layouttest.Small(1))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range layouttest.Damages() {
		if d.Name == name {
			hurt, err = d.Apply(dir, r)
		}
	}
	if err != nil || len(hurt.Tags) == 0 {
		t.Fatalf("%+v, %v", hurt, err)
	}
	return dir, hurt
}

// With --log-format json each line on stderr is a record, and stdout has the
// results and nothing of the log.
func TestLogLines(t *testing.T) {
	from, _ := damaged(t)
	to := filepath.Join(t.TempDir(), "to")
	out, errOut := output(t, exitDamage, "migrate", "--from", from, "--to", to, "--log-format", "json", "--log-level", "debug")
	n := 0
	for line := range strings.Lines(errOut) {
		var record struct {
			Time  time.Time `json:"time"`
			Level string    `json:"level"`
			Msg   string    `json:"msg"`
		}
		if err := json.Unmarshal([]byte(line), &record); err != nil || record.Msg == "" || record.Time.IsZero() {
			t.Errorf("%q: %v", line, err)
		}
		n++
	}
	if n < 2 || strings.Contains(out, `"level"`) || !strings.Contains(out, "done, except for what is damaged") {
		t.Errorf("%d records\n%s", n, out)
	}
	out, errOut = output(t, exitDamage, "migrate", "--from", from, "--to", to, "--log-level", "error")
	if errOut != "" || !strings.Contains(out, "done, except for what is damaged") {
		t.Errorf("stderr %q", errOut)
	}
}

// The report holds what a reader of it needs, in fields that are known.
func TestReport(t *testing.T) {
	from, hurt := damaged(t)
	to, path := filepath.Join(t.TempDir(), "to"), filepath.Join(t.TempDir(), "report.json")
	before := time.Now().Add(-time.Second)
	output(t, exitDamage, "migrate", "--from", from, "--to", to, "--final", "--report", path)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var got struct {
		Schema int `json:"schema"`
		report.Head
		migrateFields
		Findings     []report.Finding    `json:"findings"`
		Failures     []report.Failure    `json:"failures"`
		Repositories []report.Repository `json:"repositories"`
	}
	d := json.NewDecoder(f)
	d.DisallowUnknownFields()
	if err := d.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Token(); err != io.EOF {
		t.Errorf("something follows: %v", err)
	}
	if got.Schema != report.Version || got.Program != "regferry" || got.Version == "" || got.Root != "docker/registry/v2" ||
		got.Source != from || got.Destination != to || got.DryRun || !got.Final || !got.Complete || got.Metadata != "storage" || got.Error != "" {
		t.Errorf("%+v", got.Head)
	}
	if got.Started.Before(before) || got.Finished.Before(got.Started) || got.Started.Location() != time.UTC {
		t.Errorf("from %v to %v", got.Started, got.Finished)
	}
	if len(got.Passes) != 2 || got.Totals != got.Passes[1] || got.Totals.Corrupt != 1 || got.Passes[0].Work() == 0 || got.Totals.SourceDamage() == 0 {
		t.Errorf("%+v", got.Passes)
	}
	if len(got.Repositories) != 3 || len(got.Failures) != 0 {
		t.Errorf("%+v, %+v", got.Repositories, got.Failures)
	}
	var tags []string
	for _, f := range got.Findings {
		if f.Side != report.Source || f.Advice == "" || f.Found == "" || f.Key == "" {
			t.Errorf("%+v", f)
		}
		if f.Kind == report.TagIncomplete {
			tags = append(tags, f.Repository+":"+f.Tag)
		}
		if f.Kind == report.ContentCorrupt && f.Digest != hurt.Digest {
			t.Errorf("%+v", f)
		}
	}
	if slices.Sort(tags); !slices.Equal(tags, hurt.Tags) {
		t.Errorf("broken: %q, want %q", tags, hurt.Tags)
	}
}

// What came before goes with a report that is replaced, and a run that fails
// writes one too.
func TestReportOfAFailure(t *testing.T) {
	from, _ := damaged(t)
	path := filepath.Join(t.TempDir(), "report.json")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	parent := filepath.Join(t.TempDir(), "absent", "to")
	output(t, exitSide, "migrate", "--from", from, "--to", parent, "--report", path)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Complete bool             `json:"complete"`
		Error    string           `json:"error"`
		Totals   *migrate.Totals  `json:"totals"`
		Passes   []migrate.Totals `json:"passes"`
	}
	if err := json.Unmarshal(b, &got); err != nil || got.Complete || got.Error == "" || got.Totals == nil || len(got.Passes) != 0 {
		t.Errorf("%s", b)
	}
}
