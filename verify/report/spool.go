package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// spool is lines of JSON on disk, in a file that has no name any more.
type spool struct {
	file *os.File
	w    *bufio.Writer
	n    int64 // lines
}

func newSpool(dir string) (*spool, error) {
	file, err := os.CreateTemp(dir, ".report.*.spool")
	if err != nil {
		return nil, err
	}
	// It needs no name, and without one a killed run leaves nothing.
	if err := os.Remove(file.Name()); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &spool{file: file, w: bufio.NewWriter(file)}, nil
}

func (s *spool) add(line []byte) error {
	s.n++
	_, err := s.w.Write(append(line, '\n'))
	return err
}

func (s *spool) reset() error {
	s.n = 0
	s.w.Reset(s.file)
	_, err := s.file.Seek(0, io.SeekStart)
	return errors.Join(err, s.file.Truncate(0))
}

// each gives every line, without its end; the slice is the caller's until the
// next.
func (s *spool) each(f func(line []byte) error) error {
	if err := s.w.Flush(); err != nil {
		return err
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	in := bufio.NewReaderSize(s.file, 64<<10)
	var long []byte // of a line that the reader's buffer does not hold
	for {
		part, err := in.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			long = append(long, part...)
			continue
		case errors.Is(err, io.EOF) && len(long)+len(part) == 0:
			return nil
		case err != nil:
			return fmt.Errorf("reading what was spooled: %w", err)
		}
		if len(long) > 0 {
			long = append(long, part...)
			part = long
		}
		if err := f(bytes.TrimSuffix(part, []byte("\n"))); err != nil {
			return err
		}
		long = long[:0]
	}
}

// decoded gives every line of a spool as a T.
func decoded[T any](s *spool, f func(T) error) error {
	return s.each(func(line []byte) error {
		var v T
		if err := json.Unmarshal(line, &v); err != nil {
			return err
		}
		return f(v)
	})
}
