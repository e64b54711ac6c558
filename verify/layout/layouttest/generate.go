package layouttest

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/verify/layout"
)

// Generate makes a registry and hands each object to put, in the order in
// which a registry writes, none twice. open may be called any number of times
// until put returns. Generate stops at the first error of put and returns it,
// with what was made until then.
//
// Memory is a few hundred bytes an object (what Registry holds) and at most
// 1 MiB of content.
func Generate(shape Shape, put func(key string, size int64, open func() io.Reader) error) (*Registry, error) {
	shape, err := shape.checked()
	m := &maker{
		shape: shape,
		rng:   rand.New(rand.NewPCG(shape.Seed, 0x726567)),
		put:   put,
		made: &Registry{
			Blobs:   map[digest.Digest]int64{},
			Needs:   map[digest.Digest][]digest.Digest{},
			Aliases: map[digest.Digest]digest.Digest{},
		},
	}
	for i := 0; i < shape.Repositories && err == nil; i++ {
		err = m.repository(repositoryName(i, shape.Nested))
	}
	return m.made, err
}

// maker makes one registry.
type maker struct {
	shape   Shape
	rng     *rand.Rand
	put     func(key string, size int64, open func() io.Reader) error
	made    *Registry
	shared  []named // layers that later images may take
	images  int
	numbers uint64 // of the layers

	repo    *Repository
	linked  map[digest.Digest]bool // layer links of repo
	revised map[digest.Digest]bool // revision links of repo
}

// named is a blob as a manifest calls it.
type named struct {
	digest digest.Digest
	size   int64
}

func (m *maker) repository(name string) error {
	m.made.Repositories = append(m.made.Repositories, Repository{Name: name, Tags: map[string]digest.Digest{}})
	m.repo = &m.made.Repositories[len(m.made.Repositories)-1]
	m.linked, m.revised = map[digest.Digest]bool{}, map[digest.Digest]bool{}
	for i := range m.shape.Tags {
		if err := m.taggedImage(tagName(i)); err != nil {
			return err
		}
	}
	for i := range m.shape.Indexes {
		if err := m.taggedIndex(fmt.Sprintf("multi-%d", i)); err != nil {
			return err
		}
	}
	return m.artifacts()
}

// blob stores c, unless it is there, and links it as a layer of the
// repository.
func (m *maker) blob(c content) (named, error) {
	if err := m.bytes(c); err != nil {
		return named{}, err
	}
	n := named{c.digest, c.size}
	return n, m.layerLink(n.digest, n.digest)
}

// bytes stores c, unless it is there.
func (m *maker) bytes(c content) error {
	if _, ok := m.made.Blobs[c.digest]; ok {
		return nil
	}
	if err := m.write(layout.BlobKey(c.digest), c.size, c.open); err != nil {
		return err
	}
	m.made.Blobs[c.digest] = c.size
	return nil
}

// layerLink lets the repository serve target as d.
func (m *maker) layerLink(d, target digest.Digest) error {
	if m.linked[d] {
		return nil
	}
	if err := m.link(layout.LayerKey(m.repo.Name, d), target); err != nil {
		return err
	}
	m.linked[d] = true
	m.repo.Layers = append(m.repo.Layers, d)
	return nil
}

// tag writes the links of a tag as a registry does, the index link first.
func (m *maker) tag(tag string, d digest.Digest) error {
	if err := m.link(layout.TagIndexKey(m.repo.Name, tag, d), d); err != nil {
		return err
	}
	if err := m.link(layout.TagKey(m.repo.Name, tag), d); err != nil {
		return err
	}
	m.repo.Tags[tag] = d
	return nil
}

func (m *maker) link(key string, d digest.Digest) error {
	return m.write(key, int64(len(d)), func() io.Reader { return bytes.NewReader([]byte(d)) })
}

func (m *maker) write(key string, size int64, open func() io.Reader) error {
	if err := m.put(key, size, open); err != nil {
		return err
	}
	m.made.Objects++
	m.made.Bytes += size
	return nil
}
