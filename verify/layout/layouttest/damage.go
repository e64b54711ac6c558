package layouttest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/verify/layout"
)

// Damage is one way in which a registry on disk can be unsound.
type Damage struct {
	Name string
	// Apply does it to the registry r that WriteDir made in dir. It is an error
	// if r has nothing to do it to; a registry of the shape Small has. The same
	// damage to the same registry is always the same.
	Apply func(dir string, r *Registry) (Hurt, error)
}

// Hurt is what a damage did.
type Hurt struct {
	Keys   []string      // files that were changed, removed or added
	Digest digest.Digest // the blob or manifest that is hit, "" if none is
	Tags   []string      // repository:tag of each tag that cannot be pulled any more, sorted; nil if all can
	Added  []string      // repository:tag of each tag that was not there before, broken or not, sorted
}

// Damages returns all there are.
func Damages() []Damage {
	return slices.Concat(blobDamages(), linkDamages(), manifestDamages(), strays(), misplaced())
}

// victim is a tag and something it needs.
type victim struct {
	repo   *Repository
	tag    string
	digest digest.Digest // as the manifest names it
}

// find returns the first tag, and what it needs first, that is wanted.
func (r *Registry) find(what string, want func(v victim) bool) (victim, error) {
	for i := range r.Repositories {
		repo := &r.Repositories[i]
		for _, tag := range sortedTags(repo) {
			for _, d := range r.Closure(repo.Tags[tag]) {
				if v := (victim{repo, tag, d}); want(v) {
					return v, nil
				}
			}
		}
	}
	return victim{}, fmt.Errorf("the registry has no %s", what)
}

func sortedTags(repo *Repository) []string {
	tags := make([]string, 0, len(repo.Tags))
	for tag := range repo.Tags {
		tags = append(tags, tag)
	}
	slices.Sort(tags)
	return tags
}

// layerVictim finds a layer of some bytes: the largest thing that an image
// needs and no manifest. Configs come last in Needs.
func (r *Registry) layerVictim() (victim, error) {
	return r.find("layer of two bytes or more", func(v victim) bool {
		needs := r.Needs[v.repo.Tags[v.tag]]
		last := len(needs) - 1
		return r.Blobs[v.digest] > 1 && last > 0 && slices.Contains(needs[:last], v.digest) && r.Needs[v.digest] == nil
	})
}

func (r *Registry) configVictim() (victim, error) {
	return r.find("config", func(v victim) bool {
		needs := r.Needs[v.repo.Tags[v.tag]]
		return len(needs) > 0 && needs[len(needs)-1] == v.digest && r.Needs[v.digest] == nil
	})
}

func (r *Registry) manifestVictim() (victim, error) {
	return r.find("tag", func(victim) bool { return true })
}

// childVictim finds a child whose index is no referrers tag.
func (r *Registry) childVictim() (victim, error) {
	return r.find("index", func(v victim) bool {
		return slices.Contains(v.repo.Indexes, v.tag) && v.digest != v.repo.Tags[v.tag] && r.Needs[v.digest] != nil
	})
}

func path(dir, key string) string { return filepath.Join(dir, filepath.FromSlash(key)) }

// add makes a file that is not there, and its directories.
func add(dir, key, content string) error {
	name := path(dir, key)
	if _, err := os.Lstat(name); err == nil {
		return fmt.Errorf("%s: already there", name)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, []byte(content), 0o644)
}

// edit gives a file that is there other content.
func edit(dir, key string, change func([]byte) []byte) error {
	name := path(dir, key)
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	return os.WriteFile(name, change(b), 0o644)
}

// remove removes a file and the directory that was there for it alone, as a
// registry's garbage collection and tag deletion do.
func remove(dir, key string) error {
	name := path(dir, key)
	if err := os.Remove(name); err != nil {
		return err
	}
	return os.Remove(filepath.Dir(name))
}

// blobKey is where the bytes of d are.
func (r *Registry) blobKey(d digest.Digest) string { return layout.BlobKey(r.Stored(d)) }
