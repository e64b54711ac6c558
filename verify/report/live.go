package report

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// live is a report in JSON lines. It is written while the run goes on, each
// line at once, so that it can be followed and is there after a kill.
type live struct {
	path string
	file *os.File
	head []byte
	err  error // the first one, which publish tells
}

// partialName is the name that a file has until it is whole.
func partialName(path string) string { return path + ".partial" }

func newLive(h Head, path string) (*live, error) {
	if h.Verdict == "" {
		h.Verdict = "not finished"
	}
	fields, err := objectFields(h, nil)
	if err != nil {
		return nil, err
	}
	// What a killed run left goes; a new file, since a link must not be followed.
	if err := os.Remove(partialName(path)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	file, err := os.OpenFile(partialName(path), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	l := &live{path: path, file: file, head: fmt.Appendf(nil, `{"type":"head","schema":%d,%s}`, Version, fields)}
	if l.line(l.head); l.err != nil {
		return nil, errors.Join(l.err, l.discard())
	}
	return l, nil
}

func (l *live) failed(err error) {
	if l.err == nil {
		l.err = err
	}
}

func (l *live) line(b []byte) {
	if l.err == nil {
		_, l.err = l.file.Write(append(b, '\n'))
	}
}

func (l *live) add(name string, object []byte) {
	l.line(fmt.Appendf(nil, `{"type":%q,%s`, name, object[1:]))
}

func (l *live) reset() {
	_, err := l.file.Seek(0, io.SeekStart)
	l.failed(errors.Join(err, l.file.Truncate(0)))
	l.line(l.head)
}

// publish writes the last line and gives the file its name.
func (l *live) publish(fields []byte) error {
	defer l.file.Close()
	l.line(fmt.Appendf(nil, `{"type":"end","schema":%d,%s}`, Version, fields))
	if l.err != nil {
		return l.err
	}
	if err := errors.Join(l.file.Chmod(0o644), l.file.Sync(), l.same()); err != nil {
		return err
	}
	return os.Rename(partialName(l.path), l.path)
}

// same makes sure that the name is still this file's: another run with the
// same report took it otherwise.
func (l *live) same() error {
	mine, err := l.file.Stat()
	if err != nil {
		return err
	}
	named, err := os.Lstat(partialName(l.path))
	if err == nil && !os.SameFile(mine, named) {
		return fmt.Errorf("%s is being written by another run", partialName(l.path))
	}
	return err
}

func (l *live) discard() error {
	err := l.same()
	l.file.Close()
	if err != nil {
		return nil // the name is gone or somebody else's
	}
	return os.Remove(partialName(l.path))
}
