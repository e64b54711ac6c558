package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/opencontainers/go-digest"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// hostile are names that would do something if they were not escaped.
var hostile = []string{
	`<script>window.hurt=1</script>`, `</script><script>window.hurt=2</script>`, `<!--`, `]]>`, `"onmouseover="window.hurt=3`, `' onclick='window.hurt=4`,
	"\x1b[31mred\x1b[0m", "a\nb\r\n\x00\x07", "\u202egnp.exe", "a\u2028b\u2029c", `<img src=x onerror=window.hurt=5>`, `javascript:window.hurt=6`, `{{.}}`, `\u003cscript`,
	"&lt;b&gt;&amp;", "not \xff UTF-8", "漢字 \U0001f433", `=HYPERLINK("http://127.0.0.1/")`, strings.Repeat("long/", 60) + "name", strings.Repeat("x", 300),
}

// all five formats of one run.
func writeAll(t testing.TB, h Head, summary string, fill func(*Files)) (dir string) {
	t.Helper()
	dir = t.TempDir()
	var paths []string
	for _, suffix := range []string{"txt", "json", "jsonl", "html", "xml"} {
		paths = append(paths, filepath.Join(dir, "r."+suffix))
	}
	f, err := Create(h, paths...)
	if err != nil {
		t.Fatal(err)
	}
	fill(f)
	if err := f.Close(h, summary, more); err != nil {
		t.Fatal(err)
	}
	return dir
}

func read(t testing.TB, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// one finding of each kind, side and severity, and each hostile name in every
// field.
func fillEverything(f *Files, tally *Tally) {
	add := func(v Finding) {
		tally.Add(v)
		f.Finding(v)
	}
	for _, k := range kinds {
		for i, severity := range severities {
			add(Finding{Kind: k.Kind, Side: []Side{Source, Transfer, Destination}[i], Severity: severity, Repository: "team/app", Tag: "v1",
				Digest: digest.FromString("d"), Expected: "10 bytes", Found: "9 bytes", Advice: "Push it again."})
		}
	}
	for _, s := range hostile {
		add(Finding{Kind: Missing, Side: Source, Severity: Damage, Key: s, Expected: s, Found: s, Advice: s, Chain: []digest.Digest{digest.Digest(s), "b"}})
		add(Finding{Kind: TagIncomplete, Side: Destination, Severity: Warning, Repository: s, Tag: s, Digest: digest.Digest(s)})
		f.Failure(Failure{Side: "source", Op: s, Key: s, Class: s, Message: s})
		f.Repository(Repository{Name: s, Bytes: 1, Objects: 1, Tags: 1})
	}
}

func TestEveryFormatWithHostileNames(t *testing.T) {
	var tally Tally
	h := summary
	h.Source, h.Verdict, h.Options = hostile[1], hostile[1], hostile
	dir := writeAll(t, h, "  blobs  1\n", func(f *Files) { fillEverything(f, &tally) })

	if text := read(t, dir, "r.txt"); strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsGraphic(r) }) {
		t.Errorf("the text moves the cursor: %q", text)
	}
	valid(t, dir)
	suites := junit(t, read(t, dir, "r.xml"))
	findings := len(kinds)*len(severities) + 2*len(hostile)
	if want := 2 + findings + len(hostile); suites.Tests != want || suites.Errors != len(hostile) || suites.Failures != findings-len(kinds) {
		t.Errorf("%+v, want %d tests", suites, want)
	}
	page := read(t, dir, "r.html")
	if n := strings.Count(page, "<script"); n != strings.Count(page, "</script") || n != 5 {
		t.Errorf("%d scripts begin", n)
	}
	for _, s := range []string{"<!--", "<img", "\u2028", "onmouseover=\"", "\x1b"} {
		if strings.Contains(page, s) {
			t.Errorf("the page has %q", s)
		}
	}
}

