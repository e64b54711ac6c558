package swift

import (
	"context"
	"net/http"

	"github.com/regferry/regferry/backends"
)

// Delete removes an object, and then the segments that were made here for it. The
// segments of others stay, since a second manifest may name them: a registry of
// version 2.8 moves an upload to its blob by one, and has itself lost blobs by
// deleting what it took for the upload's (its issue 2878).
//
// It is not given up half way, nor when the segments cannot be removed: nothing
// refers to them any more, and Clean finds them. The service has no condition
// but that nothing be there, so nothing can be replaced on one.
func (s *Store) Delete(ctx context.Context, key string) error {
	if err := s.delete(ctx, key); err != nil {
		return fail("delete", key, err)
	}
	return nil
}

func (s *Store) delete(ctx context.Context, key string) error {
	if err := s.check(key); err != nil {
		return err
	}
	unlock, err := s.lock(ctx, key)
	if err != nil {
		return err
	}
	defer unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx, cancel := backends.Detached(ctx)
	defer cancel()
	old, err := s.files.deleteObject(ctx, key)
	if statusOf(err) == http.StatusNotFound {
		return nil
	}
	if err != nil {
		return err
	}
	s.tellOthers(old)
	s.discard(ctx, old.mine)
	return nil
}

// tellOthers tells of segments that are not removed with their object.
func (s *Store) tellOthers(old manifest) {
	if old.others {
		s.notice("segments of objects that were replaced or deleted stay below " + s.files.segmentsRoot() + ": they were not made by this program, and may belong to other objects")
	}
}

// deleteObject returns what the object was made of, which it leaves.
func (b *bucket) deleteObject(ctx context.Context, key string) (manifest, error) {
	old, err := b.manifest(ctx, key)
	if err != nil {
		return manifest{}, err
	}
	_, err = b.done(ctx, request{method: http.MethodDelete, object: b.root + key})
	return old, err
}
