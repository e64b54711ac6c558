package gcs

import (
	"context"
	"crypto/rand"
	"strings"
	"time"

	"github.com/regferry/regferry/backends"
)

// scratch is beside docker/, never inside it.
const scratch = ".regferry/"

// probePrefix is of the objects that test the store.
const probePrefix = scratch + "probe-"

// proof is which wrong checksums a service refuses. Whatever it accepts is
// compared with its answer here, and removed if it is wrong.
type proof struct{ whole, session bool }

// String names them in the order of worth.
func (p proof) String() string {
	switch {
	case p.whole && p.session:
		return "CRC32C, MD5"
	case p.whole:
		return "CRC32C and MD5 of objects in one request; sessions are compared afterwards"
	case p.session:
		return "CRC32C of sessions; objects in one request are compared afterwards"
	}
	return "nothing, so objects are compared afterwards"
}

func newProbe() string { return probePrefix + strings.ToLower(rand.Text()) }

// probe writes a tiny object, and then others with a wrong checksum, in one
// request and in a session.
func (s *Store) probe(ctx context.Context) error {
	key := newProbe()
	content := []byte("regferry asks here whether the service refuses wrong checksums\n")
	right := sumsOf(content)
	if _, err := s.insert(ctx, key, content, right); err != nil {
		return err
	}
	defer s.remove(ctx, key, 0)
	wrong := sums{crc: right.crc + 1, md5: sumsOf([]byte("else")).md5}
	var err error
	s.proof.whole, err = s.refuses(ctx, func(key string) error {
		_, err := s.insert(ctx, key, content, wrong)
		return err
	})
	if err != nil {
		return err
	}
	s.proof.session, err = s.refuses(ctx, func(key string) error { return s.inSession(ctx, key, content, wrong.crc) })
	if err != nil {
		return err
	}
	if !s.proof.whole || !s.proof.session {
		s.notice("the service does not refuse every wrong checksum: what it says that it stored is compared instead")
	}
	return nil
}

// refuses says whether the service refuses a write with a wrong checksum. Each
// has a name of its own, where nothing is: to write over what was just written
// needs the right to delete, is what a retention policy forbids, and waits, since
// a name is written once a second.
func (s *Store) refuses(ctx context.Context, write func(key string) error) (bool, error) {
	key := newProbe()
	err := write(key)
	if classOf(err) == backends.Corrupt {
		return true, nil
	}
	if err == nil {
		s.remove(ctx, key, 0)
	}
	return false, err
}

// inSession writes an object in a session of one chunk.
func (s *Store) inSession(ctx context.Context, key string, b []byte, crc uint32) error {
	uri, err := s.begin(ctx, key, int64(len(b)))
	if err != nil {
		return err
	}
	defer s.cancel(ctx, uri)
	return retry(ctx, func() error {
		_, err := s.chunk(ctx, uri, chunk{b: b, size: int64(len(b)), crc: &crc})
		return err
	})
}

// Clean removes objects in scratch that are older than Options.DeadAfter: a run
// that was killed left them. Sessions are in no list; the service ends them
// after a week, and they are not paid for.
func (s *Store) Clean(ctx context.Context, _ map[string]bool) (removed int, err error) {
	for o, err := range s.List(ctx, probePrefix, "") {
		if err != nil {
			return removed, err
		}
		if time.Since(o.ModTime) >= s.o.DeadAfter && s.remove(ctx, o.Key, 0) {
			removed++
		}
	}
	return removed, nil
}

// remove deletes an object, or one generation of it, and says whether it did.
func (s *Store) remove(ctx context.Context, key string, generation int64) bool {
	ctx, cancel := backends.Detached(ctx)
	defer cancel()
	o := s.object(key)
	if generation != 0 {
		o = o.Generation(generation)
	}
	err := o.Delete(ctx)
	switch class := classOf(err); {
	case err == nil, class == backends.NotFound:
	case class == backends.Denied && strings.HasPrefix(key, scratch):
		s.notice("the rights here, or a retention policy, forbid to delete: what tested the service stays below " + scratch)
	default:
		s.notice("an object that should not stay could not be removed: " + backends.Printable(key) + ": " + answer{err}.Error())
	}
	return err == nil
}
