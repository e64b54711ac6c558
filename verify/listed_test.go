package verify_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/regferry/regferry/verify"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/layout/layouttest"
	"github.com/regferry/regferry/verify/report"
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

// Where the tags are in a database, what the transfer lost is the transfer's
// damage, and what the source lacks the source's.
func TestListedTagsAreComparedWithTheSource(t *testing.T) {
	from, made, _ := damaged(t, "")
	to, _, _ := damaged(t, "")
	for _, r := range made.Repositories {
		unlinked(t, from, r.Name)
		unlinked(t, to, r.Name)
	}
	repo := made.Repositories[0]
	key := layout.BlobKey(made.Needs[repo.Tags["1.0"]][0])
	o := verify.Options{Tags: listed(repo)}
	for _, c := range []struct {
		lost string
		side report.Side
	}{{to, report.Transfer}, {from, report.Source}} {
		remove(t, c.lost, key)
		o.Source, o.Destination = open(t, from), open(t, to)
		s, n := run(t, o)
		if s.Listed.Proved >= s.Listed.All {
			t.Errorf("%+v", s.Listed)
		}
		for _, f := range n.findings {
			if f.Side != c.side && f.Severity != report.Notice {
				t.Errorf("lost at %s: %+v", c.side, f)
			}
		}
	}
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
