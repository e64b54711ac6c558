package layouttest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/verify/layout"
)

// manifestDamages add a tag with a manifest of its own each. The unusual ones
// are sound: their shape says what they need, whatever their media type.
func manifestDamages() []Damage {
	broken := func(name, doc string) Damage {
		return planted(name, true, func(victim, *Registry) string { return doc })
	}
	sound := func(name string, doc func(victim, *Registry) string) Damage { return planted(name, false, doc) }
	return []Damage{
		broken("manifest-not-json", "this is no JSON"),
		broken("manifest-half", `{"schemaVersion":2,"layers":[`),
		broken("json-not-manifest", `{"hello":"world"}`),
		broken("manifest-empty", ""),
		broken("manifest-bad-digest", `{"schemaVersion":2,"config":{"digest":"md5:1"},"layers":[]}`),
		sound("manifest-unknown-type", func(v victim, r *Registry) string {
			return fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.example.thing+json","config":%s,"layers":[]}`, r.descriptor(v, "application/vnd.example"))
		}),
		sound("manifest-foreign-layer", func(v victim, r *Registry) string {
			foreign := fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":9,"urls":["https://example.com/x"]}`, layout.DockerForeign, digest.FromString("foreign"))
			return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":%s,"layers":[%s]}`, layout.DockerManifest, r.descriptor(v, "x"), foreign)
		}),
		sound("manifest-schema1", func(v victim, _ *Registry) string {
			return fmt.Sprintf(`{"schemaVersion":1,"name":"x","tag":"y","fsLayers":[{"blobSum":%q}],"history":[{"v1Compatibility":"{}"}]}`, v.digest)
		}),
		sound("index-of-layers", func(v victim, r *Registry) string { // BuildKit's registry cache
			const layer = "application/vnd.oci.image.layer.v1.tar+gzip"
			return fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[%s,%s]}`,
				r.descriptor(v, layer), r.descriptor(v, "application/vnd.buildkit.cacheconfig.v0"))
		}),
	}
}

func (r *Registry) descriptor(v victim, mediaType string) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, mediaType, v.digest, r.Blobs[v.digest])
}

// planted adds a tag whose manifest is doc, which may name the layer of the
// victim.
func planted(name string, broken bool, doc func(victim, *Registry) string) Damage {
	return Damage{Name: name, Apply: func(dir string, r *Registry) (Hurt, error) {
		v, err := r.layerVictim()
		if err != nil {
			return Hurt{}, err
		}
		content := doc(v, r)
		d := digest.FromString(content)
		hurt := Hurt{Digest: d, Added: []string{v.repo.Name + ":" + name}}
		if broken {
			hurt.Tags = hurt.Added
		}
		files := [][2]string{
			{layout.BlobKey(d), content},
			{layout.RevisionKey(v.repo.Name, d), d.String()},
			{layout.TagIndexKey(v.repo.Name, name, d), d.String()},
			{layout.TagKey(v.repo.Name, name), d.String()},
		}
		return addAll(dir, hurt, files)
	}}
}

// addAll makes files, but for blobs that are there: the empty one may be.
func addAll(dir string, hurt Hurt, files [][2]string) (Hurt, error) {
	for _, f := range files {
		if _, err := os.Stat(path(dir, f[0])); layout.Parse(f[0]).Kind == layout.Blob && !errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := add(dir, f[0], f[1]); err != nil {
			return hurt, err
		}
		hurt.Keys = append(hurt.Keys, f[0])
	}
	return hurt, nil
}

// misplaced are files under names, or in places, that no registry gives them.
func misplaced() []Damage {
	layer := (*Registry).layerVictim
	return []Damage{
		moved("blob-data-misnamed", layer, "data.bak"),
		moved("blob-without-data", layer, ".nfs0000000000000002"),
		{Name: "blob-other-algorithm", Apply: otherAlgorithm},
		stray("file-for-tag", func(v victim, _ *Registry) []string {
			return []string{layout.TagsPrefix(v.repo.Name) + "no-directory"}
		}),
		stray("file-for-repository", func(victim, *Registry) []string {
			return []string{layout.Root + "repositories/no-directory"}
		}),
		stray("hostile-names", func(v victim, _ *Registry) []string {
			return []string{
				layout.TagsPrefix(v.repo.Name) + "<img src=x onerror=alert(1)>/current/link",
				layout.RepositoryPrefix(v.repo.Name) + "_layers/sha256/\x1b[31mred\nline/link",
				layout.Root + "repositories/<script>alert(1)/_manifests/tags/x/current/link",
				layout.Root + "repositories/\u202eevil/_layers/x",
			}
		}),
		{Name: "repository-deep", Apply: deepRepository},
	}
}

// moved gives the data of a blob another name in its directory.
func moved(name string, find func(*Registry) (victim, error), to string) Damage {
	return Damage{Name: name, Apply: func(dir string, r *Registry) (Hurt, error) {
		v, err := find(r)
		if err != nil {
			return Hurt{}, err
		}
		key := r.blobKey(v.digest)
		other := strings.TrimSuffix(key, "data") + to
		hurt := Hurt{Keys: []string{key, other}, Digest: r.Stored(v.digest), Tags: r.tagsNeeding(v.digest, "")}
		return hurt, os.Rename(path(dir, key), path(dir, other))
	}}
}

// otherAlgorithm adds a blob whose digest cannot be computed here, with a link.
func otherAlgorithm(dir string, r *Registry) (Hurt, error) {
	v, err := r.manifestVictim()
	if err != nil {
		return Hurt{}, err
	}
	d := digest.Digest("blake3:" + digest.FromString("blake3").Encoded())
	return addAll(dir, Hurt{Digest: d}, [][2]string{
		{layout.BlobKey(d), "some content"},
		{layout.LayerKey(v.repo.Name, d), d.String()},
	})
}

// deepRepository adds a repository of 180 components, with one tag, sound. A
// volume lists no deeper than some 200 directories.
func deepRepository(dir string, r *Registry) (Hurt, error) {
	v, err := r.layerVictim()
	if err != nil {
		return Hurt{}, err
	}
	name := strings.Repeat("a/", 179) + "a"
	top := v.repo.Tags[v.tag]
	hurt := Hurt{Added: []string{name + ":deep"}}
	var files [][2]string
	for _, d := range r.Closure(top) {
		if r.Needs[d] != nil {
			files = append(files, [2]string{layout.RevisionKey(name, d), d.String()})
		} else {
			files = append(files, [2]string{layout.LayerKey(name, d), r.Stored(d).String()})
		}
	}
	files = append(files, [2]string{layout.TagIndexKey(name, "deep", top), top.String()}, [2]string{layout.TagKey(name, "deep"), top.String()})
	slices.SortFunc(files, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return addAll(dir, hurt, files)
}
