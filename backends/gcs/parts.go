package gcs

import (
	"context"
	"errors"
	"hash/crc32"
	"net/http"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/parts"
)

// upload is an object that is sent in a session, one chunk after the other.
type upload struct {
	*parts.Sender
	s   *Store
	key string

	crc    uint32 // of the parts that were sent
	have   int64  // bytes that the service has
	ending bool   // the last chunk was sent, and may have arrived
	done   *stored
}

func (s *Store) newUpload(key string, c backends.Content, part int64) *upload {
	u := &upload{s: s, key: key}
	if saved := c.Saved; saved != nil {
		c.Saved = func(at backends.Upload) error {
			if at.Offset == c.Size {
				return nil // an object now, and nothing to go on with
			}
			at.Token = token{Session: u.Token, CRC: u.crc, Part: part}.String()
			return saved(at)
		}
	}
	u.Sender = &parts.Sender{
		Content: c, Part: part, Parallel: 1, Buffers: s.buffers,
		Begin: u.begin, Send: u.sendPart,
	}
	return u
}

func (s *Store) putParts(ctx context.Context, key string, c backends.Content) error {
	u, err := s.resume(ctx, key, c)
	if err != nil {
		return err
	}
	if u == nil {
		u = s.newUpload(key, c, s.o.PartSize)
	}
	err = u.Run(ctx)
	if u.done == nil && u.ending && !errors.Is(err, backends.Corrupt) {
		u.landed(ctx)
	}
	if u.done != nil {
		return s.compare(ctx, key, *u.done, c.Size, u.crc)
	}
	gone := statusOf(err) == http.StatusNotFound || statusOf(err) == http.StatusGone
	if u.Token != "" && !gone && !u.Keep(err, classOf(err)) {
		s.cancel(ctx, u.Token)
	}
	if gone && classOf(err) == backends.NotFound {
		return backends.Refuse(backends.Transient, "the service has forgotten the upload")
	}
	return err
}

// begin is not cancelled half way: nobody would know the name of what the
// service then has.
func (u *upload) begin(ctx context.Context) (string, error) {
	whole, stop := backends.Detached(ctx)
	defer stop()
	return u.s.begin(whole, u.key, u.Content.Size)
}

// sendPart sends what the service has not yet of a part. It may persist less
// than it is sent, and of an upload that is resumed it may have more than the
// checkpoint knows.
func (u *upload) sendPart(ctx context.Context, n int, b []byte) error {
	start := int64(n) * u.Part
	end := start + int64(len(b))
	crc := crc32.Update(u.crc, castagnoli, b)
	last := end == u.Content.Size
	if last {
		u.crc = crc // what the whole has to be, however the sending ends
	}
	failures, unsure := 0, false
	for u.have < end || last && u.done == nil {
		if err := ctx.Err(); err != nil {
			return err
		}
		if failures == attempts {
			return backends.Refuse(backends.Transient, "the service takes no more of the upload")
		}
		before := u.have
		p, err := u.send(ctx, b, start, last, crc, unsure)
		if err == nil {
			err = u.moved(ctx, p, end)
			unsure = false
		} else if again(err) && failures < attempts-1 && wait(ctx, failures+1) == nil {
			unsure, err = true, nil
		}
		if err != nil {
			return err
		}
		if failures++; u.have > before {
			failures = 0
		}
	}
	u.crc = crc
	return nil
}

// send sends the rest of a part, or, after a failure, asks what has arrived.
func (u *upload) send(ctx context.Context, b []byte, start int64, last bool, crc uint32, unsure bool) (progress, error) {
	if unsure {
		return u.s.status(ctx, u.Token, u.Content.Size)
	}
	off := max(u.have, start)
	c := chunk{b: b[off-start:], off: off, size: u.Content.Size}
	if last {
		c.crc, u.ending = &crc, true
	}
	return u.s.chunk(ctx, u.Token, c)
}

// moved takes over how far the session is.
func (u *upload) moved(ctx context.Context, p progress, end int64) error {
	switch {
	case p.done != nil && end < u.Content.Size:
		// An emulator ends an upload when it is asked how far it is.
		u.s.remove(ctx, u.key, p.done.generation)
		return backends.Refuse(backends.Changed, "the service ended the upload before its time; what it stored was removed")
	case p.done != nil:
		u.done, u.have = p.done, end
		return nil
	case p.persisted < u.have:
		return backends.Refuse(backends.Changed, "the service has lost a part of the upload that it had")
	case p.persisted > max(end, u.have):
		return backends.Refuse(backends.Changed, "the service has more of the upload than it was sent")
	}
	u.have = p.persisted
	return nil
}

// landed finds out whether the last chunk arrived although its answer did not:
// then the object is there, and it would be wrong to say that it is not.
func (u *upload) landed(ctx context.Context) {
	ctx, stop := backends.Detached(ctx)
	defer stop()
	if p, err := u.s.status(ctx, u.Token, u.Content.Size); err == nil {
		u.done = p.done
	}
}
