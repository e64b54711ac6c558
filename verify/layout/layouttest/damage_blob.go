package layouttest

import (
	"os"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/verify/layout"
)

func blobDamages() []Damage {
	layer, config, manifest, child := (*Registry).layerVictim, (*Registry).configVictim, (*Registry).manifestVictim, (*Registry).childVictim
	return []Damage{
		blobDamage("blob-corrupt", layer, editing(func(b []byte) []byte { b[len(b)/2] ^= 0x20; return b })),
		blobDamage("blob-short", layer, editing(func(b []byte) []byte { return b[:len(b)-1] })),
		blobDamage("blob-long", layer, editing(func(b []byte) []byte { return append(b, 'x') })),
		blobDamage("blob-empty", layer, editing(func([]byte) []byte { return nil })),
		blobDamage("blob-missing", layer, remove),
		blobDamage("blob-directory", layer, directory),
		blobDamage("config-corrupt", config, editing(func(b []byte) []byte { b[0] ^= 0x20; return b })),
		blobDamage("config-missing", config, remove),
		blobDamage("manifest-corrupt", manifest, editing(func(b []byte) []byte { b[len(b)/2] ^= 0x01; return b })),
		blobDamage("manifest-missing", manifest, remove),
		blobDamage("child-missing", child, remove),
		{Name: "blob-unreferenced", Apply: unreferenced},
	}
}

// blobDamage does something to the bytes of a victim: all tags that need it,
// in any repository, are broken.
func blobDamage(name string, find func(*Registry) (victim, error), do func(dir, key string) error) Damage {
	return Damage{Name: name, Apply: func(dir string, r *Registry) (Hurt, error) {
		v, err := find(r)
		if err != nil {
			return Hurt{}, err
		}
		key := r.blobKey(v.digest)
		return Hurt{Keys: []string{key}, Digest: r.Stored(v.digest), Tags: r.tagsNeeding(v.digest, "")}, do(dir, key)
	}}
}

func editing(change func([]byte) []byte) func(dir, key string) error {
	return func(dir, key string) error { return edit(dir, key, change) }
}

// directory puts a directory where a file should be: the one thing that even
// root cannot read.
func directory(dir, key string) error {
	if err := os.Remove(path(dir, key)); err != nil {
		return err
	}
	return os.Mkdir(path(dir, key), 0o755)
}

// unreferenced adds a sound blob that nothing needs: garbage, not damage.
func unreferenced(dir string, _ *Registry) (Hurt, error) {
	const content = "nobody needs this"
	d := digest.FromString(content)
	key := layout.BlobKey(d)
	return Hurt{Keys: []string{key}, Digest: d}, add(dir, key, content)
}
