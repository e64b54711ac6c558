package swift

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"math"
	"net/http"
	"strings"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/parts"
)

// contentType is what a registry writes.
const contentType = "application/octet-stream"

// Put stores an object: in one request up to the size of a part, else in
// segments, which can be resumed if Content.Saved is given.
func (s *Store) Put(ctx context.Context, key string, c backends.Content) (backends.Object, error) {
	err := s.checkPut(ctx, key, c)
	switch {
	case err != nil:
	case c.Size <= s.o.PartSize:
		err = s.putWhole(ctx, key, c)
	default:
		err = s.putLarge(ctx, key, c)
	}
	if err != nil {
		return backends.Object{}, fail("put", key, s.missing(err))
	}
	return backends.Object{Key: key, Size: c.Size}, nil
}

func (s *Store) checkPut(ctx context.Context, key string, c backends.Content) error {
	if err := parts.Check(ctx, c, math.MaxInt64, ""); err != nil {
		return err
	}
	if err := s.check(key); err != nil || c.Size <= s.o.PartSize {
		return err
	}
	if len(s.files.segment(newSegments(key), 0)) > maxKey {
		return backends.Refuse(backends.Unsupported, "the key is too long for an object of several segments, whose names have it twice")
	}
	if s.partSize(c.Size) > s.files.limits.maxFile {
		return backends.Refuse(backends.Unsupported, fmt.Sprintf("%d bytes are more than %d segments of %d bytes, the most that the service takes", c.Size, s.mostSegments(), s.files.limits.maxFile))
	}
	return nil
}

// missing is for requests that write: what they do not find is the container.
func (s *Store) missing(err error) error {
	if statusOf(err) != http.StatusNotFound || backends.ClassOf(err) != backends.Unknown {
		return err
	}
	return fmt.Errorf("%w: %w", backends.Refuse(backends.Denied, "there is no container of the name "+backends.Printable(s.o.Container)), err)
}

// putWhole reads all of the content, and the source's verdict on it, before it
// sends anything: a bad source makes no request, and one that has to be
// repeated needs no source.
//
// It asks that nothing be there, which is so for most objects. Where something
// is, it may be large, and then its segments go.
func (s *Store) putWhole(ctx context.Context, key string, c backends.Content) error {
	buf, err := s.buffers.Get(ctx, c.Size)
	if err != nil {
		return err
	}
	defer s.buffers.Put(buf)
	if err := parts.Whole(ctx, c, buf.B); err != nil {
		return err
	}
	header := map[string]string{"If-None-Match": "*", "Content-Type": contentType}
	err = s.files.put(ctx, s.files.root+key, buf.B, header)
	switch statusOf(err) {
	default:
		return err
	case http.StatusPreconditionFailed, http.StatusBadRequest, http.StatusNotImplemented:
	}
	delete(header, "If-None-Match")
	return s.swap(ctx, key, "", func(ctx context.Context) error {
		return s.files.put(ctx, s.files.root+key, buf.B, header)
	})
}

// put is one PUT whose bytes the service compares with their MD5, twice: it is
// told of it, and tells the one of what it got.
func (s *service) put(ctx context.Context, name string, b []byte, header map[string]string) error {
	sum := md5.Sum(b)
	header["Etag"] = hex.EncodeToString(sum[:])
	h, err := s.stored(ctx, request{method: http.MethodPut, object: name, header: header, body: b})
	if err != nil {
		return err
	}
	if got := strings.Trim(h.Get("Etag"), `"`); got != "" && !strings.EqualFold(got, header["Etag"]) {
		return backends.Refuse(backends.Corrupt, "the service says that it stored other bytes, of the MD5 "+backends.Printable(got))
	}
	return nil
}

// stored is done for the PUT of an object. Swift accepts one with 202 and does not
// store it where it has an object with a later time: one that another client put
// meanwhile, or by a proxy whose clock is ahead.
func (s *service) stored(ctx context.Context, r request) (http.Header, error) {
	resp, err := s.do(ctx, r)
	if err != nil {
		return nil, err
	}
	if h, err := drained(resp); err != nil || resp.StatusCode == http.StatusCreated {
		return h, err
	}
	return nil, backends.Refuse(backends.Transient, fmt.Sprintf("it is not stored: an object with a later time is there [HTTP %d, request %s]", resp.StatusCode, resp.Header.Get("X-Trans-Id")))
}

// swap puts an object in the place of another one and then removes the segments
// of that, if they were made here. What was made by others stays: a registry
// moves uploads by a second manifest of the same segments.
func (s *Store) swap(ctx context.Context, key, upload string, put func(context.Context) error) error {
	unlock, err := s.lock(ctx, key)
	if err != nil {
		return err
	}
	defer unlock()
	old, err := s.files.manifest(ctx, key)
	if err != nil {
		return err
	}
	if err := put(ctx); err != nil {
		return err
	}
	var gone []string
	for _, other := range old.mine {
		if other != upload {
			gone = append(gone, other)
		}
	}
	s.tellOthers(old)
	s.discard(ctx, gone)
	return nil
}

// discard removes what nothing refers to. What cannot be removed now is found
// by Clean, so that is no failure of what was asked for.
func (s *Store) discard(ctx context.Context, uploads []string) {
	if len(uploads) == 0 {
		return
	}
	ctx, cancel := backends.Detached(ctx)
	defer cancel()
	if err := s.files.removeSegments(ctx, uploads); err != nil {
		s.notice("segments that nothing refers to could not be removed, clean will do that later: " + err.Error())
	}
}
