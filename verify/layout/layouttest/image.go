package layouttest

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/regferry/regferry/verify/layout"
)

// dialect is the media types of an image: Docker's and OCI's take turns.
type dialect struct{ manifest, index, config, layer string }

var dialects = [...]dialect{
	{v1.MediaTypeImageManifest, v1.MediaTypeImageIndex, v1.MediaTypeImageConfig, v1.MediaTypeImageLayerGzip},
	{layout.DockerManifest, layout.DockerList, "application/vnd.docker.container.image.v1+json", "application/vnd.docker.image.rootfs.diff.tar.gzip"},
}

func (m *maker) taggedImage(tag string) error {
	desc, err := m.image(dialects[m.images%2], v1.Platform{OS: "linux", Architecture: "amd64"})
	if err != nil {
		return err
	}
	return m.tag(tag, desc.Digest)
}

// taggedIndex makes an image for each of two platforms, which have no tags
// themselves, and an index of both.
func (m *maker) taggedIndex(tag string) error {
	kind := dialects[m.images/2%2]
	index := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: kind.index}
	for _, p := range []v1.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm", Variant: "v7"}} {
		desc, err := m.image(kind, p)
		if err != nil {
			return err
		}
		desc.Platform = &p
		index.Manifests = append(index.Manifests, desc)
	}
	desc, err := m.manifest(kind.index, index, index.Manifests...)
	if err != nil {
		return err
	}
	m.repo.Indexes = append(m.repo.Indexes, tag)
	return m.tag(tag, desc.Digest)
}

// image makes an image with its layers and a config of its own.
func (m *maker) image(kind dialect, p v1.Platform) (v1.Descriptor, error) {
	layers, err := m.layers()
	if err != nil {
		return v1.Descriptor{}, err
	}
	created := time.Unix(1700000000, 0).UTC().Add(time.Duration(m.images) * time.Minute)
	config := v1.Image{
		Created:  &created,
		Platform: p,
		Config:   v1.ImageConfig{Cmd: []string{"/bin/app", fmt.Sprint(m.images)}},
		RootFS:   v1.RootFS{Type: "layers"},
	}
	m.images++
	manifest := v1.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: kind.manifest, Layers: []v1.Descriptor{}}
	for _, l := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, l.digest)
		config.History = append(config.History, v1.History{Created: &created, CreatedBy: "layouttest"})
		manifest.Layers = append(manifest.Layers, v1.Descriptor{MediaType: kind.layer, Digest: l.digest, Size: l.size})
	}
	b, err := json.Marshal(config)
	if err != nil {
		return v1.Descriptor{}, err
	}
	c, err := m.blob(bytesContent(b, digest.SHA256))
	if err != nil {
		return v1.Descriptor{}, err
	}
	manifest.Config = v1.Descriptor{MediaType: kind.config, Digest: c.digest, Size: c.size}
	return m.manifest(kind.manifest, manifest, append(manifest.Layers, manifest.Config)...)
}

// layers makes or takes the layers of an image. The first image of all has the
// special ones too.
func (m *maker) layers() ([]named, error) {
	var layers []named
	if m.images == 0 {
		special, err := m.specialLayers()
		if err != nil {
			return nil, err
		}
		layers = special
	}
	for range m.shape.Layers {
		if len(m.shared) > 0 && m.rng.Float64() < m.shape.Shared {
			l := m.shared[m.rng.IntN(len(m.shared))]
			if err := m.layerLink(l.digest, l.digest); err != nil {
				return nil, err
			}
			layers = append(layers, l)
			continue
		}
		l, err := m.blob(m.newLayer(logUniform(m.rng, m.shape.MinLayer, m.shape.MaxLayer), digest.SHA256))
		if err != nil {
			return nil, err
		}
		m.shared = append(m.shared, l)
		layers = append(layers, l)
	}
	return layers, nil
}

func (m *maker) specialLayers() ([]named, error) {
	var layers []named
	add := func(want bool, c func() content) error {
		if !want {
			return nil
		}
		l, err := m.blob(c())
		layers = append(layers, l)
		return err
	}
	if err := add(m.shape.EmptyLayer, func() content { return bytesContent(nil, digest.SHA256) }); err != nil {
		return nil, err
	}
	if err := add(m.shape.SHA512, func() content { return m.newLayer(m.shape.MinLayer, digest.SHA512) }); err != nil {
		return nil, err
	}
	if !m.shape.Alias {
		return layers, nil
	}
	c := m.newLayer(m.shape.MinLayer, digest.SHA256)
	stored, err := m.blob(c)
	if err != nil {
		return nil, err
	}
	other, err := digest.SHA512.FromReader(c.open())
	if err != nil {
		return nil, err
	}
	m.made.Aliases[other] = stored.digest
	return append(layers, named{other, stored.size}), m.layerLink(other, stored.digest)
}

func (m *maker) newLayer(size int64, alg digest.Algorithm) content {
	m.numbers++
	return layerContent(m.shape.Seed, m.numbers, size, alg)
}

// manifest stores a manifest and its revision link.
func (m *maker) manifest(mediaType string, doc any, needs ...v1.Descriptor) (v1.Descriptor, error) {
	b, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return v1.Descriptor{}, err
	}
	c := bytesContent(b, digest.SHA256)
	desc := v1.Descriptor{MediaType: mediaType, Digest: c.digest, Size: c.size}
	if m.revised[c.digest] {
		return desc, nil
	}
	if err := m.bytes(c); err != nil {
		return v1.Descriptor{}, err
	}
	if err := m.link(layout.RevisionKey(m.repo.Name, c.digest), c.digest); err != nil {
		return v1.Descriptor{}, err
	}
	m.revised[c.digest] = true
	m.repo.Revisions = append(m.repo.Revisions, c.digest)
	var names []digest.Digest
	for _, n := range needs {
		names = append(names, n.Digest)
	}
	m.made.Needs[c.digest] = names
	return desc, nil
}
