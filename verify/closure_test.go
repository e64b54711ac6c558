package verify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/verify/layout"
)

// repo is a repository in memory that answers a Closure.
type repo struct {
	mu        sync.Mutex
	revisions map[digest.Digest]error // nil: there; absent from the map: not found
	layers    map[digest.Digest]error
	blobs     map[digest.Digest]error
	aliases   map[digest.Digest]digest.Digest // what layer links hold, if not their name
	manifests map[digest.Digest][]byte
	asked     atomic.Int64 // for a manifest
}

func newRepo() *repo {
	return &repo{
		revisions: map[digest.Digest]error{}, layers: map[digest.Digest]error{},
		blobs: map[digest.Digest]error{}, aliases: map[digest.Digest]digest.Digest{}, manifests: map[digest.Digest][]byte{},
	}
}

func (r *repo) closure() *Closure {
	from := func(m map[digest.Digest]error, what string) func(context.Context, digest.Digest) error {
		return func(_ context.Context, d digest.Digest) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			if err, ok := m[d]; ok {
				return err
			}
			return fmt.Errorf("%s %s: %w", what, d, fs.ErrNotExist)
		}
	}
	return &Closure{
		Revision: from(r.revisions, "revision"), Layer: from(r.layers, "layer"), Blob: from(r.blobs, "blob"),
		Link: func(_ context.Context, d digest.Digest) (digest.Digest, error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			if to, ok := r.aliases[d]; ok {
				return to, nil
			}
			return d, nil
		},
		Manifest: func(_ context.Context, d digest.Digest) ([]byte, error) {
			r.asked.Add(1)
			r.mu.Lock()
			defer r.mu.Unlock()
			if b, ok := r.manifests[d]; ok {
				return b, nil
			}
			return nil, fmt.Errorf("manifest %s: %w", d, fs.ErrNotExist)
		},
	}
}

// layer puts a blob and its link.
func (r *repo) layer(content string) digest.Digest {
	d := digest.FromString(content)
	r.blobs[d], r.layers[d] = nil, nil
	return d
}

// put stores a document as a revision.
func (r *repo) put(doc any) digest.Digest {
	b, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	d := digest.FromBytes(b)
	r.manifests[d], r.revisions[d] = b, nil
	return d
}

type doc map[string]any

func ref(mediaType string, d digest.Digest) doc {
	return doc{"mediaType": mediaType, "digest": d, "size": 1}
}

const (
	ociManifest = "application/vnd.oci.image.manifest.v1+json"
	ociIndex    = "application/vnd.oci.image.index.v1+json"
	ociLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
	ociConfig   = "application/vnd.oci.image.config.v1+json"
)

func (r *repo) image(name string) (image, config, layer digest.Digest) {
	config, layer = r.layer("config of "+name), r.layer("layer of "+name)
	return r.put(doc{"schemaVersion": 2, "mediaType": ociManifest, "config": ref(ociConfig, config), "layers": []doc{ref(ociLayer, layer)}}), config, layer
}

func (r *repo) index(children ...digest.Digest) digest.Digest {
	refs := []doc{}
	for _, c := range children {
		refs = append(refs, ref(ociManifest, c))
	}
	return r.put(doc{"schemaVersion": 2, "mediaType": ociIndex, "manifests": refs})
}

