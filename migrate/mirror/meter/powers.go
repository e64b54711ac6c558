package meter

import (
	"context"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
)

// powers counts those that there are. Prover asks the service nothing.
func (t *tally) powers(p backends.Powers) backends.Powers {
	if p.Syncer != nil {
		p.Syncer = syncer{p.Syncer, t}
	}
	if p.Spacer != nil {
		p.Spacer = spacer{p.Spacer, t}
	}
	if p.Cleaner != nil {
		p.Cleaner = cleaner{p.Cleaner, t}
	}
	if p.ServerSideCopier != nil {
		p.ServerSideCopier = copier{p.ServerSideCopier, t}
	}
	if p.ChecksumReporter != nil {
		p.ChecksumReporter = reporter{p.ChecksumReporter, t}
	}
	if p.Placer != nil {
		p.Placer = placer{p.Placer, t}
	}
	if p.Deleter != nil {
		p.Deleter = deleter{p.Deleter, t}
	}
	if p.ConditionalPutter != nil {
		p.ConditionalPutter = conditional{p.ConditionalPutter, t}
	}
	if p.Trier != nil {
		p.Trier = trier{p.Trier, t}
	}
	if p.Cautioner != nil {
		p.Cautioner = cautioner{p.Cautioner, t}
	}
	return p
}

type syncer struct {
	backends.Syncer
	t *tally
}

func (s syncer) Sync(ctx context.Context) error {
	return s.t.do("sync", func() error { return s.Syncer.Sync(ctx) })
}

type spacer struct {
	backends.Spacer
	t *tally
}

func (s spacer) Space(ctx context.Context) (space backends.Space, err error) {
	err = s.t.do("space", func() error { space, err = s.Spacer.Space(ctx); return err })
	return space, err
}

type cleaner struct {
	backends.Cleaner
	t *tally
}

func (s cleaner) Clean(ctx context.Context, keep map[string]bool) (n int, err error) {
	err = s.t.do("clean", func() error { n, err = s.Cleaner.Clean(ctx, keep); return err })
	return n, err
}

// copier shows the drivers the source itself: they ask for a type of their own.
type copier struct {
	backends.ServerSideCopier
	t *tally
}

func (s copier) CopiesFrom(src backends.ReadStore) bool {
	return s.ServerSideCopier.CopiesFrom(unwrap(src))
}

func (s copier) CopyFrom(ctx context.Context, src backends.ReadStore, o backends.Object, d digest.Digest) error {
	err := s.t.do("copy", func() error { return s.ServerSideCopier.CopyFrom(ctx, unwrap(src), o, d) })
	if err == nil {
		s.t.wrote(int(max(o.Size, 0)), s.t.copied)
	}
	s.t.stored(err)
	return err
}

func unwrap(s backends.ReadStore) backends.ReadStore {
	for {
		w, ok := s.(interface{ Unwrap() backends.ReadStore })
		if !ok {
			return s
		}
		s = w.Unwrap()
	}
}

type reporter struct {
	backends.ChecksumReporter
	t *tally
}

func (s reporter) StoredDigest(ctx context.Context, key string) (d digest.Digest, size int64, err error) {
	err = s.t.do("digest", func() error { d, size, err = s.ChecksumReporter.StoredDigest(ctx, key); return err })
	return d, size, err
}

type placer struct {
	backends.Placer
	t *tally
}

func (s placer) InPlace(ctx context.Context) error {
	return s.t.do("place", func() error { return s.Placer.InPlace(ctx) })
}

type deleter struct {
	backends.Deleter
	t *tally
}

func (s deleter) Delete(ctx context.Context, key string) error {
	return s.t.do("delete", func() error { return s.Deleter.Delete(ctx, key) })
}

// conditional is for a lease: its few bytes are not counted as written.
type conditional struct {
	backends.ConditionalPutter
	t *tally
}

func (s conditional) Get(ctx context.Context, key string) (content []byte, version string, err error) {
	err = s.t.do("get", func() error { content, version, err = s.ConditionalPutter.Get(ctx, key); return err })
	return content, version, err
}

func (s conditional) PutIf(ctx context.Context, key string, content []byte, version string) (next string, err error) {
	err = s.t.do("put if", func() error { next, err = s.ConditionalPutter.PutIf(ctx, key, content, version); return err })
	return next, err
}

type trier struct {
	backends.Trier
	t *tally
}

func (s trier) Try(ctx context.Context) (trial backends.Trial, err error) {
	err = s.t.do("try", func() error { trial, err = s.Trier.Try(ctx); return err })
	return trial, err
}

type cautioner struct {
	backends.Cautioner
	t *tally
}

func (s cautioner) Cautions(ctx context.Context) (cautions []string) {
	_ = s.t.do("cautions", func() error { cautions = s.Cautioner.Cautions(ctx); return nil })
	return cautions
}
