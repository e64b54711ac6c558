package report

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// Version is the version of the JSON document, raised when a field changes
// its meaning or goes away.
const Version = 1

// File is a report being written as JSON. What comes in is spooled to disk at
// once, so that a run with a million failures needs no memory for them; the
// file gets its name when it is whole. Its methods may be called concurrently.
type File struct {
	path  string
	mu    sync.Mutex
	spool *os.File
	w     *bufio.Writer
	err   error
}

// sections of the document, in the order in which they are written.
var sections = []string{"findings", "failures", "repositories"}

type line struct {
	Section string          `json:"s"`
	Value   json.RawMessage `json:"v"`
}

// Create begins a report that Close will put at path. The directory must
// exist and be writable: better to know before forty terabytes than after.
func Create(path string) (*File, error) {
	spool, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.spool")
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	// The spool needs no name, and without one a killed run leaves nothing.
	if err := os.Remove(spool.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("report: %w", err), spool.Close())
	}
	return &File{path: path, spool: spool, w: bufio.NewWriter(spool)}, nil
}

// Reset drops what was added so far: a new pass supersedes it.
func (f *File) Reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, err := f.spool.Seek(0, io.SeekStart)
	f.w.Reset(f.spool)
	if err = errors.Join(err, f.spool.Truncate(0)); f.err == nil {
		f.err = err
	}
}

// Finding adds a finding.
func (f *File) Finding(v Finding) { f.add("findings", v) }

// Failure adds a failure.
func (f *File) Failure(v Failure) { f.add("failures", v) }

// Repository adds a repository.
func (f *File) Repository(v Repository) { f.add("repositories", v) }

func (f *File) add(section string, v any) {
	value, err := json.Marshal(v)
	if err == nil {
		value, err = json.Marshal(line{section, value})
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err == nil {
		_, err = f.w.Write(append(value, '\n'))
	}
	if f.err == nil {
		f.err = err
	}
}

// Close writes the document: schema version, then the fields of summary, then
// everything that was added, and gives it its name. summary must marshal to a
// JSON object. A failed Close leaves what was at path before.
func (f *File) Close(summary any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.spool.Close()
	if f.err == nil {
		f.err = f.w.Flush()
	}
	if f.err == nil {
		f.err = f.publish(summary)
	}
	if f.err != nil {
		return fmt.Errorf("report %s: %w", f.path, f.err)
	}
	return nil
}

func (f *File) publish(summary any) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(f.path), "."+filepath.Base(f.path)+".*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	err = errors.Join(f.document(tmp, summary), tmp.Chmod(0o644), tmp.Sync(), tmp.Close())
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), f.path)
}

func (f *File) document(to io.Writer, summary any) error {
	head, err := json.MarshalIndent(summary, "", "  ")
	if err != nil {
		return err
	}
	if len(head) < 3 || head[0] != '{' {
		return fmt.Errorf("a summary must be a JSON object with fields, not %.20s", head)
	}
	w := bufio.NewWriter(to)
	fmt.Fprintf(w, "{\n  \"schema\": %d,%s", Version, head[1:len(head)-2])
	for _, s := range sections {
		if err := f.section(w, s); err != nil {
			return err
		}
	}
	fmt.Fprint(w, "\n}\n")
	return w.Flush()
}

func (f *File) section(w *bufio.Writer, name string) error {
	if _, err := f.spool.Seek(0, io.SeekStart); err != nil {
		return err
	}
	fmt.Fprintf(w, ",\n  %q: [", name)
	sep := "\n    "
	for d := json.NewDecoder(f.spool); ; {
		var l line
		if err := d.Decode(&l); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
		if l.Section == name {
			fmt.Fprintf(w, "%s%s", sep, l.Value)
			sep = ",\n    "
		}
	}
	_, err := fmt.Fprint(w, "]")
	return err
}
