package report

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// Version is the version of the JSON document, raised when a field changes
// its meaning or goes away.
const Version = 1

// Files are reports being written from one stream of findings. What comes in
// is spooled to disk at once, so that a run with a million findings needs no
// memory for them; each file gets its name when it is whole. The zero value
// takes everything and writes nothing. Its methods may be called concurrently.
type Files struct {
	mu           sync.Mutex
	outs         []out
	live         []*live
	findings     *spool
	failures     *spool
	repositories *spool
	err          error // of the spools
}

// out is a file that is made when the run is over.
type out struct {
	path   string
	format format
}

// Create begins the reports that Close will put at paths, in the formats of
// their suffixes. The directories must exist and be writable: better to know
// before forty terabytes than after. h is what is known of the run so far.
func Create(h Head, paths ...string) (*Files, error) {
	f := new(Files)
	for i, path := range paths {
		if slices.ContainsFunc(paths[:i], func(p string) bool { return filepath.Clean(p) == filepath.Clean(path) }) {
			return nil, errors.Join(fmt.Errorf("%s is given twice", path), f.discard())
		}
		if err := f.open(h, path); err != nil {
			return nil, errors.Join(err, f.discard())
		}
	}
	return f, nil
}

// open adds one file.
func (f *Files) open(h Head, path string) error {
	format, err := formatOf(path)
	if err != nil {
		return err
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return fmt.Errorf("%s is a directory; name a file in it", path)
	}
	if format == nil {
		l, err := newLive(h, path)
		if err != nil {
			return fmt.Errorf("%s cannot be made: %w", path, cause(err))
		}
		f.live = append(f.live, l)
		return nil
	}
	// Each directory gets a spool, or at least shows that it could.
	trial, err := newSpool(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("%s cannot be made: %w", path, cause(err))
	}
	f.outs = append(f.outs, out{path, format})
	if f.findings != nil {
		return trial.file.Close()
	}
	f.findings = trial
	if f.failures, err = newSpool(filepath.Dir(path)); err == nil {
		f.repositories, err = newSpool(filepath.Dir(path))
	}
	return err
}

// cause leaves out the name of a temporary file, which nobody asked for.
func cause(err error) error {
	if at := (*fs.PathError)(nil); errors.As(err, &at) {
		return at.Err
	}
	return err
}

func (f *Files) spools() []*spool {
	return slices.DeleteFunc([]*spool{f.findings, f.failures, f.repositories}, func(s *spool) bool { return s == nil })
}

// Reset drops what was added so far: a new pass supersedes it.
func (f *Files) Reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.spools() {
		f.failed(s.reset())
	}
	for _, l := range f.live {
		l.reset()
	}
}

// failed keeps the first error, which Close tells: a report that cannot be
// written is no reason to stop what it is about.
func (f *Files) failed(err error) {
	if f.err == nil {
		f.err = err
	}
}

// Finding adds a finding.
func (f *Files) Finding(v Finding) { f.add(f.findings, "finding", v) }

// Failure adds a failure.
func (f *Files) Failure(v Failure) { f.add(f.failures, "failure", v) }

// Repository adds a repository.
func (f *Files) Repository(v Repository) { f.add(f.repositories, "repository", v) }

func (f *Files) add(to *spool, name string, v any) {
	if to == nil && len(f.live) == 0 {
		return
	}
	line, err := json.Marshal(v) // escapes < > & and the line ends of JavaScript
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failed(err)
	if err != nil {
		return
	}
	for _, l := range f.live {
		l.add(name, line)
	}
	if to != nil {
		f.failed(to.add(line))
	}
}

// Close writes every report and gives it its name. summary is what the
// terminal shows, for people. more must marshal to a JSON object, whose fields
// stand beside those of h, or be nil. A failed Close leaves what was at a path
// before.
func (f *Files) Close(h Head, summary string, more any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	fields, err := objectFields(h, more)
	s := &source{
		head: h, summary: summary, fields: fields,
		findings: f.findings, failures: f.failures, repositories: f.repositories,
	}
	f.failed(err)
	var all []error
	for _, o := range f.outs {
		err := f.err
		if err == nil {
			err = o.publish(s)
		}
		if err != nil {
			all = append(all, fmt.Errorf("report %s: %w", o.path, err))
		}
	}
	for _, l := range f.live {
		l.failed(err)
		if err := l.publish(fields); err != nil {
			all = append(all, fmt.Errorf("report %s: %w; what there is of it is in %s", l.path, err, partialName(l.path)))
		}
	}
	for _, s := range f.spools() {
		s.file.Close()
	}
	return errors.Join(all...)
}

// discard lets go of what was made.
func (f *Files) discard() (err error) {
	for _, s := range f.spools() {
		s.file.Close()
	}
	for _, l := range f.live {
		err = errors.Join(err, l.discard())
	}
	return err
}

func (o out) publish(s *source) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(o.path), "."+filepath.Base(o.path)+".*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	w := bufio.NewWriterSize(tmp, 64<<10)
	err = errors.Join(o.format(w, s), w.Flush(), tmp.Chmod(0o644), tmp.Sync(), tmp.Close())
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), o.path)
}
