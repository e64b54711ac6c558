package filesystem

import (
	"context"
	"io"
	"time"

	"github.com/regferry/regferry/backends"
)

var (
	_ backends.Trier     = (*Store)(nil)
	_ backends.Cautioner = (*Reader)(nil)
	_ backends.Cautioner = (*Store)(nil)
)

// Try writes, syncs, reads and removes a file in scratch.
func (s *Store) Try(ctx context.Context) (t backends.Trial, err error) {
	if err := ctx.Err(); err != nil {
		return t, err
	}
	if err := s.try(&t); err != nil {
		return t, fail("put", "", err)
	}
	return t, nil
}

func (s *Store) try(t *backends.Trial) error {
	const content = "regferry tries here whether it can write, read and delete\n"
	name := s.scratch.next()
	before := time.Now()
	f, err := s.scratch.dir.update(name, s.owner.fileMode)
	if err != nil {
		return err
	}
	defer f.Close()
	defer s.scratch.dir.unlink(name)
	if _, err := f.WriteString(content); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	t.Took = time.Since(before)
	got := make([]byte, len(content))
	if _, err := f.ReadAt(got, 0); err != nil && err != io.EOF {
		return err
	}
	if string(got) != content {
		return backends.Refuse(backends.Corrupt, "what was written is read as something else")
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	// The file server's clock, on NFS.
	if off := info.ModTime().Sub(before); off < -time.Second || off > t.Took+time.Second {
		t.Clock = off.Round(time.Second)
	}
	return f.Close()
}

// Cautions looks at how the directory is mounted.
func (s *Reader) Cautions(context.Context) []string { return mountCautions(s.path) }

// Cautions looks at that, and at whom what is written belongs to.
func (s *Store) Cautions(ctx context.Context) []string {
	all := s.Reader.Cautions(ctx)
	if top, err := s.tree.lstat("."); err == nil {
		if text := s.owner.caution(top); text != "" {
			all = append(all, text)
		}
	}
	return all
}
