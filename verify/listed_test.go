package verify_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/regferry/regferry/verify"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/layout/layouttest"
)

// unlinked takes the revisions and tags out of a repository, and leaves its layers.
func unlinked(t testing.TB, dir, repository string) {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(layout.Root+"repositories/"+repository+"/_manifests"))
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

// listed are all tags of a repository, as an API has them.
func listed(r layouttest.Repository) (all []verify.Image) {
	for tag, d := range r.Tags {
		all = append(all, verify.Image{Repository: r.Name, Tag: tag, Digest: d})
	}
	return all
}

// A repository that has lost its revisions is no sign of a database as long as
// others have theirs, whether they are chosen or not.
func TestListedTagsOfARepositoryWithoutRevisions(t *testing.T) {
	dir, made, _ := damaged(t, "")
	lost := made.Repositories[0]
	unlinked(t, dir, lost.Name)
	for name, globs := range map[string]verify.Globs{"all": nil, "chosen": {lost.Name}} {
		s, n := run(t, verify.Options{Source: open(t, dir), Tags: listed(lost), Repositories: globs})
		if want := (verify.Proved{All: int64(len(lost.Tags))}); s.Listed != want || s.SourceDamage() < want.All {
			t.Errorf("%s: %+v %s", name, s.Listed, words(n.findings))
		}
	}
	for _, r := range made.Repositories[1:] {
		unlinked(t, dir, r.Name)
	}
	for name, globs := range map[string]verify.Globs{"all": nil, "chosen": {lost.Name}} {
		s, n := run(t, verify.Options{Source: open(t, dir), Tags: listed(lost), Repositories: globs})
		if n := int64(len(lost.Tags)); s.Listed != (verify.Proved{All: n, Proved: n}) {
			t.Errorf("in a database, %s: %+v", name, s.Listed)
		}
		if globs == nil && words(n.findings) != "" {
			t.Error(words(n.findings))
		}
	}
}
