package filesystem

import (
	"bytes"
	"context"
	"encoding"
	"errors"
	"io"
	"time"

	"github.com/regferry/regferry/backends"
)

// start is where to begin: where the upload was left, if the file is the one
// that was left.
func (p *partial) start() int64 {
	from := p.c.From
	if from.Token == p.name && from.Offset > 0 && from.Offset <= p.had && from.Offset <= p.c.Size {
		return from.Offset
	}
	return 0
}

func (p *partial) write(ctx context.Context) error {
	p.off = p.start()
	p.saved, p.when = p.off, time.Now()
	r, err := p.c.Open(ctx, p.off)
	if err != nil {
		return backends.SourceError{Err: err}
	}
	defer r.Close()
	bufs := [2]*[chunk]byte{buffers.Get().(*[chunk]byte), buffers.Get().(*[chunk]byte)}
	defer buffers.Put(bufs[0])
	defer buffers.Put(bufs[1])
	for {
		n, err := readChunk(ctx, r, bufs[0][:], p.off, p.c.Size)
		if long := p.off + int64(n) - p.c.Size; long > 0 {
			n -= int(long)
		}
		if e := p.put(bufs[0][:n], bufs[1][:n]); e != nil {
			return e
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			var source backends.SourceError
			p.over = p.off >= p.c.Size && errors.As(err, &source) && ctx.Err() == nil
			if e := p.lastSave(r, err); e != nil {
				return errors.Join(err, e)
			}
			return err
		}
		if p.off-p.saved >= saveEvery || p.off > p.saved && time.Since(p.when) >= saveAge {
			if err := p.save(r); err != nil {
				return err
			}
		}
	}
}

// put writes b at the offset, but not what is there already: after a kill the
// file has more than was known to be durable, and after a power cut it may
// have zeros there.
func (p *partial) put(b, there []byte) error {
	equal := 0
	if p.off < p.had {
		there = there[:min(int64(len(b)), p.had-p.off)]
		n, err := p.f.ReadAt(there, p.off)
		if err != nil && err != io.EOF {
			return err
		}
		equal = commonPrefix(b, there[:n])
		if equal < len(b) {
			p.had = min(p.had, p.off+int64(equal)) // from here on, write
		}
	}
	if equal < len(b) {
		if _, err := p.f.WriteAt(b[equal:], p.off+int64(equal)); err != nil {
			return err
		}
	}
	p.off += int64(len(b))
	return nil
}

func commonPrefix(a, b []byte) int {
	if bytes.Equal(a[:len(b)], b) {
		return len(b)
	}
	n := 0
	for n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// save makes durable what is written, then tells.
func (p *partial) save(r io.Reader) error {
	if p.c.Saved == nil {
		return nil
	}
	if err := datasync(p.f); err != nil {
		return err
	}
	u := backends.Upload{Token: p.name, Offset: p.off}
	if m, ok := r.(encoding.BinaryMarshaler); ok {
		if state, err := m.MarshalBinary(); err == nil {
			u.Hash = state
		}
	}
	p.saved, p.known, p.when = p.off, true, time.Now()
	return p.c.Saved(u)
}

// lastSave tells of what an interruption left, if that is worth a resume.
func (p *partial) lastSave(r io.Reader, why error) error {
	if p.hopeless(why) || p.off-p.saved < partialMin {
		return nil
	}
	return p.save(r)
}

// hopeless says whether the content itself is wrong, so that nothing of it is
// of use; an interruption says nothing of it.
func (p *partial) hopeless(err error) bool {
	var size backends.SizeError
	if p.over || errors.As(err, &size) {
		return true
	}
	switch backends.ClassOf(err) {
	case backends.Corrupt, backends.Changed, backends.NotFound:
		return true
	}
	return false
}
