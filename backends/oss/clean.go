package oss

import (
	"context"
	"strings"
	"time"

	sdk "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"

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
	for _, u := range uploads {
		id, key := sdk.ToString(u.UploadId), strings.TrimPrefix(sdk.ToString(u.Key), s.o.Prefix)
		if keep[id] || s.held.Holds(id) || !parts.IsBlob(key) || u.Initiated == nil || time.Since(*u.Initiated) < s.o.DeadAfter {
			continue
		}
		if err := ctx.Err(); err != nil {
			return removed, fail("clean", "", err)
		}
		s.abort(ctx, key, id)
		removed++
	}
	return removed, nil
}

func (s *Store) cleanScratch(ctx context.Context) (removed int, err error) {
	for o, err := range s.List(ctx, probePrefix, "") {
		if err != nil {
			return removed, err
		}
		if time.Since(o.ModTime) >= s.o.DeadAfter && s.tidy(ctx, o.Key) {
			removed++
		}
	}
	return removed, ctx.Err()
}

// tidy removes an object of the scratch, and says whether it did. That it cannot
// be is no failure of the run.
func (s *Store) tidy(ctx context.Context, key string) bool {
	err := s.remove(ctx, key)
	switch class := classOf(err); {
	case err == nil:
	case class == backends.Denied, class == backends.Unsupported: // the latter is what a retention policy is
		s.notice("the rights here, or a retention policy, forbid to delete: what tested the service stays below " + scratch)
	default:
		s.notice("an object that should not stay could not be removed: " + backends.Printable(key) + ": " + shortened(err).Error())
	}
	return err == nil
}

// uploads lists the unfinished ones below a prefix, at most 100,000.
func (s *Store) uploads(ctx context.Context, prefix string) ([]sdk.Upload, error) {
	var all []sdk.Upload
	in := &sdk.ListMultipartUploadsRequest{Bucket: &s.o.Bucket, Prefix: s.d.name(prefix), EncodingType: sdk.Ptr("url"), MaxUploads: 1000}
	for len(all) < 100_000 {
		out, err := s.d.client.ListMultipartUploads(ctx, in)
		if err != nil {
			return nil, ended(ctx, err)
		}
		all = append(all, out.Uploads...)
		if !out.IsTruncated || len(out.Uploads) == 0 {
			break
		}
		in.KeyMarker, in.UploadIdMarker = out.NextKeyMarker, out.NextUploadIdMarker
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
		if sdk.ToString(u.UploadId) == id {
			mine = sdk.ToTime(u.Initiated)
		}
	}
	var stale []string
	for _, u := range uploads {
		other := sdk.ToString(u.UploadId)
		if sdk.ToString(u.Key) == s.o.Prefix+key && other != id && !sdk.ToTime(u.Initiated).After(mine) && !s.held.Holds(other) {
			stale = append(stale, other)
		}
	}
	return stale
}

func (s *Store) cannotList(err error) bool {
	switch classOf(err) {
	case backends.Denied:
		s.notice("unfinished uploads of dead runs are not looked for: oss:ListMultipartUploads is denied")
		return true
	case backends.Unsupported:
		s.notice("unfinished uploads of dead runs are not looked for: the store cannot list them")
		return true
	}
	return false
}
