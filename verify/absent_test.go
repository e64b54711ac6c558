package verify_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

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
