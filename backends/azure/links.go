package azure

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/appendblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"

	"github.com/regferry/regferry/backends"
)

// isLink says whether a key is what a tag points by, the only thing that a
// registry overwrites.
func isLink(key string, size int64) bool {
	return size <= small && strings.HasPrefix(key, registry+"repositories/") &&
		strings.Contains(key, "/_manifests/tags/") && strings.HasSuffix(key, "/current/link")
}

// putAppended makes an append blob in scratch and has the service copy it to
// its key, which keeps the type: an append blob in its place would be seen
// empty until the second request.
func (s *Store) putAppended(ctx context.Context, key string, b []byte) error {
	name := "link-" + strings.ToLower(rand.Text())
	s.held.Hold(name)
	defer s.held.Release(name)
	defer s.remove(ctx, name)
	if err := s.appended(ctx, scratch+name, b); err != nil {
		return err
	}
	err := s.move(ctx, scratch+name, key)
	if !bloberror.HasCode(err, bloberror.InvalidBlobType) {
		return err
	}
	return s.replace(ctx, key, func(ctx context.Context) error { return s.move(ctx, scratch+name, key) })
}

// appended makes an append blob. Its bytes are appended at 0 or not at all,
// since the SDK repeats a request whose answer was lost.
func (s *Store) appended(ctx context.Context, key string, b []byte) error {
	c := s.client.NewAppendBlobClient(s.root + key)
	if _, err := c.Create(ctx, &appendblob.CreateOptions{HTTPHeaders: headers(nil)}); err != nil || len(b) == 0 {
		return err
	}
	_, err := c.AppendBlock(ctx, body(b), &appendblob.AppendBlockOptions{
		TransactionalValidation:        s.claim(b),
		AppendPositionAccessConditions: &appendblob.AppendPositionAccessConditions{AppendPosition: to.Ptr(int64(0))},
	})
	if bloberror.HasCode(err, bloberror.AppendPositionConditionNotMet) {
		o, e := s.stat(ctx, key)
		if e == nil && o.Size == int64(len(b)) {
			return nil
		}
	}
	return err
}

// move has the service copy a blob, and waits until it has. It is not given up
// half way: to abort a copy leaves an empty blob in its place. One that failed
// is begun again for the same reason.
func (s *Store) move(ctx context.Context, from, key string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	ctx, cancel := backends.Detached(ctx)
	defer cancel()
	var err error
	for range 3 {
		var out blob.StartCopyFromURLResponse
		if out, err = s.blob(key).StartCopyFromURL(ctx, s.blob(from).URL(), nil); err != nil {
			return err
		}
		if err = s.copied(ctx, key, out); err == nil {
			return nil
		}
	}
	return err
}

// copied waits for a copy. It is over at once within an account, which is all
// that is done here.
func (s *Store) copied(ctx context.Context, key string, started blob.StartCopyFromURLResponse) error {
	status, id := started.CopyStatus, deref(started.CopyID)
	for wait := 10 * time.Millisecond; status != nil && *status == blob.CopyStatusTypePending; wait = min(2*wait, time.Second) {
		select {
		case <-ctx.Done():
			return backends.Refuse(backends.Transient, "the service has not copied the link to its place in time")
		case <-time.After(wait):
		}
		p, err := s.blob(key).GetProperties(ctx, nil)
		if err != nil {
			return err
		}
		if deref(p.CopyID) != id {
			return nil // somebody has written it since
		}
		status = p.CopyStatus
	}
	if status == nil || *status != blob.CopyStatusTypeSuccess {
		return backends.Refuse(backends.Transient, fmt.Sprintf("the service could not copy the link to its place: %s", deref(status)))
	}
	return nil
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
