package swift

import (
	"context"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// cleaners is how many uploads are looked at together: each that lives is a
// request, and a registry may have hundreds of thousands.
const cleaners = 32

// Clean removes the segments of uploads of this program that are neither in
// keep, nor of this process, nor referred to by the object whose key is in
// their name, when the last of them is older than Options.DeadAfter. A
// registry's segments are left alone, whatever refers to them.
//
// It costs a listing of all segments, and for each large object one request.
func (s *Store) Clean(ctx context.Context, keep map[string]bool) (int, error) {
	var removed atomic.Int64
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(cleaners)
	err := s.uploads(inner, func(upload string, newest time.Time) {
		if keep[upload] || s.held.Holds(upload) || newest.IsZero() || time.Since(newest) < s.o.DeadAfter {
			return
		}
		g.Go(func() error {
			dead, err := s.dead(inner, upload)
			if err == nil && dead {
				err = s.files.removeSegments(inner, []string{upload})
			}
			if err == nil && dead {
				removed.Add(1)
			}
			return err
		})
	})
	if e := g.Wait(); e != nil {
		err = e // the listing was given up for this
	}
	if err != nil {
		err = fail("clean", "", err)
	}
	return int(removed.Load()), err
}

// uploads calls see for each directory of segments, with the time of the last.
func (s *Store) uploads(ctx context.Context, see func(upload string, newest time.Time)) error {
	var (
		root   = s.files.segmentsRoot()
		upload string // that the names before were of
		newest time.Time
	)
	for marker := ""; ; {
		page, err := s.files.page(ctx, root, marker, "", 1000)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		for _, e := range page {
			name := strings.TrimPrefix(e.Name, root)
			dir := name[:max(0, strings.LastIndexByte(name, '/'))]
			if dir != upload {
				if upload != "" {
					see(upload, newest)
				}
				upload, newest = dir, time.Time{}
			}
			if t := e.modified(); t.After(newest) {
				newest = t
			}
		}
		marker = page[len(page)-1].Name
	}
	if upload != "" {
		see(upload, newest)
	}
	return nil
}

// dead says whether an upload is ours and its object is made of something else.
//
// Most live, and then one request tells, if they are SLOs. What does not is looked
// at twice, since removal is for ever: Swift answers 404 for an object that is
// there while an object server replaces its file, or when the servers that have
// it are late; so what is absent must not be listed either. A listing that is
// behind keeps the segments for another day.
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
	if !s.dlo && s.files.slo(ctx, key).has(upload) {
		return false, nil
	}
	for try := 1; try <= 2; try++ {
		m, err := s.files.manifest(ctx, key)
		if err != nil || m.has(upload) {
			return false, err
		}
		if m.header == nil {
			if listed, err := s.files.lists(ctx, key); err != nil || listed {
				return false, err
			}
		}
		if err := pause(ctx, try); err != nil {
			return false, err
		}
	}
	return true, nil
}

// slo is what an SLO is made of, by one request; of anything else it is empty.
func (b *bucket) slo(ctx context.Context, key string) (m manifest) {
	names, err := b.sloSegments(ctx, b.root+key)
	if err != nil {
		return manifest{}
	}
	for _, name := range names {
		b.note(&m, key, name, true)
	}
	return m
}

// lists says whether the container lists an object of exactly that key.
func (b *bucket) lists(ctx context.Context, key string) (bool, error) {
	page, err := b.page(ctx, b.root+key, "", "", 1) // the shortest name that begins so is the first
	return len(page) > 0 && page[0].Name == b.root+key, err
}
