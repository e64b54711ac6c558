package backendtest

import (
	"context"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
)

// powers wraps those that s has and leaves out those that it has not.
func (f *Faults) powers(s backends.ReadStore) backends.Powers {
	p := backends.PowersOf(s)
	if p.Syncer != nil {
		p.Syncer = faultySyncer{p.Syncer, f}
	}
	if p.Spacer != nil {
		p.Spacer = faultySpacer{p.Spacer, f}
	}
	if p.Cleaner != nil {
		p.Cleaner = faultyCleaner{p.Cleaner, f}
	}
	if p.ServerSideCopier != nil {
		p.ServerSideCopier = faultyCopier{p.ServerSideCopier, f}
	}
	if p.ChecksumReporter != nil {
		p.ChecksumReporter = faultyReporter{p.ChecksumReporter, f}
	}
	if p.Deleter != nil {
		p.Deleter = faultyDeleter{p.Deleter, f}
	}
	if p.ConditionalPutter != nil {
		p.ConditionalPutter = faultyReplacer{p.ConditionalPutter, f}
	}
	return p
}

type faultySyncer struct {
	backends.Syncer
	f *Faults
}

func (s faultySyncer) Sync(ctx context.Context) error {
	a, err := s.f.call(ctx, "sync", "")
	if err != nil {
		return err
	}
	return s.f.after(a, "sync", "", s.Syncer.Sync(ctx))
}

type faultySpacer struct {
	backends.Spacer
	f *Faults
}

func (s faultySpacer) Space(ctx context.Context) (backends.Space, error) {
	if _, err := s.f.call(ctx, "space", ""); err != nil {
		return backends.Space{}, err
	}
	return s.Spacer.Space(ctx)
}

type faultyCleaner struct {
	backends.Cleaner
	f *Faults
}

func (s faultyCleaner) Clean(ctx context.Context, keep map[string]bool) (int, error) {
	a, err := s.f.call(ctx, "clean", "")
	if err != nil {
		return 0, err
	}
	n, err := s.Cleaner.Clean(ctx, keep)
	return n, s.f.after(a, "clean", "", err)
}

type faultyCopier struct {
	backends.ServerSideCopier
	f *Faults
}

func (s faultyCopier) CopyFrom(ctx context.Context, src backends.ReadStore, o backends.Object, d digest.Digest) error {
	a, err := s.f.call(ctx, "copy", o.Key)
	if err != nil {
		return err
	}
	return s.f.after(a, "copy", o.Key, s.ServerSideCopier.CopyFrom(ctx, src, o, d))
}

type faultyReporter struct {
	backends.ChecksumReporter
	f *Faults
}

func (s faultyReporter) StoredDigest(ctx context.Context, key string) (digest.Digest, int64, error) {
	if _, err := s.f.call(ctx, "digest", key); err != nil {
		return "", -1, err
	}
	return s.ChecksumReporter.StoredDigest(ctx, key)
}

type faultyDeleter struct {
	backends.Deleter
	f *Faults
}

func (s faultyDeleter) Delete(ctx context.Context, key string) error {
	a, err := s.f.call(ctx, "delete", key)
	if err != nil {
		return err
	}
	return s.f.after(a, "delete", key, s.Deleter.Delete(ctx, key))
}

type faultyReplacer struct {
	backends.ConditionalPutter
	f *Faults
}

func (s faultyReplacer) Get(ctx context.Context, key string) ([]byte, string, error) {
	if _, err := s.f.call(ctx, "get", key); err != nil {
		return nil, "", err
	}
	return s.ConditionalPutter.Get(ctx, key)
}

func (s faultyReplacer) PutIf(ctx context.Context, key string, content []byte, version string) (string, error) {
	a, err := s.f.call(ctx, "replace", key)
	if err != nil {
		return "", err
	}
	next, err := s.ConditionalPutter.PutIf(ctx, key, content, version)
	if err == nil {
		s.f.back(key)
	}
	if err = s.f.after(a, "replace", key, err); err != nil {
		return "", err
	}
	return next, nil
}

// powered has the powers that it says it has.
type powered struct {
	backends.Store
	p backends.Powers
}

func (s powered) Powers() backends.Powers { return s.p }

type poweredReads struct {
	backends.ReadStore
	p backends.Powers
}

func (s poweredReads) Powers() backends.Powers { return s.p }
