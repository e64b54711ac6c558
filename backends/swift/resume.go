package swift

import (
	"context"
	"strconv"
	"strings"

	"github.com/regferry/regferry/backends"
)

// resume finds the segments that an earlier run left, or returns nil: then the
// content is sent from its start.
func (s *Store) resume(ctx context.Context, key string, c backends.Content) (*upload, error) {
	from := c.From
	if from.Offset <= 0 || from.Offset > c.Size || len(from.Token) > 3*maxKey {
		return nil, nil
	}
	if of, ours := segmentsKey(from.Token); !ours || of != key {
		return nil, nil
	}
	old, err := s.files.manifest(ctx, key)
	if err != nil {
		return nil, err
	}
	placed := old.has(from.Token)
	if placed && from.Offset < c.Size { // the object is there: its segments are not to be written
		return nil, nil
	}
	s.held.Hold(from.Token)
	all, err := s.files.listSegments(ctx, from.Token)
	if err == nil {
		u := s.continued(key, c, all)
		if u != nil && (!placed || u.isIn(old)) {
			u.placed = placed
			return u, nil
		}
		if from.Offset < c.Size { // else a manifest may name them, though none was seen
			s.discard(ctx, []string{from.Token})
		}
	}
	s.held.Release(from.Token)
	return nil, err
}

// isIn says whether an object is made of the upload and nothing else. One that is
// found in a later try was put when the source had given its verdict, and the
// answer was lost: nothing is left to send, and the source gives its verdict again.
func (u *upload) isIn(m manifest) bool {
	etag := strings.Trim(m.header.Get("Etag"), `"`)
	return m.only(u.Token) && m.header.Get("Content-Length") == strconv.FormatInt(u.Content.Size, 10) &&
		(etag == u.etag() || !u.s.files.limits.exact)
}

// continued is the upload at From.Offset, if that is where a segment ends and
// each one before it has its size. Those behind are sent again: the state of
// the hash is known at the offset only.
func (s *Store) continued(key string, c backends.Content, all []entry) *upload {
	if len(all) == 0 {
		return nil
	}
	size := all[0].Bytes
	done := c.From.Offset == c.Size
	if size < minPart && !done || size <= 0 || (c.Size+size-1)/size > s.mostSegments() || !done && c.From.Offset%size != 0 {
		return nil
	}
	n := int((c.From.Offset + size - 1) / size)
	if n > len(all) {
		return nil
	}
	u := s.newUpload(key, c, size)
	for i, e := range all {
		if i >= len(u.begun) {
			return nil // what is behind would be part of a DLO
		}
		u.begun[i] = true
		if i >= n {
			continue
		}
		if e.Name != s.files.segment(c.From.Token, i) || e.Bytes != min(size, c.Size-int64(i)*size) || hash(e.Hash) == nil {
			return nil
		}
		u.segments[i] = segment{Path: "/" + s.o.Container + "/" + e.Name, Etag: strings.ToLower(e.Hash), Size: e.Bytes}
	}
	u.Token, u.Start, u.whole = c.From.Token, n, done
	return u
}
