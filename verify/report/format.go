package report

import (
	"bufio"
	"fmt"
	"path/filepath"
	"strings"
)

// source is what a format is made from: a run that is over.
type source struct {
	head         Head
	summary      string
	fields       []byte // of the head and what a command adds to it, as JSON without the braces
	findings     *spool
	failures     *spool
	repositories *spool
}

// format writes a report.
type format func(w *bufio.Writer, s *source) error

// Suffixes are those of the formats, for help and messages.
const Suffixes = ".txt, .json, .jsonl, .html or .xml (JUnit)"

// formatOf chooses by suffix; nil is the one that is written while the run
// goes on.
func formatOf(path string) (format, error) {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".txt":
		return writeText, nil
	case ".json":
		return writeJSON, nil
	case ".jsonl":
		return nil, nil
	case ".html":
		return writeHTML, nil
	case ".xml":
		return writeJUnit, nil
	}
	return nil, fmt.Errorf("%q: the suffix chooses the format: %s", path, Suffixes)
}

// partial says in capitals that the report does not cover everything; empty if
// it does.
func (s *source) partial() string {
	if s.head.Complete {
		return ""
	}
	return "PARTIAL: it ended before it had looked at everything"
}

// omitted is how many findings were counted and not kept.
func (s *source) omitted() int64 { return max(0, sum(s.head.Counts)-s.findings.n) }
