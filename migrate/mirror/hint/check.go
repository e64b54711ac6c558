package hint

import (
	"fmt"

	"github.com/regferry/regferry/verify/layout"
)

// maxName is the registry's limit to the name of a repository, in bytes.
const maxName = 255

// check holds the names to the grammar of the storage: a name is sound when the
// key made of it is read back as that name. The error begins with the field.
func (h Hint) check() error {
	probe := func(tag string) layout.Key { return layout.Parse(layout.TagKey(h.Repository, tag)) }
	if k := probe("latest"); len(h.Repository) > maxName || k.Kind != layout.TagLink || k.Repository != h.Repository {
		return fmt.Errorf("repository: %s is not the name of a repository", quoted(h.Repository))
	}
	if h.Tag != "" && probe(h.Tag).Tag != h.Tag {
		return fmt.Errorf("tag: %s is not a tag", quoted(h.Tag))
	}
	if h.Digest == "" {
		return nil
	}
	if _, err := layout.ParseLink([]byte(h.Digest)); err != nil {
		return fmt.Errorf("digest: %w", err)
	}
	return nil
}
