package layouttest

import (
	"slices"

	"github.com/opencontainers/go-digest"
)

// Registry is what was made.
type Registry struct {
	Repositories []Repository
	Blobs        map[digest.Digest]int64           // size of each blob, manifests included, by the digest in its key
	Needs        map[digest.Digest][]digest.Digest // of each manifest: config, layers, children; not its subject
	Aliases      map[digest.Digest]digest.Digest   // names of blobs that are stored under another digest
	Objects      int                               // keys in all
	Bytes        int64                             // in all
}

// Repository is one repository of a Registry.
type Repository struct {
	Name      string
	Tags      map[string]digest.Digest
	Revisions []digest.Digest // revision links, in the order of making
	Layers    []digest.Digest // layer links, in the order of making
	Indexes   []string        // tags that are multi-arch indexes
	Artifacts []string        // referrers tags
}

// Closure returns what the registry must have to serve d, d first: manifests
// and blobs, by the names the manifests use.
func (r *Registry) Closure(d digest.Digest) []digest.Digest {
	seen := map[digest.Digest]bool{d: true}
	all := []digest.Digest{d}
	for i := 0; i < len(all); i++ {
		for _, n := range r.Needs[all[i]] {
			if !seen[n] {
				seen[n] = true
				all = append(all, n)
			}
		}
	}
	return all
}

// Stored returns the digest under which the bytes of d are kept.
func (r *Registry) Stored(d digest.Digest) digest.Digest {
	if s, ok := r.Aliases[d]; ok {
		return s
	}
	return d
}

// TagNames returns all tags as repository:tag, sorted.
func (r *Registry) TagNames() []string {
	return r.tagsWhere(func(*Repository, digest.Digest) bool { return true })
}

// tagsNeeding returns the tags, as repository:tag, whose closure holds the
// blob or manifest d, in the repository of that name or, for "", in any.
func (r *Registry) tagsNeeding(d digest.Digest, repository string) []string {
	d = r.Stored(d)
	return r.tagsWhere(func(repo *Repository, revision digest.Digest) bool {
		if repository != "" && repo.Name != repository {
			return false
		}
		return slices.ContainsFunc(r.Closure(revision), func(n digest.Digest) bool { return r.Stored(n) == d })
	})
}

func (r *Registry) tagsWhere(want func(repo *Repository, revision digest.Digest) bool) []string {
	var names []string
	for i := range r.Repositories {
		repo := &r.Repositories[i]
		for tag, d := range repo.Tags {
			if want(repo, d) {
				names = append(names, repo.Name+":"+tag)
			}
		}
	}
	slices.Sort(names)
	return names
}
