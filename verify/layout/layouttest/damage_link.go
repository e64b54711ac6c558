package layouttest

import (
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/verify/layout"
)

func linkDamages() []Damage {
	absent := digest.FromString("never pushed")
	return []Damage{
		tagDamage("tag-link-empty", ""),
		tagDamage("tag-link-newline", "sha256:"+strings.Repeat("0", 64)+"\n"),
		tagDamage("tag-link-malformed", "sha256:zz"+absent.Encoded()[2:]),
		tagDamage("tag-link-zeros", strings.Repeat("\x00", 71)), // a file system after a power cut
		tagDamage("tag-link-absent", absent.String()),
		tagDamage("tag-link-huge", "sha256:"+strings.Repeat("0", 4000)),
		tagEdit("tag-link-truncated", func(link []byte) []byte { return link[:len(link)-1] }),
		tagEdit("tag-link-twice", func(link []byte) []byte { return slices.Concat(link, link) }),
		tagEdit("tag-link-and-newline", newline),
		{Name: "tag-link-to-layer", Apply: tagToLayer},
		{Name: "tag-link-directory", Apply: tagLinkDirectory},
		{Name: "tag-link-missing", Apply: tagLinkMissing},
		{Name: "tag-index-empty", Apply: tagIndexEmpty},
		revisionDamage("revision-link-missing", (*Registry).manifestVictim, remove),
		revisionDamage("revision-link-empty", (*Registry).manifestVictim, editing(func([]byte) []byte { return nil })),
		revisionDamage("revision-link-newline", (*Registry).manifestVictim, editing(newline)),
		revisionDamage("revision-link-wrong", (*Registry).manifestVictim, editing(another)),
		revisionDamage("child-link-missing", (*Registry).childVictim, remove),
		layerLinkDamage("layer-link-missing", remove),
		layerLinkDamage("layer-link-empty", editing(func([]byte) []byte { return nil })),
		layerLinkDamage("layer-link-newline", editing(newline)),
		layerLinkDamage("layer-link-wrong", editing(another)),
		{Name: "layer-link-dangling", Apply: danglingLayerLink},
		{Name: "revision-link-dangling", Apply: danglingRevisionLink},
	}
}

func newline(link []byte) []byte { return append(link, '\n') }

// another digest, which nothing has.
func another([]byte) []byte { return []byte(digest.FromString("another")) }

// tagDamage gives a tag's current/link other content: this tag is broken, and
// no other.
func tagDamage(name, content string) Damage {
	return tagEdit(name, func([]byte) []byte { return []byte(content) })
}

func tagEdit(name string, change func([]byte) []byte) Damage {
	return Damage{Name: name, Apply: func(dir string, r *Registry) (Hurt, error) {
		v, err := r.manifestVictim()
		if err != nil {
			return Hurt{}, err
		}
		key := layout.TagKey(v.repo.Name, v.tag)
		hurt := Hurt{Keys: []string{key}, Tags: []string{v.repo.Name + ":" + v.tag}}
		return hurt, edit(dir, key, change)
	}}
}

// tagLinkMissing leaves a tag with nothing but its index, as a push that was
// killed does: the registry lists it and cannot serve it.
func tagLinkMissing(dir string, r *Registry) (Hurt, error) {
	v, err := r.manifestVictim()
	if err != nil {
		return Hurt{}, err
	}
	key := layout.TagKey(v.repo.Name, v.tag)
	return Hurt{Keys: []string{key}, Tags: []string{v.repo.Name + ":" + v.tag}}, remove(dir, key)
}

// tagToLayer lets a tag name a layer, which is no revision.
func tagToLayer(dir string, r *Registry) (Hurt, error) {
	v, err := r.layerVictim()
	if err != nil {
		return Hurt{}, err
	}
	key := layout.TagKey(v.repo.Name, v.tag)
	hurt := Hurt{Keys: []string{key}, Tags: []string{v.repo.Name + ":" + v.tag}}
	return hurt, edit(dir, key, func([]byte) []byte { return []byte(v.digest) })
}

// tagLinkDirectory puts a directory where a tag's link should be.
func tagLinkDirectory(dir string, r *Registry) (Hurt, error) {
	v, err := r.manifestVictim()
	if err != nil {
		return Hurt{}, err
	}
	key := layout.TagKey(v.repo.Name, v.tag)
	return Hurt{Keys: []string{key}, Tags: []string{v.repo.Name + ":" + v.tag}}, directory(dir, key)
}

// tagIndexEmpty breaks no tag: pulling does not read the index.
func tagIndexEmpty(dir string, r *Registry) (Hurt, error) {
	v, err := r.manifestVictim()
	if err != nil {
		return Hurt{}, err
	}
	key := layout.TagIndexKey(v.repo.Name, v.tag, v.repo.Tags[v.tag])
	return Hurt{Keys: []string{key}}, edit(dir, key, func([]byte) []byte { return nil })
}

// revisionDamage does something to a revision link: the tags of this
// repository that need the revision are broken.
func revisionDamage(name string, find func(*Registry) (victim, error), do func(dir, key string) error) Damage {
	return Damage{Name: name, Apply: func(dir string, r *Registry) (Hurt, error) {
		v, err := find(r)
		if err != nil {
			return Hurt{}, err
		}
		key := layout.RevisionKey(v.repo.Name, v.digest)
		hurt := Hurt{Keys: []string{key}, Digest: v.digest, Tags: r.tagsNeeding(v.digest, v.repo.Name)}
		return hurt, do(dir, key)
	}}
}

// layerLinkDamage does the same to a layer link.
func layerLinkDamage(name string, do func(dir, key string) error) Damage {
	return Damage{Name: name, Apply: func(dir string, r *Registry) (Hurt, error) {
		v, err := r.layerVictim()
		if err != nil {
			return Hurt{}, err
		}
		key := layout.LayerKey(v.repo.Name, v.digest)
		hurt := Hurt{Keys: []string{key}, Digest: v.digest, Tags: r.tagsNeeding(v.digest, v.repo.Name)}
		return hurt, do(dir, key)
	}}
}

// danglingLayerLink adds what registry 2.8 leaves after its garbage collection
// took the blob: normal, and no tag needs it.
func danglingLayerLink(dir string, r *Registry) (Hurt, error) {
	return dangling(dir, r, layout.LayerKey)
}

// danglingRevisionLink adds an untagged revision whose manifest is gone. Its
// like stops a registry's garbage collection, but no tag needs it.
func danglingRevisionLink(dir string, r *Registry) (Hurt, error) {
	return dangling(dir, r, layout.RevisionKey)
}

func dangling(dir string, r *Registry, at func(string, digest.Digest) string) (Hurt, error) {
	v, err := r.manifestVictim()
	if err != nil {
		return Hurt{}, err
	}
	d := digest.FromString("collected")
	key := at(v.repo.Name, d)
	return Hurt{Keys: []string{key}, Digest: d}, add(dir, key, d.String())
}