func TestClosure(t *testing.T) {
	for _, c := range []struct {
		name  string
		make  func(r *repo) (judged digest.Digest, what string, missing digest.Digest, chain []digest.Digest)
		depth int
	}{
		{"an image", func(r *repo) (digest.Digest, string, digest.Digest, []digest.Digest) {
			image, _, _ := r.image("a")
			return image, "", "", nil
		}, 0},
		{"nothing of it", func(*repo) (digest.Digest, string, digest.Digest, []digest.Digest) {
			d := digest.FromString("never pushed")
			return d, "revision link", d, []digest.Digest{d}
		}, 0},
		{"a revision link", func(r *repo) (digest.Digest, string, digest.Digest, []digest.Digest) {
			image, _, _ := r.image("a")
			delete(r.revisions, image)
			return image, "revision link", image, []digest.Digest{image}
		}, 0},
		{"a manifest", func(r *repo) (digest.Digest, string, digest.Digest, []digest.Digest) {
			image, _, _ := r.image("a")
			delete(r.manifests, image)
			return image, "manifest", image, []digest.Digest{image}
		}, 0},
		{"a manifest that is none", func(r *repo) (digest.Digest, string, digest.Digest, []digest.Digest) {
			image := r.put([]int{1})
			return image, "readable manifest", image, []digest.Digest{image}
		}, 0},
		{"a layer's blob", func(r *repo) (digest.Digest, string, digest.Digest, []digest.Digest) {
			image, _, layer := r.image("a")
			delete(r.blobs, layer)
			return image, "blob", layer, []digest.Digest{image}
		}, 0},
		{"a layer's link", func(r *repo) (digest.Digest, string, digest.Digest, []digest.Digest) {
			image, _, layer := r.image("a")
			delete(r.layers, layer)
			return image, "layer link", layer, []digest.Digest{image}
		}, 0},
		{"a config's blob", func(r *repo) (digest.Digest, string, digest.Digest, []digest.Digest) {
			image, config, _ := r.image("a")
			delete(r.blobs, config)
			return image, "blob", config, []digest.Digest{image}
		}, 0},
		{"a config's link", func(r *repo) (digest.Digest, string, digest.Digest, []digest.Digest) {
			image, config, _ := r.image("a")
			delete(r.layers, config)
			return image, "layer link", config, []digest.Digest{image}
		}, 0},
		{"a layer of a child of an index in an index", func(r *repo) (digest.Digest, string, digest.Digest, []digest.Digest) {
			a, _, _ := r.image("a")
			b, _, layer := r.image("b")
			inner := r.index(a, b)
			outer := r.index(inner, a)
			delete(r.blobs, layer)
			return outer, "blob", layer, []digest.Digest{outer, inner, b}
		}, 2},
		{"a child's revision link", func(r *repo) (digest.Digest, string, digest.Digest, []digest.Digest) {
			a, _, _ := r.image("a")
			index := r.index(a)
			delete(r.revisions, a)
			return index, "revision link", a, []digest.Digest{index, a}
		}, 1},
		{"an index of indexes", func(r *repo) (digest.Digest, string, digest.Digest, []digest.Digest) {
			a, _, _ := r.image("a")
			return r.index(a, r.index(r.index(a))), "", "", nil
		}, 3},
		{"a subject may be absent", func(r *repo) (digest.Digest, string, digest.Digest, []digest.Digest) {
			return r.put(doc{"schemaVersion": 2, "mediaType": ociManifest, "config": ref(ociConfig, r.layer("{}")), "layers": []doc{},
				"subject": ref(ociManifest, digest.FromString("gone"))}), "", "", nil
		}, 0},
		{"a foreign layer may be absent", func(r *repo) (digest.Digest, string, digest.Digest, []digest.Digest) {
			foreign := ref(layout.DockerForeign, digest.FromString("windows"))
			foreign["urls"] = []string{"https://example.com/layer"}
			return r.put(doc{"schemaVersion": 2, "mediaType": layout.DockerManifest, "config": ref("x", r.layer("{}")), "layers": []doc{foreign}}), "", "", nil
		}, 0},
		{"a build cache names layers in an index", func(r *repo) (digest.Digest, string, digest.Digest, []digest.Digest) {
			return r.put(doc{"schemaVersion": 2, "mediaType": ociIndex, "manifests": []doc{
				ref(ociLayer, r.layer("cache")), ref("application/vnd.buildkit.cacheconfig.v0", r.layer("cacheconfig")),
			}}), "", "", nil
		}, 0},
		{"of which one is missing", func(r *repo) (digest.Digest, string, digest.Digest, []digest.Digest) {
			layer := r.layer("cache")
			delete(r.layers, layer)
			index := r.put(doc{"schemaVersion": 2, "mediaType": ociIndex, "manifests": []doc{ref(ociLayer, layer)}})
			return index, "layer link", layer, []digest.Digest{index}
		}, 0},
		{"a layer under another name", func(r *repo) (digest.Digest, string, digest.Digest, []digest.Digest) {
			image, _, layer := r.image("a")
			stored := digest.SHA512.FromString("stored")
			delete(r.blobs, layer)
			r.aliases[layer], r.blobs[stored] = stored, nil
			return image, "", "", nil
		}, 0},
		{"another name of nothing", func(r *repo) (digest.Digest, string, digest.Digest, []digest.Digest) {
			image, _, layer := r.image("a")
			delete(r.blobs, layer)
			r.aliases[layer] = digest.FromString("nothing")
			return image, "blob", layer, []digest.Digest{image}
		}, 0},
		{"an entry of an unknown type that is a revision", func(r *repo) (digest.Digest, string, digest.Digest, []digest.Digest) {
			a, _, _ := r.image("a")
			return r.put(doc{"schemaVersion": 2, "mediaType": ociIndex, "manifests": []doc{ref("application/x", a)}}), "", "", nil
		}, 1},
		{"an entry of an unknown type that is nothing", func(r *repo) (digest.Digest, string, digest.Digest, []digest.Digest) {
			d := digest.FromString("nothing")
			index := r.put(doc{"schemaVersion": 2, "mediaType": ociIndex, "manifests": []doc{ref("application/x", d)}})
			return index, "layer link", d, []digest.Digest{index}
		}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRepo()
			judged, what, missing, chain := c.make(r)
			v, err := r.closure().Judge(t.Context(), judged)
			if err != nil || v.Depth != c.depth || v.Whole() != (what == "") {
				t.Fatalf("depth %d, missing %v, error %v; want depth %d, missing %q", v.Depth, v.Missing, err, c.depth, what)
			}
			if what == "" {
				return
			}
			m := v.Missing[0]
			if m.What != what || m.Digest != missing || !slices.Equal(m.Chain, chain) || m.Err == nil {
				t.Errorf("%q %s by %v (%v)\nwant %q %s by %v", m.What, m.Digest, m.Chain, m.Err, what, missing, chain)
			}
		})
	}
}

