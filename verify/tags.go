package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify/layout"
)

// Audit judges the tags of one store from that store alone.
type Audit struct {
	Store   backends.ReadStore
	Blob    func(ctx context.Context, d digest.Digest) error // as in Closure; nil: asks the store for each
	Match   func(repository string) bool                     // nil: all
	Workers int                                              // requests in flight; default 1

	// Pause waits before something is tried again, as for [List]; nil: nothing is.
	Pause func(ctx context.Context, try int, broken error) error
}

// TagVerdict is the verdict on one tag. Err says why there is none; for a link
// that holds no digest errors.Is(Err, layout.ErrLink) holds.
type TagVerdict struct {
	Repository, Tag string
	Digest          digest.Digest
	Verdict         Verdict
	Err             error
}

// MaxManifest is the size, in bytes, beyond which no registry accepts a
// manifest: twice the 4 MiB of registries 2.8 and 3.
const MaxManifest = 8 << 20

const maxLink = 1 << 10

// Tags judges every tag and calls found for each, from one goroutine at a
// time. It returns an error when a listing failed. It holds 8 bytes a link of
// the repositories at hand, one for each letter or digit that names begin with.
func (a Audit) Tags(ctx context.Context, found func(TagVerdict)) error {
	if a.Pause == nil {
		a.Pause = func(_ context.Context, _ int, broken error) error { return broken }
	}
	if a.Blob == nil {
		a.Blob = func(ctx context.Context, d digest.Digest) error {
			return again(ctx, a.Pause, func() error {
				_, err := a.Store.Stat(ctx, layout.BlobKey(d))
				return err
			})
		}
	}
	verdicts := make(chan TagVerdict)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(max(1, a.Workers))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for v := range verdicts {
			found(v)
		}
	}()
	for _, prefix := range layout.Partitions() {
		g.Go(func() error { return a.partition(ctx, prefix, verdicts) })
	}
	err := g.Wait()
	close(verdicts)
	<-done
	return err
}

// audited is one repository at hand.
type audited struct {
	name              string
	tags              []string
	revisions, layers Set
}

func (a Audit) partition(ctx context.Context, prefix string, verdicts chan<- TagVerdict) error {
	at := &audited{}
	for o, err := range List(ctx, a.Store, prefix, "", a.Pause) {
		if err != nil {
			return err
		}
		k := layout.Parse(o.Key)
		if k.Repository == "" {
			continue
		}
		if k.Repository != at.name {
			if err := a.repository(ctx, at, verdicts); err != nil {
				return err
			}
			at = &audited{name: k.Repository}
		}
		switch {
		case k.Kind == layout.TagLink:
			at.tags = append(at.tags, k.Tag)
		case o.Size == 0: // what a crash leaves of a link; a registry reads it as none
		case k.Kind == layout.RevisionLink:
			at.revisions.Add(k.Digest)
		case k.Kind == layout.LayerLink:
			at.layers.Add(k.Digest)
		}
	}
	return a.repository(ctx, at, verdicts)
}

func (a Audit) repository(ctx context.Context, at *audited, verdicts chan<- TagVerdict) error {
	if a.Match != nil && !a.Match(at.name) {
		return nil
	}
	c := &Closure{
		Revision: linked(&at.revisions, "revision link"),
		Layer:    linked(&at.layers, "layer link"),
		Blob:     a.Blob,
		Manifest: a.manifest,
		Link: func(ctx context.Context, d digest.Digest) (digest.Digest, error) {
			return a.link(ctx, layout.LayerKey(at.name, d))
		},
	}
	for _, name := range at.tags {
		v := TagVerdict{Repository: at.name, Tag: name}
		if v.Digest, v.Err = a.link(ctx, layout.TagKey(at.name, name)); v.Err == nil {
			v.Verdict, v.Err = c.Judge(ctx, v.Digest)
		}
		select {
		case verdicts <- v:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

func linked(s *Set, what string) func(context.Context, digest.Digest) error {
	return func(_ context.Context, d digest.Digest) error {
		if s.Has(d) {
			return nil
		}
		return fmt.Errorf("%s of %s: %w", what, d, backends.NotFound)
	}
}

func (a Audit) link(ctx context.Context, key string) (digest.Digest, error) {
	data, err := a.read(ctx, key, maxLink, nothing)
	if err != nil {
		return "", err
	}
	d, err := layout.ParseLink(data)
	if err != nil {
		return "", &backends.Error{Op: "read", Key: key, Class: backends.NotFound, Err: err} // no pull gets past it
	}
	return d, nil
}

// manifest answers damaged content as missing: no pull gets it.
func (a Audit) manifest(ctx context.Context, d digest.Digest) ([]byte, error) {
	if err := a.Blob(ctx, d); err != nil {
		return nil, err
	}
	key := layout.BlobKey(d)
	data, err := a.read(ctx, key, MaxManifest, func(data []byte) error {
		if !Provable(d) || d.Algorithm().FromBytes(data) == d {
			return nil
		}
		return &backends.Error{Op: "read", Key: key, Class: backends.Corrupt, Err: fmt.Errorf("its content has the digest %s", d.Algorithm().FromBytes(data))}
	})
	if backends.ClassOf(err) == backends.Corrupt {
		err = &backends.Error{Op: "read", Key: key, Class: backends.NotFound, Err: err}
	}
	return data, err
}

// read reads a whole object that check finds nothing wrong with.
func (a Audit) read(ctx context.Context, key string, limit int64, check func([]byte) error) (data []byte, err error) {
	err = again(ctx, a.Pause, func() error {
		if data, err = read(ctx, a.Store, key, limit); err != nil {
			return err
		}
		return check(data)
	})
	return data, err
}

func nothing([]byte) error { return nil }

var errTooLong = errors.New("it is longer than makes sense for it")

// read reads a whole object of at most limit bytes.
func read(ctx context.Context, s backends.ReadStore, key string, limit int64) ([]byte, error) {
	b, err := s.Open(ctx, key, 0)
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	n, err := io.Copy(&buf, io.LimitReader(b, limit+1))
	if err = errors.Join(err, b.Close()); err != nil {
		return nil, err
	}
	if n > limit {
		return nil, &backends.Error{Op: "read", Key: key, Class: backends.NotFound, Err: fmt.Errorf("%w: more than %d bytes", errTooLong, limit)}
	}
	return buf.Bytes(), nil
}
