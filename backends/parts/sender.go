package parts

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/regferry/regferry/backends"
)

// Sender sends one content in parts. It is used once.
type Sender struct {
	Content  backends.Content
	Part     int64 // bytes of each part but the last
	Parallel int   // parts under way at once
	Buffers  *Buffers

	Token string // names the upload, once it is begun
	Start int    // parts that were durable already, where it is resumed

	// Begin begins the upload and returns its token, when there is something
	// to send and no token yet. It is not cancelled half way, since nobody
	// would know the name of what the service then has: the driver sees to that.
	Begin func(ctx context.Context) (token string, err error)

	// Send makes part n, counted from 0, durable. What it notes of a part needs
	// no lock if each has a place of its own.
	Send func(ctx context.Context, n int, b []byte) error

	mu     sync.Mutex     // guards what is below, and orders the calls of Saved
	states map[int][]byte // of parts that are durable behind one that is not; at most Parallel
	next   int            // parts durable without a gap
	told   bool           // somebody knows the token
	over   bool           // the source has given its verdict, and it is bad
}

// Parts is how many parts a content of size bytes has.
func Parts(size, part int64) int { return int((size + part - 1) / part) }

// Run returns nil when all parts are durable and the source said that they are
// right: the upload can be completed.
func (s *Sender) Run(ctx context.Context) error {
	s.states, s.next = make(map[int][]byte), s.Start
	s.told = s.Token != "" // it is resumed
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(max(1, s.Parallel))
	err := s.read(inner, g)
	sent := g.Wait()
	if err == nil || sent != nil && ctx.Err() == nil && errors.Is(err, context.Canceled) {
		err = sent // what was read was given up for this
	}
	if err == nil {
		err = ctx.Err()
	}
	return err
}

// read reads the parts in order and has them sent.
func (s *Sender) read(ctx context.Context, g *errgroup.Group) error {
	size, count := s.Content.Size, Parts(s.Content.Size, s.Part)
	off := min(int64(s.Start)*s.Part, size)
	buf, err := s.buffer(ctx, off) // before the source, which may not wait
	if err != nil {
		return err
	}
	in, err := OpenInput(ctx, s.Content, off)
	if err != nil {
		s.Buffers.Put(buf)
		return err
	}
	defer in.Close()
	for n := s.Start; ; n++ {
		if err := in.Fill(ctx, buf.B); err != nil {
			s.Buffers.Put(buf)
			s.over = in.off >= size && ctx.Err() == nil
			return err
		}
		if n >= count { // resumed when only the verdict was left
			s.Buffers.Put(buf)
			return nil
		}
		if err := s.begin(ctx); err != nil {
			s.Buffers.Put(buf)
			return err
		}
		part, state := buf, in.state()
		g.Go(func() error {
			defer s.Buffers.Put(part)
			if err := s.Send(ctx, n, part.B); err != nil {
				return err
			}
			return s.durable(n, state)
		})
		if in.off >= size {
			return nil
		}
		if buf, err = s.buffer(ctx, in.off); err != nil {
			return err
		}
	}
}

func (s *Sender) buffer(ctx context.Context, off int64) (*Buffer, error) {
	return s.Buffers.Get(ctx, min(s.Part, s.Content.Size-off))
}

func (s *Sender) begin(ctx context.Context) (err error) {
	if s.Token != "" {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.Token, err = s.Begin(ctx)
	return err
}

// durable notes a part, and tells of each that has none missing before it.
func (s *Sender) durable(n int, state []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.states[n] = state
	for {
		state, ok := s.states[s.next]
		if !ok {
			return nil
		}
		delete(s.states, s.next)
		s.next++
		if s.Content.Saved == nil {
			continue
		}
		offset := min(int64(s.next)*s.Part, s.Content.Size)
		if err := s.Content.Saved(backends.Upload{Token: s.Token, Offset: offset, Hash: state}); err != nil {
			return err
		}
		s.told = true
	}
}

// Keep says, after a failure of the given class, whether the upload is to stay:
// somebody knows of it and may go on with it (rule P6), and nothing says that
// the content itself is wrong. An interruption does not.
func (s *Sender) Keep(err error, class backends.Class) bool {
	if !s.told || s.over {
		return false
	}
	switch class {
	case backends.Corrupt, backends.Changed:
		return false
	case backends.Unknown: // the source's own
		switch backends.ClassOf(err) {
		case backends.Corrupt, backends.Changed, backends.NotFound:
			return false
		}
	}
	return true
}
