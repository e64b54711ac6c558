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

// probe writes a tiny object, which needs every right that a migration does,
// and then the same one with a wrong checksum, in one request and in a
// session. Where that is accepted nothing has changed.
func (s *Store) probe(ctx context.Context) error {
	key := probePrefix + strings.ToLower(rand.Text())
	content := []byte("regferry asks here whether the service refuses wrong checksums\n")
	right := sumsOf(content)
	if _, err := s.insert(ctx, key, content, right); err != nil {
		return err
	}
	defer s.remove(ctx, key, 0)
	wrong := sums{crc: right.crc + 1, md5: sumsOf([]byte("else")).md5}
	_, err := s.insert(ctx, key, content, wrong)
	if err != nil && classOf(err) != backends.Corrupt {
		return err
	}
	s.proof.whole = err != nil
	uri, err := s.begin(ctx, key, int64(len(content)))
	if err != nil {
		return err
	}
	defer s.cancel(ctx, uri)
	_, err = s.chunk(ctx, uri, chunk{b: content, size: int64(len(content)), crc: &wrong.crc})
	if err != nil && classOf(err) != backends.Corrupt {
		return err
	}
	s.proof.session = err != nil
	if !s.proof.whole || !s.proof.session {
		s.notice("the service does not refuse every wrong checksum: what it says that it stored is compared instead")
	}
	return nil
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
	if err != nil && classOf(err) != backends.NotFound {
		s.notice("an object that should not stay could not be removed: " + backends.Printable(key) + ": " + answer{err}.Error())
	}
	return err == nil
}
