package report

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
)

// Schema is the JSON Schema of the JSON report, draft 2020-12.
//
//go:embed schema.json
var Schema []byte

// objectFields marshals the head and what a command adds to it, without the
// braces around them.
func objectFields(h Head, more any) ([]byte, error) {
	all, err := json.Marshal(h)
	if err != nil || more == nil {
		return unbraced(all), err
	}
	all = unbraced(all)
	added, err := json.Marshal(more)
	if err != nil {
		return nil, err
	}
	if len(added) < 2 || added[0] != '{' {
		return nil, fmt.Errorf("what a command adds to the head must be a JSON object, not %.20s", added)
	}
	if added = unbraced(added); len(added) > 0 {
		all = append(append(all, ','), added...)
	}
	return all, nil
}

func writeJSON(w *bufio.Writer, s *source) error {
	var head bytes.Buffer
	if err := json.Indent(&head, fmt.Appendf(nil, `{"schema":%d,%s}`, Version, s.fields), "", "  "); err != nil {
		return err
	}
	w.Write(bytes.TrimSuffix(head.Bytes(), []byte("\n}")))
	for _, section := range []struct {
		name  string
		lines *spool
	}{{"findings", s.findings}, {"failures", s.failures}, {"repositories", s.repositories}} {
		fmt.Fprintf(w, ",\n  %q: ", section.name)
		if err := writeArray(w, section.lines, -1); err != nil {
			return err
		}
	}
	_, err := w.WriteString("\n}\n")
	return err
}

// writeArray writes at most so many lines of a spool as a JSON array; -1: all.
func writeArray(w *bufio.Writer, lines *spool, most int64) error {
	w.WriteByte('[')
	sep, n := "\n    ", int64(0)
	err := lines.each(func(line []byte) error {
		if n++; most >= 0 && n > most {
			return nil
		}
		w.WriteString(sep)
		sep = ",\n    "
		_, err := w.Write(line) // a bufio.Writer keeps its first error
		return err
	})
	w.WriteByte(']')
	return err
}

func unbraced(object []byte) []byte {
	if len(object) < 2 {
		return nil
	}
	return object[1 : len(object)-1]
}
