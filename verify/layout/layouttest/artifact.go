package layouttest

import (
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// artifacts makes artifacts about the repository's tags, in turn, and
// for each subject the referrers tag that clients keep where a registry has no
// referrers API: an index of the artifacts under the name sha256-<hex>.
func (m *maker) artifacts() error {
	tags := slices.Sorted(maps.Keys(m.repo.Tags))
	for i := range min(m.shape.Artifacts, len(tags)) {
		subject := m.repo.Tags[tags[i]]
		index := v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageIndex}
		for j := i; j < m.shape.Artifacts; j += len(tags) {
			desc, err := m.artifact(subject)
			if err != nil {
				return err
			}
			index.Manifests = append(index.Manifests, desc)
		}
		desc, err := m.manifest(index.MediaType, index, index.Manifests...)
		if err != nil {
			return err
		}
		tag := strings.Replace(subject.String(), ":", "-", 1)
		m.repo.Artifacts = append(m.repo.Artifacts, tag)
		if err := m.tag(tag, desc.Digest); err != nil {
			return err
		}
	}
	return nil
}

// artifact makes one with the empty config, a layer, and a subject.
func (m *maker) artifact(subject digest.Digest) (v1.Descriptor, error) {
	config, err := m.blob(bytesContent([]byte("{}"), digest.SHA256))
	if err != nil {
		return v1.Descriptor{}, err
	}
	layer, err := m.blob(m.newLayer(m.shape.MinLayer, digest.SHA256))
	if err != nil {
		return v1.Descriptor{}, err
	}
	const artifactType = "application/spdx+json"
	doc := v1.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    v1.MediaTypeImageManifest,
		ArtifactType: artifactType,
		Config:       v1.Descriptor{MediaType: v1.MediaTypeEmptyJSON, Digest: config.digest, Size: config.size},
		Layers:       []v1.Descriptor{{MediaType: artifactType, Digest: layer.digest, Size: layer.size}},
		Subject:      &v1.Descriptor{MediaType: v1.MediaTypeImageManifest, Digest: subject, Size: m.made.Blobs[subject]},
	}
	desc, err := m.manifest(doc.MediaType, doc, doc.Layers[0], doc.Config)
	desc.ArtifactType = artifactType
	return desc, err
}
