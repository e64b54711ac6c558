package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
)

// document is what a reader of the report sees.
type document struct {
	Schema int `json:"schema"`
	Head
	Extra        string
	Findings     []Finding
	Failures     []Failure
	Repositories []Repository
}

// extra is what a command adds.
type extra struct {
	Extra string `json:"extra"`
}

var (
	summary = Head{
		Program: "regferry", Version: "v1", Command: "verify", Root: "docker/registry/v2", Source: "/from", Metadata: "storage",
		Started: time.Unix(1700000000, 0).UTC(), Finished: time.Unix(1700000100, 0).UTC(), Complete: true, Verdict: "Sound.",
	}
	more = extra{"more"}
)

func readBack(t *testing.T, path string) document {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d := json.NewDecoder(f)
	d.DisallowUnknownFields()
	var got document
	if err := d.Decode(&got); err != nil {
		t.Fatal(err)
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		t.Errorf("something follows the document: %v", err)
	}
	return got
}

// names lists a directory.
func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func create(t *testing.T, path string) *Files {
	t.Helper()
	f, err := Create(summary, path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

var (
	fullFinding = Finding{
		Kind: TagIncomplete, Side: Source, Severity: Damage, Key: "k", Repository: "r", Tag: "t", Digest: digest.FromString("d"),
		Expected: "e", Found: "f", Chain: []digest.Digest{digest.FromString("a"), digest.FromString("b")}, Advice: "do",
	}
	fullFailure    = Failure{Side: "destination", Op: "put", Key: "k", Class: "denied", Message: "no"}
	fullRepository = Repository{Name: "n", Objects: 9, Bytes: 10, Tags: 1, Revisions: 2, Layers: 3, Proved: 4, Written: 5, Broken: 6, Held: 7, Unsettled: 8}
)

func TestFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "r.json")
	f := create(t, path)
	for i := range 3 { // mixed, to be sorted into their sections
		f.Repository(fullRepository)
		finding := fullFinding
		finding.Tag = fmt.Sprint(i)
		f.Finding(finding)
		f.Failure(fullFailure)
	}
	if left := names(t, dir); len(left) != 0 {
		t.Errorf("before it is whole there is %q", left)
	}
	if err := f.Close(summary, "  blobs  1\n", more); err != nil {
		t.Fatal(err)
	}
	got := readBack(t, path)
	if got.Schema != Version || !reflect.DeepEqual(got.Head, summary) || got.Extra != more.Extra {
		t.Errorf("%+v", got)
	}
	if len(got.Findings) != 3 || got.Findings[2].Tag != "2" || len(got.Failures) != 3 || len(got.Repositories) != 3 {
		t.Fatalf("%+v", got)
	}
	got.Findings[0].Tag = fullFinding.Tag
	if !reflect.DeepEqual(got.Findings[0], fullFinding) || got.Failures[0] != fullFailure || got.Repositories[0] != fullRepository {
		t.Errorf("%+v", got)
	}
	if left := names(t, dir); len(left) != 1 {
		t.Errorf("beside the report there is %q", left)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode() != 0o644 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// No field may be lost on the way, whatever is added later.
func TestEveryFieldIsUsed(t *testing.T) {
	for _, v := range []any{fullFinding, fullFailure, fullRepository} {
		for i, r := 0, reflect.ValueOf(v); i < r.NumField(); i++ {
			if r.Field(i).IsZero() {
				t.Errorf("the test has no %s.%s", r.Type().Name(), r.Type().Field(i).Name)
			}
		}
	}
}

// A report without anything has its sections all the same.
func TestEmptyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.json")
	if err := create(t, path).Close(summary, "  blobs  1\n", more); err != nil {
		t.Fatal(err)
	}
	got := readBack(t, path)
	if got.Findings == nil || got.Failures == nil || got.Repositories == nil {
		t.Errorf("%+v", got)
	}
}

func TestReset(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.json")
	f := create(t, path)
	for range 2 {
		for range 10_000 { // more than is buffered
			f.Finding(Finding{Advice: "of an earlier pass"})
		}
		f.Failure(fullFailure)
		f.Reset()
	}
	f.Reset()
	f.Finding(Finding{Advice: "of the last pass"})
	if err := f.Close(summary, "  blobs  1\n", more); err != nil {
		t.Fatal(err)
	}
	got := readBack(t, path)
	if len(got.Findings) != 1 || got.Findings[0].Advice != "of the last pass" || len(got.Failures) != 0 {
		t.Errorf("%d findings, %d failures", len(got.Findings), len(got.Failures))
	}
}

// Strings from a registry may hold anything, and come back as far as JSON can
// hold them.
func TestHostileStrings(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.json")
	hostile := []string{
		`"}],"findings":[{"kind":"`, "\x00\x01\x1b[31m", "a\nb\r\n", "</script>\u2028", strings.Repeat("x", 1<<20), "漢字 \U0001f433", `\`, `\u0000`,
	}
	f := create(t, path)
	for _, s := range hostile {
		f.Finding(Finding{Key: s, Found: s})
		f.Failure(Failure{Key: s, Message: s})
	}
	f.Finding(Finding{Key: "not \xff UTF-8"})
	if err := f.Close(summary, "  blobs  1\n", more); err != nil {
		t.Fatal(err)
	}
	got := readBack(t, path)
	if len(got.Findings) != len(hostile)+1 || len(got.Failures) != len(hostile) {
		t.Fatalf("%d findings, %d failures", len(got.Findings), len(got.Failures))
	}
	for i, s := range hostile {
		if got.Findings[i].Key != s || got.Findings[i].Found != s || got.Failures[i].Message != s {
			t.Errorf("%.40q came back as %.40q", s, got.Findings[i].Key)
		}
	}
	if k := got.Findings[len(hostile)].Key; k != "not \ufffd UTF-8" {
		t.Errorf("%q", k)
	}
}

func TestConcurrentAdds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.json")
	f := create(t, path)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 500 {
				f.Finding(Finding{Key: fmt.Sprint(i, j)})
				f.Repository(Repository{Name: fmt.Sprint(i, j)})
			}
		})
	}
	wg.Wait()
	if err := f.Close(summary, "  blobs  1\n", more); err != nil {
		t.Fatal(err)
	}
	if got := readBack(t, path); len(got.Findings) != 4000 || len(got.Repositories) != 4000 {
		t.Errorf("%d findings, %d repositories", len(got.Findings), len(got.Repositories))
	}
}

// A failed report leaves the old one.
func TestReplacement(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "r.json")
	const old = "an old report"
	if err := os.WriteFile(path, []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	is := func(when, want string) {
		t.Helper()
		if b, err := os.ReadFile(path); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", when, b, err)
		}
		if left := names(t, dir); len(left) != 1 {
			t.Errorf("%s: there is %q", when, left)
		}
	}
	f := create(t, path)
	f.Finding(fullFinding)
	is("while it is made", old)
	for _, bad := range []any{[]int{1}, "text", 1, map[string]any{"f": func() {}}} {
		if err := create(t, path).Close(summary, "", bad); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("an addition of %T: %v", bad, err)
		}
		is(fmt.Sprintf("after an addition of %T", bad), old)
	}
	if err := f.Close(summary, "  blobs  1\n", more); err != nil {
		t.Fatal(err)
	}
	if got := readBack(t, path); len(got.Findings) != 1 {
		t.Errorf("%+v", got)
	}
	if left := names(t, dir); len(left) != 1 {
		t.Errorf("there is %q", left)
	}
}

func TestCreateWhereNothingCanBe(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "absent", "r.json"), filepath.Join(file, "r.json"), "/proc/r.json"} {
		if _, err := Create(summary, path); err == nil {
			t.Errorf("%s: created", path)
		}
	}
}

// The place goes away, or becomes a directory, while the run goes on.
func TestCloseWhereNothingCanBe(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sub")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	f := create(t, filepath.Join(dir, "r.json"))
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(summary, "  blobs  1\n", more); err == nil {
		t.Error("the directory is gone and nobody said so")
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	f = create(t, filepath.Join(dir, "r.json"))
	if err := os.Mkdir(filepath.Join(dir, "r.json"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(summary, "", nil); err == nil {
		t.Error("a directory was replaced")
	}
	if left := names(t, dir); len(left) != 1 {
		t.Errorf("there is %q", left)
	}
}

// What cannot be spooled is said at the end; the run goes on.
func TestFailedAdd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.json")
	f := create(t, path)
	f.findings.file.Close()
	for range 10_000 {
		f.Finding(fullFinding)
	}
	if err := f.Close(summary, "  blobs  1\n", more); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a report was made all the same: %v", err)
	}
}

// A hundred thousand findings are 8 MB on disk and next to nothing in memory.
func TestManyFindings(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r.json")
	f := create(t, path)
	const n = 100_000
	before := heap()
	most := uint64(0)
	for i := range n {
		f.Finding(Finding{Kind: Missing, Side: Source, Severity: Damage, Key: fmt.Sprint("some/key/", i)})
		if i%20_000 == 0 {
			most = max(most, heap()-min(before, heap()))
		}
	}
	var peak sampler
	stop := peak.start()
	if err := f.Close(summary, "  blobs  1\n", more); err != nil {
		t.Fatal(err)
	}
	stop()
	most = max(most, peak.most-min(before, peak.most))
	if most > 4<<20 {
		t.Errorf("%d KiB of memory for %d findings", most>>10, n)
	}
	info, err := os.Stat(path)
	if err != nil || info.Size() < 8_000_000 {
		t.Fatalf("%v, %v", info, err)
	}
	if got := readBack(t, path); len(got.Findings) != n {
		t.Errorf("%d findings", len(got.Findings))
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// sampler looks at the live heap from time to time.
type sampler struct{ most uint64 }

func (s *sampler) start() (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-time.After(50 * time.Millisecond):
				s.most = max(s.most, heap())
			}
		}
	}()
	return func() { close(done); <-ended }
}
