//go:build linux

package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/regferry/regferry/verify/layout/layouttest"
)

// pusher does on disk what a registry does there for its clients, in the
// registry's order. It is the only one that writes.
type pusher struct {
	root string // .../docker/registry/v2
	// inPlace makes and rewrites links and manifests as registry 2.8 does: the
	// file is there, empty, before it has content. Otherwise as registry 3 does:
	// through a temporary file in the same directory and a rename.
	inPlace bool
	slow    time.Duration // at times between the two steps of that
	every   time.Duration // does a thing
	rng     *rand.Rand
	names   []string
	repos   map[string]*pushed
	gone    map[string]bool // files and directories deleted, relative to root

	mu    sync.Mutex
	count did
}

// did is how often a pusher did what.
type did struct{ Pushes, Moves, Deletes int }

func (d did) minus(o did) did {
	return did{d.Pushes - o.Pushes, d.Moves - o.Moves, d.Deletes - o.Deletes}
}

func (p *pusher) done() did {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

func (p *pusher) add(f func(*did)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.count)
}

// pushed is one repository as it is now.
type pushed struct {
	tags   map[string]string // digests
	images []string          // that are not part of an index: may be tagged and deleted
	layer  descriptor        // one that others may use
}

func newPusher(dir string, made *layouttest.Registry, inPlace bool, seed uint64) *pusher {
	p := &pusher{
		root: filepath.Join(dir, "docker/registry/v2"), inPlace: inPlace, rng: rand.New(rand.NewPCG(seed, 1)),
		repos: map[string]*pushed{}, gone: map[string]bool{}, every: 2 * time.Millisecond,
	}
	if inPlace {
		p.slow = 300 * time.Microsecond
	}
	for _, r := range made.Repositories {
		at := &pushed{tags: map[string]string{}}
		for tag, d := range r.Tags {
			at.tags[tag] = string(d)
			if !slices.Contains(at.images, string(d)) {
				at.images = append(at.images, string(d))
			}
		}
		slices.Sort(at.images)
		layer := made.Needs[r.Tags["latest"]][0]
		at.layer = descriptor{"application/vnd.oci.image.layer.v1.tar", string(layer), made.Blobs[layer]}
		p.names = append(p.names, r.Name)
		p.repos[r.Name] = at
	}
	return p
}

// run does one thing after the other until stop is closed.
func (p *pusher) run(stop <-chan struct{}) error {
	tick := time.NewTicker(p.every)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return nil
		case <-tick.C:
		}
		if err := p.step(); err != nil {
			return err
		}
	}
}

func (p *pusher) step() error {
	// Most of it is in two repositories: the more happens in one, and the more
	// tags it gets, the more happens while it is migrated.
	name := p.names[p.rng.IntN(len(p.names))]
	if p.rng.IntN(3) > 0 {
		name = p.names[p.rng.IntN(2)]
	}
	repo := p.repos[name]
	switch n := p.rng.IntN(10); {
	case n < 3:
		return p.move(name, repo)
	case n < 5 && len(repo.images) > 2:
		return p.delete(name, repo)
	case n < 7:
		return p.pushIndex(name, repo)
	default:
		return p.pushImage(name, repo)
	}
}

// move points a tag at another image of its repository. Neither the size of
// the link nor its time tells of it.
func (p *pusher) move(name string, repo *pushed) error {
	if len(repo.tags) == 0 || len(repo.images) == 0 {
		return nil
	}
	tag := slices.Sorted(maps.Keys(repo.tags))[p.rng.IntN(len(repo.tags))]
	p.add(func(d *did) { d.Moves++ })
	return p.tag(name, repo, tag, repo.images[p.rng.IntN(len(repo.images))])
}

// pushImage pushes an image with a layer of its own and one of another
// repository, under a new tag or one that is there.
func (p *pusher) pushImage(name string, repo *pushed) error {
	d, err := p.image(name)
	if err != nil {
		return err
	}
	return p.pushed(name, repo, d)
}

// pushIndex pushes two images by digest, then an index of both.
func (p *pusher) pushIndex(name string, repo *pushed) error {
	var index struct {
		SchemaVersion int          `json:"schemaVersion"`
		MediaType     string       `json:"mediaType"`
		Manifests     []descriptor `json:"manifests"`
	}
	index.SchemaVersion, index.MediaType = 2, "application/vnd.oci.image.index.v1+json"
	for range 2 {
		d, err := p.image(name)
		if err != nil {
			return err
		}
		index.Manifests = append(index.Manifests, d)
	}
	d, err := p.manifest(name, index.MediaType, index)
	if err != nil {
		return err
	}
	return p.pushed(name, repo, d)
}

func (p *pusher) pushed(name string, repo *pushed, d descriptor) error {
	repo.images = append(repo.images, d.Digest)
	tag := fmt.Sprintf("new-%d", p.done().Pushes)
	if old := slices.Sorted(maps.Keys(repo.tags)); len(old) > 0 && p.rng.IntN(2) == 0 {
		tag = old[p.rng.IntN(len(old))]
	}
	p.add(func(d *did) { d.Pushes++ })
	return p.tag(name, repo, tag, d.Digest)
}

