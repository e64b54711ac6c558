package verify_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest"
	"github.com/regferry/regferry/verify"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/report"
)

// remove removes an object of a volume.
func remove(t testing.TB, dir, key string) {
	t.Helper()
	if err := os.Remove(filepath.Join(dir, filepath.FromSlash(key))); err != nil {
		t.Fatal(err)
	}
}

// A link that did not arrive is the transfer's fault, also where what it names
// is broken at the source: a migration copies it as it is.
func TestAbsentLinkToWhatIsBrokenAtTheSource(t *testing.T) {
	for _, damage := range []string{"config-missing", "manifest-missing", "child-missing", "child-link-missing", "layer-link-missing", "revision-link-dangling"} {
		from, made, hurt := damaged(t, damage)
		to, _, _ := damaged(t, damage)
		var tag, revision string
		for _, r := range made.Repositories {
			for name, d := range r.Tags {
				if len(hurt.Tags) > 0 && r.Name+":"+name == hurt.Tags[0] {
					tag, revision = layout.TagKey(r.Name, name), layout.RevisionKey(r.Name, d)
				}
			}
		}
		if damage == "revision-link-dangling" {
			revision = hurt.Keys[0]
		}
		for _, key := range []string{tag, revision} {
			if key == "" {
				continue
			}
			remove(t, to, key)
			s, n := run(t, verify.Options{Source: open(t, from), Destination: open(t, to)})
			said := false
			for _, f := range n.findings {
				said = said || f.Kind == report.Missing && f.Side == report.Transfer && f.Key == key
			}
			if !said || s.Differences() == 0 || s.SourceDamage() == 0 {
				t.Errorf("%s without %s: %s", damage, key[strings.Index(key, "_manifests"):], words(n.findings))
			}
		}
	}
}

// A manifest that is too long for any registry is there, so it is no dangling
// link, and nobody is told to delete it for one.
func TestManifestThatIsTooLong(t *testing.T) {
	dir, made, _ := damaged(t, "")
	repo := made.Repositories[0]
	manifest := `{"schemaVersion":2,"manifests":[]` + strings.Repeat(" ", verify.MaxManifest) + `}`
	d := digest.FromString(manifest)
	with := func(tag string) backends.ReadStore {
		s := memory(t, dir).(backends.Store)
		put(t, s, layout.BlobKey(d), manifest)
		put(t, s, layout.RevisionKey(repo.Name, d), string(d))
		if tag != "" {
			put(t, s, layout.TagKey(repo.Name, tag), string(d))
		}
		return s
	}
	for name, c := range map[string]struct {
		verify.Options
		want string
	}{
		"untagged":           {verify.Options{Source: with("")}, "source revision-incomplete damage"},
		"tagged":             {verify.Options{Source: with("long")}, "source tag-incomplete damage"},
		"both":               {verify.Options{Source: with(""), Destination: with("")}, "source revision-incomplete damage"},
		"at the source":      {verify.Options{Source: with(""), Destination: memory(t, dir)}, "source revision-incomplete damage, transfer missing damage, transfer missing warning"},
		"at the destination": {verify.Options{Source: memory(t, dir), Destination: with("")}, "destination extra-at-destination warning x2, destination revision-incomplete damage"},
	} {
		if _, n := run(t, c.Options); words(n.findings) != c.want {
			t.Errorf("%s: %s %+v", name, words(n.findings), n.findings)
		}
	}
}

// A tag or a manifest that is deleted while it is looked at is not counted: what
// is there is proved, all of it.
func TestDeletedMeanwhile(t *testing.T) {
	dir, made, _ := damaged(t, "")
	keys := ofTag(t, open(t, dir), made)
	for _, what := range []string{"tag", "revision"} {
		f := backendtest.NewFaults(t)
		f.On("open", backendtest.Key(keys[what]), backendtest.Fail(backends.NotFound).Always())
		s, _ := run(t, verify.Options{Source: f.WrapRead(open(t, dir))})
		if what == "tag" && (s.Tags.Proved != s.Tags.All || s.SourceDamage() != 0) || s.Revisions.Proved != s.Revisions.All {
			t.Errorf("%s: %+v", what, s)
		}
	}
}
