package migrate

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify/layout"
)

// The brute force that the engine is held against: what a registry would show
// and serve, found without any of the engine's own means but the parsers.

// get returns an object of a store.
func get(s backends.ReadStore, key string) ([]byte, bool) {
	b, err := s.Open(context.Background(), key, 0)
	if err != nil {
		return nil, false
	}
	defer b.Close()
	data, err := io.ReadAll(b)
	return data, err == nil
}

func (x tree) get(key string) ([]byte, bool) {
	v, ok := x[key]
	return []byte(v), ok
}

// shown returns the tags, as repository:tag, that a registry lists: those with
// anything below their name, if it is one that can be pulled.
func shown(keys []string) []string {
	var names []string
	for _, key := range keys {
		repo := layout.Parse(key).Repository
		below, ok := strings.CutPrefix(key, layout.TagsPrefix(repo))
		if tag, _, nested := strings.Cut(below, "/"); ok && nested && layout.Parse(layout.TagKey(repo, tag)).Kind == layout.TagLink {
			names = append(names, repo+":"+tag)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (x tree) shown() []string {
	var keys []string
	for k := range x {
		keys = append(keys, k)
	}
	return shown(keys)
}

// broken returns those of the tags that a pull fails for.
func broken(tags []string, get func(string) ([]byte, bool)) []string {
	var names []string
	for _, name := range tags {
		repo, tag, _ := strings.Cut(name, ":")
		if servable(repo, tag, get) != nil {
			names = append(names, name)
		}
	}
	return names
}

func (x tree) broken() []string { return broken(x.shown(), x.get) }

// servable pulls a tag as a client and a registry do.
func servable(repo, tag string, get func(string) ([]byte, bool)) error {
	d, err := linked(layout.TagKey(repo, tag), get)
	if err != nil {
		return err
	}
	return pullManifest(repo, d, get)
}

func linked(key string, get func(string) ([]byte, bool)) (digest.Digest, error) {
	b, ok := get(key)
	if !ok {
		return "", fmt.Errorf("%s is missing", key)
	}
	return layout.ParseLink(b)
}

// pull reads what the link leads to and checks it against the name it has.
func pull(link string, name digest.Digest, get func(string) ([]byte, bool)) ([]byte, error) {
	at, err := linked(link, get)
	if err != nil {
		return nil, err
	}
	b, ok := get(layout.BlobKey(at))
	if !ok {
		return nil, fmt.Errorf("%s is missing", at)
	}
	if name.Algorithm().FromBytes(b) != name {
		return nil, fmt.Errorf("%s is not what it says", name)
	}
	return b, nil
}

func pullManifest(repo string, d digest.Digest, get func(string) ([]byte, bool)) error {
	b, err := pull(layout.RevisionKey(repo, d), d, get)
	if err != nil {
		return err
	}
	m, err := layout.ParseManifest(b)
	if err != nil {
		return err
	}
	for _, r := range m.References {
		switch {
		case r.Role == layout.Child:
			err = pullManifest(repo, r.Digest, get)
		case r.Role == layout.Layer && !r.Foreign:
			_, err = pull(layout.LayerKey(repo, r.Digest), r.Digest, get)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// wrong returns what must not be at a destination whatever the source was:
// blobs that are not what their name says, and links that hold no digest.
func (x tree) wrong() []string {
	var bad []string
	for key, content := range x {
		switch k := layout.Parse(key); k.Kind {
		case layout.Blob:
			if k.Digest.Algorithm().Available() && k.Digest.Algorithm().FromString(content) != k.Digest {
				bad = append(bad, key)
			}
		case layout.TagLink, layout.TagIndexLink, layout.RevisionLink, layout.LayerLink, layout.SignatureLink:
			if _, err := layout.ParseLink([]byte(content)); err != nil {
				bad = append(bad, key)
			}
		case layout.Upload, layout.Junk:
			bad = append(bad, key)
		}
	}
	slices.Sort(bad)
	return bad
}

// sound demands that a destination shows nothing wrong, and no broken tags but these.
func (x tree) sound(t testing.TB, but ...string) {
	t.Helper()
	if bad := x.wrong(); len(bad) > 0 {
		t.Errorf("wrong at the destination: %q", bad)
	}
	if bad := x.broken(); !slices.Equal(bad, but) {
		t.Errorf("broken at the destination: %q, want %q", bad, but)
	}
}
