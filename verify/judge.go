package verify

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/report"
)

// judge ends a repository when all of it is listed: tags, then revisions that
// no tag has explained, then layer links that dangle.
func (at *repository) judge(ctx context.Context) error {
	if at == nil {
		return nil
	}
	_ = at.links.Wait() // its tasks report by themselves
	at.endUpload()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := at.linksAgain(ctx); err != nil {
		return err
	}
	if !at.mine.any && !at.theirs.any && len(at.tags) == 0 && len(at.wanted) == 0 {
		return nil // nothing but uploads, or not chosen
	}
	at.countUp()
	if at.undecided() {
		at.wantedMu.Lock()
		at.waiting = append(at.waiting, at)
		at.wantedMu.Unlock()
		return nil
	}
	return at.judgeNow(ctx)
}

func (at *repository) judgeNow(ctx context.Context) error {
	j := &judge{repository: at, closure: at.closure(&at.run.mine, &at.mine), source: at.closure(&at.other, &at.theirs)}
	for _, step := range []func(context.Context) error{j.allTags, j.allWanted, j.allRevisions, j.allAbsent, j.allDangling} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	at.Progress.repos.Add(1)
	at.Inventory.repository(at.out)
	at.Recorder.Repository(at.out)
	return nil
}

func (at *repository) countUp() {
	for _, k := range at.gone {
		if k.Kind == layout.RevisionLink {
			at.mine.count--
		}
	}
	count := func(s report.Side, l *linkSet) {
		if !l.any && len(at.wanted) == 0 {
			return
		}
		at.results.side(s, func(t *report.Totals) { t.Repositories++; t.Tags += int64(l.tags); t.Revisions += int64(l.count) })
	}
	count(at.run.mine.name, &at.mine)
	if at.comparing {
		count(report.Source, &at.theirs)
	}
	at.out.Tags, at.out.Revisions, at.out.Layers = at.mine.tags, at.mine.count, at.mine.layers.Len()
	at.results.add(&at.results.closed.tags, int64(at.mine.tags))
	at.results.add(&at.results.closed.revisions, int64(at.mine.count))
}

// judge is a repository of which everything is listed.
type judge struct {
	*repository
	closure, source *Closure
	lost            []digest.Digest        // revisions whose manifest is not there
	ask             map[digest.Digest]bool // blobs to be asked for again, see twice
}

// closure answers from what was listed of one side, and asks again before it
// says that something is missing: it may have been pushed since.
func (at *repository) closure(s *side, l *linkSet) *Closure {
	link := func(set *Set, kind layout.Kind) func(context.Context, digest.Digest) error {
		return func(ctx context.Context, d digest.Digest) error {
			if set.Has(d) {
				return nil
			}
			_, err := at.readLink(ctx, s, layout.Key{Kind: kind, Repository: at.name, Digest: d})
			if errors.Is(err, layout.ErrLink) {
				return absent(err)
			}
			if err == nil {
				set.Add(d)
			}
			return err
		}
	}
	return &Closure{
		Revision: link(&l.revisions, layout.RevisionLink),
		Layer:    link(&l.layers, layout.LayerLink),
		Blob: func(ctx context.Context, d digest.Digest) error {
			at.refer(s, d)
			return at.has(ctx, s, d)
		},
		Size: func(ctx context.Context, d digest.Digest, size int64) error { return at.asLarge(ctx, s, d, size) },
		Link: func(ctx context.Context, d digest.Digest) (digest.Digest, error) {
			target, err := at.readLink(ctx, s, layout.Key{Kind: layout.LayerLink, Repository: at.name, Digest: d})
			if errors.Is(err, layout.ErrLink) {
				return "", absent(err)
			}
			return target, err
		},
		Manifest: func(ctx context.Context, d digest.Digest) ([]byte, error) { return at.manifest(ctx, s, d) },
	}
}

func absent(err error) error {
	return &backends.Error{Op: "read", Class: backends.NotFound, Err: err}
}

// refer notes that something refers to a blob.
func (at *repository) refer(s *side, d digest.Digest) {
	if s == &at.run.mine {
		at.loose.Remove(d)
	}
}

// manifest answers damaged content as missing: no pull gets it.
func (at *repository) manifest(ctx context.Context, s *side, d digest.Digest) ([]byte, error) {
	at.refer(s, d)
	if err := at.has(ctx, s, d); err != nil {
		return nil, err
	}
	key := layout.BlobKey(d)
	data, err := at.small(ctx, s, key, MaxManifest)
	if errors.Is(err, backends.NotFound) && !errors.Is(err, errTooLong) {
		s.present.Remove(d) // it is gone since it was listed
	}
	if err != nil || !Provable(d) || d.Algorithm().FromBytes(data) == d {
		at.measure(s, d, data)
		return data, err
	}
	err = fmt.Errorf("its content has the digest %s", d.Algorithm().FromBytes(data))
	if s == &at.other || !at.comparing {
		at.corruptAt(s, report.Source, layout.Parse(key), err)
	} else {
		src, errSrc := at.objectOf(ctx, &at.other, key)
		if errSrc != nil {
			return nil, errSrc
		}
		at.corrupt(ctx, layout.Parse(key), err, src)
	}
	return nil, &backends.Error{Op: "read", Key: key, Class: backends.NotFound, Err: err}
}

// measure adds up, for the report, the repository's manifests and the blobs
// they name, and notes those that nothing else may refer to: subjects.
func (at *repository) measure(s *side, d digest.Digest, data []byte) {
	m, err := layout.ParseManifest(data)
	if err != nil || s != &at.run.mine {
		return
	}
	at.Inventory.manifest(d, m.MediaType)
	at.Inventory.needed(d)
	at.named(d, int64(len(data)))
	for _, r := range m.References {
		at.loose.Remove(r.Digest)
		if r.Role != layout.Subject {
			at.Inventory.needed(r.Digest)
		}
		if r.Role != layout.Child && r.Role != layout.Subject && !r.Foreign { // those count when they are read, if they are there
			at.named(r.Digest, r.Size)
		}
	}
}

func (at *repository) named(d digest.Digest, size int64) {
	if !at.sized.Add(d) {
		return
	}
	at.Inventory.named(d, size)
	at.mu.Lock()
	defer at.mu.Unlock()
	at.out.Bytes += max(size, 0)
}

// each calls f for 0..n-1, as many at a time as there are workers.
func (at *repository) each(ctx context.Context, n int, f func(i int) error) error {
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(at.Workers)
	for i := range n {
		if inner.Err() != nil {
			break
		}
		g.Go(func() error { return f(i) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return context.Cause(ctx)
}