func (p *pusher) image(name string) (descriptor, error) {
	var m struct {
		SchemaVersion int          `json:"schemaVersion"`
		MediaType     string       `json:"mediaType"`
		Config        descriptor   `json:"config"`
		Layers        []descriptor `json:"layers"`
	}
	m.SchemaVersion, m.MediaType = 2, "application/vnd.oci.image.manifest.v1+json"
	layer := make([]byte, 1+p.rng.IntN(4000))
	for i := range layer {
		layer[i] = byte(p.rng.Uint32())
	}
	own, err := p.layer(name, "application/vnd.oci.image.layer.v1.tar", layer)
	if err != nil {
		return descriptor{}, err
	}
	// As a mount from another repository: a link, and no blob is sent.
	mounted := p.repos[p.names[p.rng.IntN(len(p.names))]].layer
	if err := p.link(name, "_layers", mounted.Digest); err != nil {
		return descriptor{}, err
	}
	m.Layers = []descriptor{own, mounted}
	m.Config, err = p.layer(name, "application/vnd.oci.image.config.v1+json", fmt.Appendf(nil, `{"architecture":"amd64","os":"linux","comment":"%x"}`, p.rng.Uint64()))
	if err != nil {
		return descriptor{}, err
	}
	return p.manifest(name, m.MediaType, m)
}

// layer uploads a blob, which is moved to its key in both registries, and
// links it.
func (p *pusher) layer(name, mediaType string, content []byte) (descriptor, error) {
	d := describe(mediaType, content)
	upload := filepath.Join(p.root, "repositories", name, "_uploads", p.uuid())
	blob := p.blobPath(d.Digest)
	for _, dir := range []string{upload, filepath.Dir(blob)} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return d, err
		}
	}
	if err := os.WriteFile(filepath.Join(upload, "data"), content, 0o644); err != nil {
		return d, err
	}
	if err := os.Rename(filepath.Join(upload, "data"), blob); err != nil {
		return d, err
	}
	if err := p.link(name, "_layers", d.Digest); err != nil {
		return d, err
	}
	return d, os.RemoveAll(upload)
}

func (p *pusher) manifest(name, mediaType string, document any) (descriptor, error) {
	content, err := json.Marshal(document)
	if err != nil {
		return descriptor{}, err
	}
	d := describe(mediaType, content)
	if err := p.put(p.blobPath(d.Digest), content); err != nil {
		return d, err
	}
	return d, p.link(name, "_manifests/revisions", d.Digest)
}

func (p *pusher) link(name, kind, digest string) error {
	return p.put(p.path(name, kind, digestPath(digest), "link"), []byte(digest))
}

// tag writes the index link, then the tag.
func (p *pusher) tag(name string, repo *pushed, tag, digest string) error {
	dir := p.path(name, "_manifests/tags", tag)
	if err := p.put(filepath.Join(dir, "index", digestPath(digest), "link"), []byte(digest)); err != nil {
		return err
	}
	repo.tags[tag] = digest
	return p.put(filepath.Join(dir, "current/link"), []byte(digest))
}

// delete deletes an image: its revision link, then each tag that names it.
func (p *pusher) delete(name string, repo *pushed) error {
	i := p.rng.IntN(len(repo.images))
	digest := repo.images[i]
	repo.images = slices.Delete(repo.images, i, i+1)
	p.add(func(d *did) { d.Deletes++ })
	if err := p.remove(p.path(name, "_manifests/revisions", digestPath(digest), "link")); err != nil {
		return err
	}
	tags := p.path(name, "_manifests/tags")
	entries, err := os.ReadDir(tags)
	if err != nil {
		return err
	}
	for _, e := range entries {
		now, err := os.ReadFile(filepath.Join(tags, e.Name(), "current/link"))
		if err != nil {
			return err
		}
		if string(now) != digest {
			continue
		}
		if err := p.remove(filepath.Join(tags, e.Name())); err != nil {
			return err
		}
		delete(repo.tags, e.Name())
	}
	return nil
}

func (p *pusher) remove(path string) error {
	p.gone[strings.TrimPrefix(path, p.root)] = true
	return os.RemoveAll(path)
}

// then is the time of every file the pusher writes.
var then = time.Unix(1700000000, 0)

// put writes a small file as the registry does.
func (p *pusher) put(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if !p.inPlace {
		temporary := path + "." + p.uuid() + ".tmp"
		if err := os.WriteFile(temporary, content, 0o644); err != nil {
			return err
		}
		if err := os.Chtimes(temporary, then, then); err != nil {
			return err
		}
		return os.Rename(temporary, path)
	}
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		return err
	}
	if p.rng.IntN(4) == 0 {
		time.Sleep(p.slow)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		return err
	}
	return os.Chtimes(path, then, then)
}

func (p *pusher) path(name string, parts ...string) string {
	return filepath.Join(append([]string{p.root, "repositories", name}, parts...)...)
}

func (p *pusher) blobPath(digest string) string {
	hex := strings.TrimPrefix(digest, "sha256:")
	return filepath.Join(p.root, "blobs/sha256", hex[:2], hex, "data")
}

func (p *pusher) uuid() string {
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", p.rng.Uint32(), p.rng.Uint32()>>16, p.rng.Uint32()>>20, p.rng.Uint32()>>20, p.rng.Uint64()>>16)
}

func digestPath(digest string) string { return strings.Replace(digest, ":", "/", 1) }

func describe(mediaType string, content []byte) descriptor {
	sum := sha256.Sum256(content)
	return descriptor{mediaType, "sha256:" + hex.EncodeToString(sum[:]), int64(len(content))}
}
