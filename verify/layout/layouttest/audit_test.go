package layouttest

import (
	"fmt"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/verify/layout"
)

// tree is a registry as its bytes: the brute force that the rest is held
// against.
type tree map[string][]byte

// brokenTags returns repository:tag of each tag that a registry would list and
// could not serve in full, sorted.
func (t tree) brokenTags() []string {
	tags := map[layout.Key]bool{} // TagLink keys, there or only implied by an index
	for key := range t {
		k := layout.Parse(key)
		if k.Kind == layout.TagLink || k.Kind == layout.TagIndexLink {
			tags[layout.Key{Kind: layout.TagLink, Repository: k.Repository, Tag: k.Tag}] = true
		}
	}
	var broken []string
	for k := range maps.Keys(tags) {
		if err := t.tag(k); err != nil {
			broken = append(broken, k.Repository+":"+k.Tag)
		}
	}
	slices.Sort(broken)
	return broken
}

func (t tree) tag(k layout.Key) error {
	d, err := t.link(k.String())
	if err != nil {
		return err
	}
	return t.manifest(k.Repository, d)
}

func (t tree) link(key string) (digest.Digest, error) {
	b, ok := t[key]
	if !ok {
		return "", fmt.Errorf("%s: missing", key)
	}
	return layout.ParseLink(b)
}

// blob returns the bytes that link leads to.
func (t tree) blob(link string) ([]byte, error) {
	d, err := t.link(link)
	if err != nil {
		return nil, err
	}
	b, ok := t[layout.BlobKey(d)]
	if !ok {
		return nil, fmt.Errorf("%s: missing", d)
	}
	if got := d.Algorithm().FromBytes(b); got != d {
		return nil, fmt.Errorf("%s: is %s", d, got)
	}
	return b, nil
}

func (t tree) manifest(repo string, d digest.Digest) error {
	b, err := t.blob(layout.RevisionKey(repo, d))
	if err != nil {
		return err
	}
	m, err := layout.ParseManifest(b)
	if err != nil {
		return err
	}
	for _, r := range m.References {
		if r.Foreign {
			continue
		}
		switch r.Role {
		case layout.Layer:
			b, err := t.blob(layout.LayerKey(repo, r.Digest))
			if err != nil {
				return err
			}
			if r.Size >= 0 && int64(len(b)) != r.Size || r.Digest.Algorithm().FromBytes(b) != r.Digest {
				return fmt.Errorf("%s: not what %s says", r.Digest, d)
			}
		case layout.Child:
			if err := t.manifest(repo, r.Digest); err != nil {
				return err
			}
		case layout.Either:
			return fmt.Errorf("%s: nothing here is of an unknown type", r.Digest)
		}
	}
	return nil
}