// A report that is not complete says so in each format, and so does one whose
// file of lines was never ended.
func TestPartial(t *testing.T) {
	h := summary
	h.Complete, h.ExitCode, h.Error, h.ErrorClass, h.Verdict = false, 130, "interrupted", "transient", "Not finished."
	dir := writeAll(t, h, "", func(f *Files) {
		f.Finding(fullFinding)
		lines := strings.Split(strings.TrimSpace(read(t, filepath.Dir(f.live[0].path), "r.jsonl.partial")), "\n")
		if len(lines) != 2 || !strings.Contains(lines[0], `"complete":false`) || !strings.HasPrefix(lines[1], `{"type":"finding"`) {
			t.Errorf("while it grows: %q", lines)
		}
	})
	for name, want := range map[string]string{
		"r.txt": "\nPARTIAL: ", "r.json": `"complete": false`, "r.jsonl": `"complete":false`, "r.html": "PARTIAL", "r.xml": `<error message="PARTIAL: `,
	} {
		if !strings.Contains(read(t, dir, name), want) {
			t.Errorf("%s does not say that it is partial", name)
		}
	}
	if got := names(t, dir); len(got) != 5 {
		t.Errorf("%q", got)
	}
	valid(t, dir)
	whole := writeAll(t, summary, "", func(*Files) {})
	for _, name := range []string{"r.txt", "r.html", "r.xml"} {
		if strings.Contains(read(t, whole, name), "PARTIAL") {
			t.Errorf("%s says that it is partial", name)
		}
	}
	if suites := junit(t, read(t, whole, "r.xml")); suites.Tests != 2 || suites.Failures+suites.Errors != 0 {
		t.Errorf("%+v", suites)
	}
}

// valid holds the JSON report to the schema, and each JSON line to its part.
func valid(t *testing.T, dir string) {
	t.Helper()
	parse := func(b []byte) any {
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			t.Fatalf("%v in %.200s", err, b)
		}
		return v
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	const name = "schema.json"
	if err := c.AddResource(name, parse(Schema)); err != nil {
		t.Fatal(err)
	}
	check := func(part string, b []byte) {
		schema, err := c.Compile(name + part)
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(parse(b)); err != nil {
			t.Errorf("%s: %#v\n%.200s", part, err, b)
		}
	}
	check("", []byte(read(t, dir, "r.json")))
	var types []string
	for line := range strings.Lines(read(t, dir, "r.jsonl")) {
		var of struct{ Type string }
		if err := json.Unmarshal([]byte(line), &of); err != nil {
			t.Fatal(err)
		}
		types = append(types, of.Type)
		part := of.Type
		if part == "end" {
			part = "head"
		}
		check("#/$defs/"+part, []byte(line))
	}
	if types[0] != "head" || types[len(types)-1] != "end" || slices.Contains(types[1:], "head") {
		t.Errorf("the lines are %q", types)
	}
}

// The schema knows every field that is written, and none besides.
func TestSchemaHasEveryField(t *testing.T) {
	var schema struct {
		Defs map[string]struct {
			Properties map[string]struct{ Enum []string }
			Enum       []string
		} `json:"$defs"`
		Properties map[string]struct{ Const int }
	}
	if err := json.Unmarshal(Schema, &schema); err != nil {
		// some enumerations are nested in references; the names are what counts
		if wrong := (*json.UnmarshalTypeError)(nil); !errors.As(err, &wrong) {
			t.Fatal(err)
		}
	}
	for name, v := range map[string]any{
		"head": Head{}, "totals": Totals{}, "proof": Proof{}, "count": Count{}, "finding": Finding{}, "failure": Failure{}, "repository": Repository{},
	} {
		r := reflect.TypeOf(v)
		for i := range r.NumField() {
			field, _, _ := strings.Cut(r.Field(i).Tag.Get("json"), ",")
			if _, ok := schema.Defs[name].Properties[field]; !ok {
				t.Errorf("the schema has no %s.%s", name, field)
			}
		}
		if n := len(schema.Defs[name].Properties); n != r.NumField() {
			t.Errorf("%s has %d fields in the schema, %d here", name, n, r.NumField())
		}
	}
	for _, k := range kinds {
		if !slices.Contains(schema.Defs["kind"].Enum, string(k.Kind)) {
			t.Errorf("the schema has no kind %s", k.Kind)
		}
	}
	if len(kinds) != len(schema.Defs["kind"].Enum) || schema.Properties["schema"].Const != Version {
		t.Errorf("%d kinds in the schema, %d here; version %d", len(schema.Defs["kind"].Enum), len(kinds), schema.Properties["schema"].Const)
	}
}

