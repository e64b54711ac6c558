package swift

import (
	"context"
	"slices"
	"strings"
	"time"
)

// Clean removes the segments of uploads of this program that are neither in
// keep, nor of this process, nor referred to by the object whose key is in
// their name, when the last of them is older than Options.DeadAfter. A
// registry's segments are left alone, whatever refers to them.
func (s *Store) Clean(ctx context.Context, keep map[string]bool) (int, error) {
	removed, err := s.clean(ctx, keep)
	if err != nil {
		return removed, fail("clean", "", err)
	}
	return removed, nil
}

func (s *Store) clean(ctx context.Context, keep map[string]bool) (removed int, err error) {
	var (
		root   = s.files.segmentsRoot()
		upload string // that the names before were of
		newest time.Time
	)
	over := func() error {
		if upload == "" || keep[upload] || s.held.Holds(upload) || newest.IsZero() || time.Since(newest) < s.o.DeadAfter {
			return nil
		}
		dead, err := s.dead(ctx, upload)
		if err != nil || !dead {
			return err
		}
		if err := s.files.removeSegments(ctx, []string{upload}); err != nil {
			return err
		}
		removed++
		return nil
	}
	for marker := ""; ; {
		page, err := s.files.page(ctx, root, marker, "", 1000)
		if err != nil {
			return removed, err
		}
		if len(page) == 0 {
			return removed, over()
		}
		for _, e := range page {
			name := strings.TrimPrefix(e.Name, root)
			dir := name[:max(0, strings.LastIndexByte(name, '/'))]
			if dir != upload {
				if err := over(); err != nil {
					return removed, err
				}
				upload, newest = dir, time.Time{}
			}
			if t := e.modified(); t.After(newest) {
				newest = t
			}
		}
		marker = page[len(page)-1].Name
	}
}

// dead says whether an upload is ours and its object is made of something else.
func (s *Store) dead(ctx context.Context, upload string) (bool, error) {
	key, ours := segmentsKey(upload)
	if !ours {
		return false, nil
	}
	unlock, err := s.lock(ctx, key)
	if err != nil {
		return false, err
	}
	defer unlock()
	m, err := s.files.manifest(ctx, key)
	return err == nil && !slices.Contains(m.mine, upload), err
}
