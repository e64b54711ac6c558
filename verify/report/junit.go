package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// What pipelines read: https://github.com/testmoapp/junitxml. There is no
// standard, so only what all readers know is used.
type (
	testcase struct {
		XMLName xml.Name `xml:"testcase"`
		Class   string   `xml:"classname,attr"`
		Name    string   `xml:"name,attr"`
		Failure *problem `xml:"failure,omitempty"`
		Error   *problem `xml:"error,omitempty"`
		Out     string   `xml:"system-out,omitempty"`
	}
	problem struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
	property struct {
		XMLName xml.Name `xml:"property"`
		Name    string   `xml:"name,attr"`
		Value   string   `xml:"value,attr"`
	}
)

// suite is one testsuite: its numbers, which stand before its cases.
type suite struct {
	name                    string
	tests, failures, errors int64
}

func (u suite) start(more ...xml.Attr) xml.StartElement {
	attr := func(name string, value string) xml.Attr { return xml.Attr{Name: xml.Name{Local: name}, Value: value} }
	count := func(name string, n int64) xml.Attr { return attr(name, strconv.FormatInt(n, 10)) }
	return xml.StartElement{Name: xml.Name{Local: "testsuite"}, Attr: append([]xml.Attr{
		attr("name", u.name), count("tests", u.tests), count("failures", u.failures), count("errors", u.errors), count("skipped", 0),
	}, more...)}
}

// writeJUnit writes one testsuite for the run, one for each kind of finding
// and one for what could not be transferred.
func writeJUnit(w *bufio.Writer, s *source) error {
	suites, err := s.suites()
	if err != nil {
		return err
	}
	all := suite{name: s.head.Program + " " + s.head.Command}
	for _, u := range suites {
		all.tests, all.failures, all.errors = all.tests+u.tests, all.failures+u.failures, all.errors+u.errors
	}
	w.WriteString(xml.Header)
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	root := all.start()
	root.Name.Local = "testsuites"
	if err := e.EncodeToken(root); err != nil {
		return err
	}
	for i, u := range suites {
		switch {
		case i == 0:
			err = s.runSuite(e, u)
		case u.name == failedSuite:
			err = s.failedSuite(e, u)
		default:
			err = s.kindSuite(e, u)
		}
		if err != nil {
			return err
		}
	}
	if err := e.EncodeToken(root.End()); err != nil {
		return err
	}
	return e.Close()
}

const failedSuite = "not-transferred"

// suites counts; the first is the run itself.
func (s *source) suites() ([]suite, error) {
	run := suite{name: "run", tests: 2}
	if s.partial() != "" {
		run.errors++
	}
	if s.head.ExitCode != 0 {
		run.failures++
	}
	byKind := map[Kind]*suite{}
	err := decoded(s.findings, func(f Finding) error {
		u := byKind[f.Kind]
		if u == nil {
			u = &suite{name: string(f.Kind)}
			byKind[f.Kind] = u
		}
		u.tests++
		if f.Severity != Notice {
			u.failures++
		}
		return nil
	})
	all := []suite{run}
	for _, u := range byKind {
		all = append(all, *u)
	}
	slices.SortFunc(all[1:], func(a, b suite) int { return rank(Kind(a.name)) - rank(Kind(b.name)) })
	if n := s.failures.n; n > 0 {
		all = append(all, suite{name: failedSuite, tests: n, errors: n})
	}
	return all, err
}

func (s *source) runSuite(e *xml.Encoder, u suite) error {
	h := s.head
	start := u.start(xml.Attr{Name: xml.Name{Local: "timestamp"}, Value: h.Started.UTC().Format("2006-01-02T15:04:05")},
		xml.Attr{Name: xml.Name{Local: "time"}, Value: fmt.Sprintf("%.3f", max(0, h.Finished.Sub(h.Started).Seconds()))})
	if err := e.EncodeToken(start); err != nil {
		return err
	}
	properties := xml.StartElement{Name: xml.Name{Local: "properties"}}
	if err := e.EncodeToken(properties); err != nil {
		return err
	}
	for _, f := range h.facts() {
		if err := e.Encode(property{Name: f.Name, Value: clean(f.Value)}); err != nil {
			return err
		}
	}
	if err := e.EncodeToken(properties.End()); err != nil {
		return err
	}
	complete := testcase{Class: h.Program + ".run", Name: "complete"}
	if p := s.partial(); p != "" {
		complete.Error = &problem{Message: p, Type: h.ErrorClass, Text: clean(h.Error)}
	}
	verdict := testcase{Class: h.Program + ".run", Name: "verdict", Out: s.summary + clean(h.Verdict)}
	if h.ExitCode != 0 {
		verdict.Failure = &problem{Message: clean(h.Verdict), Type: "exit " + strconv.Itoa(h.ExitCode)}
	}
	if err := e.Encode([]testcase{complete, verdict}); err != nil {
		return err
	}
	return e.EncodeToken(start.End())
}

// kindSuite reads the spool again for each kind, of which there are few, so
// that nothing has to be sorted in memory.
func (s *source) kindSuite(e *xml.Encoder, u suite) error {
	start := u.start()
	if err := e.EncodeToken(start); err != nil {
		return err
	}
	begin := fmt.Appendf(nil, `{"kind":%q,`, u.name) // as Finding is marshalled
	err := s.findings.each(func(line []byte) error {
		if !bytes.HasPrefix(line, begin) {
			return nil
		}
		var f Finding
		if err := json.Unmarshal(line, &f); err != nil {
			return err
		}
		c := testcase{Class: s.head.Program + "." + string(f.Kind), Name: string(f.Side) + ": " + Name(f.Subject())}
		if f.Severity == Notice {
			c.Out = f.Text()
		} else {
			_, text, _ := strings.Cut(f.Text(), "\n")
			c.Failure = &problem{Message: clean(f.Advice), Type: string(f.Severity), Text: text}
		}
		return e.Encode(c)
	})
	if err != nil {
		return err
	}
	return e.EncodeToken(start.End())
}

func (s *source) failedSuite(e *xml.Encoder, u suite) error {
	start := u.start()
	if err := e.EncodeToken(start); err != nil {
		return err
	}
	err := decoded(s.failures, func(f Failure) error {
		return e.Encode(testcase{
			Class: s.head.Program + "." + u.name, Name: f.Side + ": " + Name(f.Key),
			Error: &problem{Message: clean(f.Message), Type: f.Class, Text: f.Op},
		})
	})
	if err != nil {
		return err
	}
	return e.EncodeToken(start.End())
}
