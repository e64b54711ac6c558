package layouttest

import (
	"github.com/regferry/regferry/verify/layout"
)

const uuid = "0193d3c8-7a1e-7bbb-8f00-0123456789ab"

// strays are files that belong to no image. None breaks a tag. (A folder
// marker, a key that ends in "/", cannot be on a disk.)
func strays() []Damage {
	return []Damage{
		stray("junk", func(v victim, r *Registry) []string {
			blob := layout.BlobKey(r.Stored(v.digest))
			return []string{
				layout.TagsPrefix(v.repo.Name) + ".nfs000000000000002a00000001",
				layout.TagKey(v.repo.Name, v.tag) + "." + uuid + ".tmp",
				blob + "." + uuid + ".tmp",
				blob[:len(blob)-len("data")] + ".nfs0000000000000001",
			}
		}),
		stray("uploads", func(v victim, _ *Registry) []string {
			upload := layout.UploadsPrefix(v.repo.Name) + uuid + "/"
			return []string{upload + "startedat", upload + "data", upload + "hashstates/sha256/0"}
		}),
		stray("unknown", func(v victim, _ *Registry) []string {
			revision := layout.RevisionKey(v.repo.Name, v.digest)
			return []string{
				layout.Root + "NOTES",
				layout.Root + "blobs/README",
				layout.Root + "repositories/.hidden",
				layout.RepositoryPrefix(v.repo.Name) + "_extra/of/a/fork",
				revision[:len(revision)-len("link")] + "_referrers/_x/link",
			}
		}),
		stray("bad-digest", func(victim, *Registry) []string {
			return []string{
				layout.Root + "blobs/sha256/5b/5bd0/data",
				layout.Root + "blobs/sha256/00/" + uuid + "/data",
			}
		}),
		stray("outside", func(victim, *Registry) []string {
			return []string{"lost+found/x", "docker/registry/v3/x"}
		}),
	}
}

func stray(name string, keys func(victim, *Registry) []string) Damage {
	return Damage{Name: name, Apply: func(dir string, r *Registry) (Hurt, error) {
		v, err := r.manifestVictim()
		if err != nil {
			return Hurt{}, err
		}
		hurt := Hurt{Keys: keys(v, r)}
		for _, key := range hurt.Keys {
			if err := add(dir, key, "stray "+key); err != nil {
				return hurt, err
			}
		}
		return hurt, nil
	}}
}
