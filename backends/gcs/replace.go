package gcs

import (
	"context"
	"strconv"

	"cloud.google.com/go/storage"

	"github.com/regferry/regferry/backends"
)

// Get reads a small object. Its version is the generation, a new one with each
// change.
func (s *Store) Get(ctx context.Context, key string) ([]byte, string, error) {
	content, generation, err := s.get(ctx, key)
	if err != nil {
		return nil, "", s.failed("get", key, err)
	}
	return content, strconv.FormatInt(generation, 10), nil
}

func (s *Store) get(ctx context.Context, key string) ([]byte, int64, error) {
	if err := backends.CheckKey(key, maxKey); err != nil {
		return nil, 0, err
	}
	in, err := s.object(key).NewReader(ctx)
	if err != nil {
		return nil, 0, s.absence(ctx, err)
	}
	if in.Attrs.Generation == 0 || in.Attrs.Size < 0 {
		in.Close()
		return nil, 0, errNoGeneration
	}
	content, err := backends.ReadSmall(backends.Promised(ctx, in, key, in.Attrs.Size))
	return content, in.Attrs.Generation, err
}

var (
	errNoGeneration = backends.Refuse(backends.Transient, "the answer does not say which generation of the object it is, or how long")
	errNotThatOne   = backends.Refuse(backends.Changed, "the version is none of this service's")
)

// PutIf is one request, which is not repeated: of one that has worked and whose
// answer was lost, the second would be told that somebody has changed the object.
// The service takes about one a second for each key, and is else Throttled.
func (s *Store) PutIf(ctx context.Context, key string, content []byte, version string) (string, error) {
	stored, err := s.putIf(ctx, key, content, version)
	if err != nil {
		return "", s.failed("replace", key, err)
	}
	return strconv.FormatInt(stored.generation, 10), nil
}

func (s *Store) putIf(ctx context.Context, key string, content []byte, version string) (stored, error) {
	if err := backends.CheckSmall(ctx, content); err != nil {
		return stored{}, err
	}
	if err := backends.CheckKey(key, maxKey); err != nil {
		return stored{}, err
	}
	on := storage.Conditions{DoesNotExist: true}
	if version != "" {
		generation, err := strconv.ParseInt(version, 10, 64)
		if err != nil || generation <= 0 {
			return stored{}, errNotThatOne
		}
		on = storage.Conditions{GenerationMatch: generation}
	}
	sums := sumsOf(content)
	got, err := s.insertOnce(ctx, s.object(key).If(on), content, sums)
	switch {
	case err != nil:
		return stored{}, bucketMissing(err)
	case got.generation == 0:
		return stored{}, errNoGeneration
	}
	return got, s.compare(ctx, key, got, int64(len(content)), sums.crc)
}
