package s3

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sync/errgroup"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/parts"
)

// Clean aborts unfinished uploads of blobs, older than Options.DeadAfter, that
// are neither in keep nor of this process. A registry pushes in parts as well,
// to keys below _uploads, which are left alone, and copies large ones in parts
// to a blob's key, which takes minutes; nothing in the list of uploads tells
// whose one is, so only age does.
//
// The objects in scratch that are as old go, too: a run that was killed left
// them.
//
// MinIO lists uploads of one exact key only: nothing is found there. What dead
// runs left of a blob is also aborted when that blob is stored.
func (s *Store) Clean(ctx context.Context, keep map[string]bool) (int, error) {
	removed, err := s.cleanScratch(ctx)
	if err != nil {
		return removed, err
	}
	uploads, err := s.uploads(ctx, parts.Blobs)
	if err != nil {
		if s.cannotList(err) {
			return removed, nil
		}
		return removed, s.failed("clean", "", err)
	}
	w, inner := newSweep(ctx)
	for _, u := range uploads {
		id, key := aws.ToString(u.UploadId), strings.TrimPrefix(aws.ToString(u.Key), s.o.Prefix)
		if keep[id] || s.held.Holds(id) || !parts.IsBlob(key) || u.Initiated == nil || time.Since(*u.Initiated) < s.o.DeadAfter {
			continue
		}
		w.do(inner, func() error { return s.abort(ctx, key, id) })
	}
	removed += w.wait()
	if err := ctx.Err(); err != nil {
		return removed, fail("clean", "", err)
	}
	return removed, nil
}

func (s *Store) cleanScratch(ctx context.Context) (int, error) {
	w, inner := newSweep(ctx)
	for _, prefix := range []string{copyPrefix, probePrefix} {
		for o, err := range s.List(ctx, prefix, "") {
			if err != nil {
				return w.wait(), err
			}
			if inner.Err() != nil {
				break
			}
			if time.Since(o.ModTime) >= s.o.DeadAfter {
				w.do(inner, func() error { return s.remove(ctx, o.Key) })
			}
		}
	}
	return w.wait(), nil
}

// sweep removes things, some at a time.
type sweep struct {
	group   *errgroup.Group
	removed atomic.Int64
}

// newSweep returns a context that ends with the first thing that is Denied,
// since the others would be, too.
func newSweep(ctx context.Context) (*sweep, context.Context) {
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(16)
	return &sweep{group: group}, inner
}

func (w *sweep) do(ctx context.Context, remove func() error) {
	w.group.Go(func() error {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := remove()
		if err == nil {
			w.removed.Add(1)
		}
		if classOf(err) == backends.Denied {
			return err
		}
		return nil
	})
}

// wait returns how many things were removed.
func (w *sweep) wait() int {
	_ = w.group.Wait() // what was denied has been told
	return int(w.removed.Load())
}

// uploads lists the unfinished ones below a prefix, at most 100,000.
func (s *Store) uploads(ctx context.Context, prefix string) ([]types.MultipartUpload, error) {
	var all []types.MultipartUpload
	p := s3.NewListMultipartUploadsPaginator(s.client, &s3.ListMultipartUploadsInput{Bucket: &s.o.Bucket, Prefix: s.name(prefix)})
	for p.HasMorePages() && len(all) < 100_000 {
		out, err := p.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, out.Uploads...)
	}
	return all, nil
}

// staleUploads are those of a blob that were begun before this one, by the
// service's clock. They end when the blob is stored: whoever is still at it
// has lost nothing but time.
func (s *Store) staleUploads(ctx context.Context, key, id string) []string {
	if !parts.IsBlob(key) {
		return nil
	}
	uploads, err := s.uploads(ctx, key)
	if err != nil {
		s.cannotList(err)
		return nil
	}
	var mine time.Time
	for _, u := range uploads {
		if aws.ToString(u.UploadId) == id {
			mine = aws.ToTime(u.Initiated)
		}
	}
	var stale []string
	for _, u := range uploads {
		other := aws.ToString(u.UploadId)
		if aws.ToString(u.Key) == s.o.Prefix+key && other != id && !aws.ToTime(u.Initiated).After(mine) && !s.held.Holds(other) {
			stale = append(stale, other)
		}
	}
	return stale
}

func (s *Store) cannotList(err error) bool {
	switch classOf(err) {
	case backends.Denied:
		s.notice("unfinished uploads of dead runs are not looked for: s3:ListBucketMultipartUploads is denied")
		return true
	case backends.Unsupported:
		s.notice("unfinished uploads of dead runs are not looked for: the store cannot list them")
		return true
	}
	return false
}