// What cannot be asked is no verdict, wherever it is.
func TestClosureUnknown(t *testing.T) {
	down := errors.New("the line is down")
	for _, name := range []string{"revision", "layer", "blob", "child"} {
		r := newRepo()
		image, _, layer := r.image("a")
		judged := image
		switch name {
		case "revision":
			r.revisions[image] = down
		case "layer":
			r.layers[layer] = down
		case "blob":
			r.blobs[layer] = down
		case "child":
			judged = r.index(image)
			r.revisions[image] = down
		}
		c := r.closure()
		if v, err := c.Judge(t.Context(), judged); !errors.Is(err, down) {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
		r.revisions[image], r.layers[layer], r.blobs[layer] = nil, nil, nil
		if v, err := c.Judge(t.Context(), judged); err != nil || !v.Whole() {
			t.Errorf("%s, when the line is up again: %+v, %v", name, v, err)
		}
	}
}

// A whole verdict is kept; a broken one is asked for again.
func TestClosureKeeps(t *testing.T) {
	r := newRepo()
	image, _, layer := r.image("a")
	index := r.index(image)
	c := r.closure()
	delete(r.blobs, layer)
	for range 2 {
		if v, err := c.Judge(t.Context(), index); err != nil || v.Whole() {
			t.Fatalf("%+v, %v", v, err)
		}
	}
	r.blobs[layer] = nil
	for range 3 {
		if v, err := c.Judge(t.Context(), index); err != nil || !v.Whole() {
			t.Fatalf("%+v, %v", v, err)
		}
	}
	if n := r.asked.Load(); n != 6 {
		t.Errorf("%d manifests were asked for, want two for each of two broken verdicts and two for the whole one", n)
	}
}

func TestClosureTooDeep(t *testing.T) {
	r := newRepo()
	at, _, _ := r.image("a")
	var chain []digest.Digest
	for range maxDepth + 1 {
		at = r.index(at)
		chain = append(chain, at)
	}
	top := chain[len(chain)-1]
	v, err := r.closure().Judge(t.Context(), top)
	if err != nil || v.Whole() || !errors.Is(v.Missing[0].Err, ErrTooDeep) {
		t.Errorf("%d indexes: %+v, %v", len(chain), v, err)
	}
	v, err = r.closure().Judge(t.Context(), chain[maxDepth-1])
	if err != nil || !v.Whole() || v.Depth != maxDepth {
		t.Errorf("%d indexes: depth %d, missing %v, %v", maxDepth, v.Depth, v.Missing, err)
	}
}

// A name that proves nothing can be given to what names it in turn: indexes in a
// circle come to an end, whoever judges which of them at the same time.
func TestClosureInACircle(t *testing.T) {
	r := newRepo()
	image, _, _ := r.image("a")
	name := func(c string) digest.Digest { return digest.Digest("blake9:" + strings.Repeat(c, 64)) }
	a, b, itself := name("a"), name("b"), name("c")
	viaA, viaB := r.index(a), r.index(b)
	for d, children := range map[digest.Digest][]digest.Digest{a: {viaB, image}, b: {viaA, image}, itself: {itself, itself, image}} {
		r.revisions[d], r.manifests[d] = nil, r.manifests[r.index(children...)]
	}
	c := r.closure()
	done := make(chan struct{})
	go func() {
		defer close(done)
		var wg sync.WaitGroup
		for _, d := range []digest.Digest{viaA, viaB, a, b, itself, image} {
			for range 20 {
				wg.Go(func() {
					if v, err := c.Judge(t.Context(), d); err != nil || v.Whole() != (d == image) {
						t.Errorf("%s: %+v, %v", d, v.Missing, err)
					}
				})
			}
		}
		wg.Wait()
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second): // it would be for ever
		t.Fatal("it does not end")
	}
}

