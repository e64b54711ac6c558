package location

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v2"

	"github.com/regferry/regferry/backends"
)

// The bounds of a file. A chart's values are tens of kilobytes; the decoder has
// its own bound on what aliases may make of a document.
const (
	maxFile      = 4 << 20
	maxDocuments = 1000
)

// configFile says whether a location is a file that names a storage, and which.
func configFile(raw string) (path string, ok bool) {
	if path, ok := strings.CutPrefix(raw, "config:"); ok && !strings.HasPrefix(path, "//") {
		return path, true
	}
	low := strings.ToLower(raw)
	if strings.Contains(raw, "://") || !strings.HasSuffix(low, ".yml") && !strings.HasSuffix(low, ".yaml") {
		return "", false
	}
	info, err := os.Stat(raw)
	return raw, err != nil || !info.IsDir()
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, errors.New("there is no such file; a directory of that name is written with a slash at its end")
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("it is no regular file; a pipe can be read only once, so write what it has to a file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxFile:
		return nil, errors.New("it has more than 4 MiB, so it is no configuration")
	}
	return text, nil
}

// documents are the mappings of a file; what is empty or no mapping names no
// storage.
func documents(text []byte) (all []map[string]any, err error) {
	d := yaml.NewDecoder(bytes.NewReader(text))
	// A key twice is a slip; but the decoder takes what a merge overrides for
	// such, so there it cannot be told.
	d.SetStrict(!bytes.Contains(text, []byte("<<")))
	for range maxDocuments {
		var v any
		err := d.Decode(&v)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, yamlError(text, err)
		}
		if m, ok := entries(v); ok {
			all = append(all, m)
		}
	}
	return nil, fmt.Errorf("it has more than %d documents, so it is no configuration", maxDocuments)
}

// entries are those of a mapping, one level.
func entries(v any) (map[string]any, bool) {
	switch v := v.(type) {
	case map[string]any:
		return v, true
	case map[any]any:
		m := make(map[string]any, len(v))
		for k, one := range v {
			m[fmt.Sprint(k)] = one
		}
		return m, true
	}
	return nil, false
}

var errorLine = regexp.MustCompile(`line (\d+)`)

// complaints are what the decoder says, found by a part of it that is constant,
// and how it is said here.
var complaints = []struct{ part, text string }{
	{"tab character", "a tab is where only spaces may be"},
	{"cannot start any token", "a value begins with a character that has a meaning in YAML, such as @, ` or %, or with a tab: put the value into quotes, or use spaces"},
	{"mapping values are not allowed", "a key is where none can be: a line before it, or its indentation, is wrong"},
	{"did not find expected key", "the indentation is wrong, or a quote is missing"},
	{"could not find expected ':'", "a colon is missing after a key, or a quote is missing"},
	{"did not find expected", "a bracket, a quote or a comma is missing"},
	{"unexpected end of stream", "a quote is not closed"},
	{"block sequence entries", "an element of a list is where none can be"},
	{"already set in map", "a key is there twice"},
	{"unknown anchor", "a value begins with *, which is an alias of something that is not there: put the value into quotes"},
	{"contains itself", "an alias contains itself"},
	{"excessive aliasing", "it has so many aliases that it is no configuration"},
	{"exceeded max depth", "it is nested so deeply that it is no configuration"},
	{"control characters", "it has control characters, so it is no text"},
	{"invalid", "a value is not what its tag says, or it is no UTF-8"},
	{"cannot decode", "a value is not what its tag says"},
	{"merge requires", "what << merges is no mapping"},
}

// yamlError says what is wrong and where, and nothing of what is there, which
// may be a password.
func yamlError(text []byte, err error) error {
	said := "it cannot be read"
	for _, c := range complaints {
		if strings.Contains(err.Error(), c.part) {
			said = c.text
			break
		}
	}
	if bytes.Contains(text, []byte("{{")) {
		said += " (it has {{ }}, so it may be a template of a chart, and its values are wanted)"
	}
	if line := errorLine.FindStringSubmatch(err.Error()); line != nil {
		return fmt.Errorf("it is no YAML, line %s: %s", line[1], said)
	}
	return fmt.Errorf("it is no YAML: %s", said)
}

// node is a value and its path, which messages call it by.
type node struct {
	at string
	v  any
}

// Format shows no value.
func (n node) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, n.at) }

// in is the entry of a mapping, an empty node where there is none.
func (n node) in(name string) (node, error) {
	at := strings.TrimPrefix(n.at+"."+name, ".")
	m, err := n.mapping()
	if err != nil {
		return node{at: at}, err
	}
	return node{at, m[name]}, nil
}

// find goes down a path of names.
func (n node) find(path string) (node, error) {
	var err error
	for name := range strings.SplitSeq(path, ".") {
		if n, err = n.in(name); err != nil {
			return n, err
		}
	}
	return n, nil
}

// mapping is nil where there is nothing.
func (n node) mapping() (map[string]any, error) {
	if n.v == nil {
		return nil, nil
	}
	m, ok := entries(n.v)
	if !ok {
		return nil, fmt.Errorf("%s is %s and not a mapping: look at the indentation", n.name(), typeName(n.v))
	}
	return m, nil
}

func (n node) name() string {
	if n.at == "" {
		return "the document"
	}
	return n.at
}

// text is empty where there is nothing.
func (n node) text() (string, error) {
	switch v := n.v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	}
	return "", fmt.Errorf("%s is %s and not a text", n.at, typeName(n.v))
}

// flag is false where there is nothing.
func (n node) flag() (bool, error) {
	switch v := n.v.(type) {
	case nil:
		return false, nil
	case bool:
		return v, nil
	}
	return false, fmt.Errorf("%s is %s and neither true nor false", n.at, typeName(n.v))
}

func printable(text string) string { return backends.Printable(cut(text)) }