// The vocabulary and its explanation are the same words.
func TestVocabularyIsExplained(t *testing.T) {
	source, err := os.ReadFile("finding.go")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(source), "// The vocabulary.\nconst (")
	text, _, _ = strings.Cut(text, "\n)")
	var words []string
	for line := range strings.Lines(text) {
		if _, word, ok := strings.Cut(line, `= "`); ok {
			word, _, _ = strings.Cut(word, `"`)
			words = append(words, word)
		}
	}
	for _, k := range kinds {
		if !slices.Contains(words, string(k.Kind)) || k.Title == "" || k.Meaning == "" {
			t.Errorf("%+v", k)
		}
	}
	if len(words) != len(kinds) || len(words) < 13 {
		t.Errorf("%d words, %d explanations", len(words), len(kinds))
	}
}

type junitSuites struct {
	Tests    int `xml:"tests,attr"`
	Failures int `xml:"failures,attr"`
	Errors   int `xml:"errors,attr"`
	Suites   []struct {
		Name     string `xml:"name,attr"`
		Tests    int    `xml:"tests,attr"`
		Failures int    `xml:"failures,attr"`
		Errors   int    `xml:"errors,attr"`
		Cases    []struct {
			Name    string    `xml:"name,attr"`
			Failure *struct{} `xml:"failure"`
			Error   *struct{} `xml:"error"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

// junit reads the XML and adds it up.
func junit(t *testing.T, text string) junitSuites {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	var all junitSuites
	if err := d.Decode(&all); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if _, err := d.Token(); err != io.EOF {
		t.Errorf("something follows: %v", err)
	}
	tests, failures, errs := 0, 0, 0
	for _, s := range all.Suites {
		f, e := 0, 0
		for _, c := range s.Cases {
			if c.Failure != nil {
				f++
			}
			if c.Error != nil {
				e++
			}
		}
		if s.Tests != len(s.Cases) || s.Failures != f || s.Errors != e {
			t.Errorf("suite %s says %d %d %d and has %d %d %d", s.Name, s.Tests, s.Failures, s.Errors, len(s.Cases), f, e)
		}
		tests, failures, errs = tests+s.Tests, failures+s.Failures, errs+s.Errors
	}
	if all.Tests != tests || all.Failures != failures || all.Errors != errs {
		t.Errorf("the whole says %d %d %d, its suites %d %d %d", all.Tests, all.Failures, all.Errors, tests, failures, errs)
	}
	return all
}

func TestText(t *testing.T) {
	d := digest.FromString("x")
	for _, c := range []struct {
		f    Finding
		want string
	}{
		{Finding{Kind: Missing, Side: Source, Key: "a/b"}, "* source: missing: a/b\n"},
		{Finding{Kind: Missing, Side: Transfer, Key: "a/b"}, "+ transfer: missing: a/b\n"},
		{Finding{Kind: Extra, Side: Destination, Key: "a/b", Repository: "r", Tag: "t"}, "- destination: extra-at-destination: r:t\n"},
		{Finding{Kind: Unproved, Side: Source, Digest: "md5:00"}, "! source: unproved: md5:00\n"},
		{Finding{Kind: RevIncomplete, Side: Source, Repository: "r", Digest: d}, "* source: revision-incomplete: r@" + d.String() + "\n"},
		{Finding{Kind: Missing, Side: Source, Key: "a b\x1b", Expected: "5", Found: "c\nd", Advice: "Push it."},
			"* source: missing: \"a b\\x1b\"\n    expected: 5\n    found: \"c\\nd\"\n    Push it.\n"},
		{Finding{Kind: Missing, Side: Source, Key: "k", Chain: []digest.Digest{"sha256:a", "sha256:b"}},
			"* source: missing: k\n    through: sha256:a -> sha256:b\n"},
	} {
		if got := c.f.Text(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

// What is counted and not kept is told.
func TestOmitted(t *testing.T) {
	h := summary
	h.Counts = []Count{{Missing, Source, Damage, 1001}}
	dir := writeAll(t, h, "", func(f *Files) { f.Finding(fullFinding) })
	if !strings.Contains(read(t, dir, "r.txt"), "1,000 more, counted and not kept") || !strings.Contains(read(t, dir, "r.html"), "1,000 more were counted") {
		t.Error("nothing says that findings were not kept")
	}
}

func TestTally(t *testing.T) {
	var tally Tally
	for i, k := range []Kind{Skipped, Missing, "new-word", Missing} {
		tally.Add(Finding{Kind: k, Side: Source, Severity: severities[i%2]})
	}
	if got, want := tally.Counts(), []Count{
		{Skipped, Source, Damage, 1}, {"new-word", Source, Damage, 1}, {Missing, Source, Warning, 2},
	}; !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
	if tally.Reset(); tally.Counts() != nil {
		t.Error("it remembers")
	}
}

func TestCreateRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "d.html"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		paths []string
		want  string
	}{
		{[]string{"r.pdf"}, Suffixes}, {[]string{"r"}, Suffixes}, {[]string{"json"}, Suffixes},
		{[]string{"l.jsonl", "a.txt", "./a.txt"}, "given twice"}, {[]string{"l.jsonl", "d.html"}, "is a directory"},
		{[]string{"l.jsonl", "no/r.jsonl"}, "no/r.jsonl cannot be made"},
	} {
		for i, p := range c.paths {
			c.paths[i] = dir + "/" + p
		}
		if _, err := Create(summary, c.paths...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v", c.paths, err)
		}
		if left := names(t, dir); len(left) != 1 {
			t.Errorf("left %q", left)
		}
	}
}

// A new pass supersedes the last in lines too, and two runs do not take each
// other's file.
func TestLines(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "r.JSONL")
	first := create(t, path)
	first.Finding(fullFinding)
	first.Reset()
	first.Repository(fullRepository)
	if got := read(t, dir, "r.JSONL.partial"); strings.Count(got, "\n") != 2 || strings.Contains(got, `"finding"`) {
		t.Errorf("after a reset: %s", got)
	}
	second := create(t, path)
	if err := first.Close(summary, "", nil); err == nil || !strings.Contains(err.Error(), "by another run") {
		t.Errorf("%v", err)
	}
	if err := second.Close(summary, "", nil); err != nil {
		t.Fatal(err)
	}
	if left := names(t, dir); !slices.Equal(left, []string{"r.JSONL"}) {
		t.Errorf("left %q", left)
	}
}

// The zero value takes everything.
func TestNoFiles(t *testing.T) {
	var f Files
	f.Finding(fullFinding)
	f.Reset()
	if err := f.Close(summary, "", nil); err != nil {
		t.Error(fmt.Errorf("%w", err))
	}
}

// Whatever a name is, each format stays what it is.
func FuzzFormats(f *testing.F) {
	for _, s := range hostile {
		f.Add(s, s)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, a, b string) {
		h := summary
		h.Verdict, h.Source, h.Options = a, b, []string{a, b}
		spools, err := Create(h, filepath.Join(dir, "r.json"))
		if err != nil {
			t.Fatal(err)
		}
		defer spools.discard()
		spools.Finding(Finding{Kind: Missing, Side: Source, Severity: Damage, Key: a, Found: b, Advice: a})
		spools.Finding(Finding{Kind: Missing, Side: Source, Severity: Notice, Repository: b, Tag: a, Expected: a})
		spools.Failure(Failure{Side: a, Op: b, Key: a, Class: b, Message: a})
		spools.Repository(Repository{Name: a, Tags: 1})
		fields, err := objectFields(h, nil)
		if err != nil || spools.err != nil {
			t.Fatal(err, spools.err)
		}
		s := &source{head: h, fields: fields, findings: spools.findings, failures: spools.failures, repositories: spools.repositories}
		write := func(to format) string {
			var out bytes.Buffer
			w := bufio.NewWriter(&out)
			if err := errors.Join(to(w, s), w.Flush()); err != nil {
				t.Fatal(err)
			}
			return out.String()
		}
		if text := write(writeText); strings.ContainsFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsGraphic(r) }) {
			t.Errorf("%q", text)
		}
		if suites := junit(t, write(writeJUnit)); suites.Tests != 5 {
			t.Errorf("%+v", suites)
		}
		var got document
		if err := json.Unmarshal([]byte(write(writeJSON)), &got); err != nil || len(got.Findings) != 2 || len(got.Failures) != 1 {
			t.Errorf("%+v, %v", got, err)
		}
		page := write(writeHTML)
		if strings.Count(page, "<script") != 5 || strings.Count(page, "</script>") != 5 || strings.Contains(page, "<!--") {
			t.Errorf("%s", page)
		}
	})
}