// What names an unprovable child that is whole is whole.
func TestClosureOfAnUnprovableChild(t *testing.T) {
	r := newRepo()
	image, _, _ := r.image("a")
	child := digest.Digest("blake9:" + strings.Repeat("a", 64))
	r.revisions[child], r.manifests[child] = nil, r.manifests[r.index(image)]
	top := r.index(child, child, image)
	for range 2 {
		if v, err := r.closure().Judge(t.Context(), top); err != nil || !v.Whole() || v.Depth != 2 {
			t.Errorf("%+v, %v", v, err)
		}
	}
}

func TestClosureManyMissing(t *testing.T) {
	r := newRepo()
	var layers []doc
	for i := range 1000 {
		layers = append(layers, ref(ociLayer, digest.FromString(fmt.Sprint(i))))
	}
	image := r.put(doc{"schemaVersion": 2, "mediaType": ociManifest, "config": ref(ociConfig, r.layer("{}")), "layers": layers})
	if v, err := r.closure().Judge(t.Context(), image); err != nil || len(v.Missing) != maxMissing {
		t.Errorf("%d missing are kept, %v", len(v.Missing), err)
	}
}

// Whoever may push can push this: each index names two of the level below, so
// there are two to the power of its depth ways to what is missing.
func TestClosureManyWays(t *testing.T) {
	r := newRepo()
	broken, _, layer := r.image("a")
	whole, _, _ := r.image("b")
	delete(r.blobs, layer)
	level := []digest.Digest{r.index(broken), r.index(broken, whole)}
	for range 24 {
		level = []digest.Digest{r.index(level[0], level[1]), r.index(level[1], level[0])}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c := r.closure()
	ask := c.Manifest
	c.Manifest = func(ctx context.Context, d digest.Digest) ([]byte, error) {
		if r.asked.Load() > 10_000 {
			return nil, errors.New("asked ten thousand times")
		}
		return ask(ctx, d)
	}
	if v, err := c.Judge(ctx, level[0]); err != nil || v.Whole() {
		t.Errorf("after %d manifests of %d: %+v, %v", r.asked.Load(), len(r.manifests), v.Missing, err)
	}
}

// Many judge at once; each manifest is asked for once.
func TestClosureConcurrent(t *testing.T) {
	r := newRepo()
	var images []digest.Digest
	for i := range 20 {
		image, _, _ := r.image(fmt.Sprint(i))
		images = append(images, image)
	}
	var indexes []digest.Digest
	for i := range 20 {
		indexes = append(indexes, r.index(images[i:]...))
	}
	c := r.closure()
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			all := append(slices.Clone(indexes), images...)
			d := all[(i*7)%len(all)]
			if v, err := c.Judge(t.Context(), d); err != nil || !v.Whole() {
				t.Errorf("%+v, %v", v, err)
			}
		})
	}
	wg.Wait()
	if n, most := r.asked.Load(), int64(len(images)+len(indexes)); n > most {
		t.Errorf("%d manifests were asked for, there are %d", n, most)
	}
}
