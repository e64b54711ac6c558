package verify_test

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/filesystem"
	"github.com/regferry/regferry/migrate"
	"github.com/regferry/regferry/verify"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/layout/layouttest"
	"github.com/regferry/regferry/verify/report"
)

// found is what an audit at the level content finds of each damage, and nothing else.
var found = map[string]string{
	"bad-digest":             "source unknown notice x2",
	"blob-corrupt":           "source content-corrupt damage, source tag-incomplete damage",
	"blob-data-misnamed":     "source missing damage, source tag-incomplete damage, source unknown notice",
	"blob-directory":         "source missing damage, source tag-incomplete damage",
	"blob-empty":             "source content-corrupt damage, source tag-incomplete damage",
	"blob-long":              "source content-corrupt damage, source tag-incomplete damage",
	"blob-missing":           "source missing damage, source tag-incomplete damage",
	"blob-other-algorithm":   "source unproved notice",
	"blob-short":             "source content-corrupt damage, source tag-incomplete damage",
	"blob-unreferenced":      "source unreferenced notice",
	"blob-without-data":      "source missing damage, source skipped notice, source tag-incomplete damage",
	"child-link-missing":     "source tag-incomplete damage",
	"child-missing":          "source missing damage, source tag-incomplete damage",
	"config-corrupt":         "source content-corrupt damage, source tag-incomplete damage",
	"config-missing":         "source missing damage, source tag-incomplete damage",
	"file-for-repository":    "source unknown notice",
	"file-for-tag":           "source unknown notice",
	"hostile-names":          "source unknown notice x4",
	"index-of-layers":        "",
	"json-not-manifest":      "source tag-incomplete damage",
	"junk":                   "source skipped notice x4",
	"layer-link-dangling":    "source link-dangling notice",
	"layer-link-empty":       "source link-malformed damage, source tag-incomplete damage",
	"layer-link-missing":     "source tag-incomplete damage",
	"layer-link-newline":     "source link-malformed damage, source tag-incomplete damage",
	"layer-link-wrong":       "source link-malformed damage, source tag-incomplete damage",
	"manifest-bad-digest":    "source tag-incomplete damage",
	"manifest-corrupt":       "source content-corrupt damage, source tag-incomplete damage",
	"manifest-empty":         "source tag-incomplete damage",
	"manifest-foreign-layer": "",
	"manifest-half":          "source tag-incomplete damage",
	"manifest-missing":       "source missing damage, source tag-incomplete damage",
	"manifest-not-json":      "source tag-incomplete damage",
	"manifest-schema1":       "",
	"manifest-unknown-type":  "",
	"outside":                "",
	"repository-deep":        "",
	"revision-link-dangling": "source link-dangling damage",
	"revision-link-empty":    "source link-malformed damage, source tag-incomplete damage",
	"revision-link-missing":  "source tag-incomplete damage",
	"revision-link-newline":  "source link-malformed damage, source tag-incomplete damage",
	"revision-link-wrong":    "source link-malformed damage, source tag-incomplete damage",
	"tag-index-empty":        "source link-malformed warning",
	"tag-link-absent":        "source missing damage, source tag-incomplete damage",
	"tag-link-and-newline":   "source link-malformed damage",
	"tag-link-directory":     "source tag-incomplete damage",
	"tag-link-empty":         "source link-malformed damage",
	"tag-link-huge":          "source link-malformed damage",
	"tag-link-malformed":     "source link-malformed damage",
	"tag-link-missing":       "source tag-incomplete damage",
	"tag-link-newline":       "source link-malformed damage",
	"tag-link-to-layer":      "source tag-incomplete damage",
	"tag-link-truncated":     "source link-malformed damage",
	"tag-link-twice":         "source link-malformed damage",
	"tag-link-zeros":         "source link-malformed damage",
	"unknown":                "source unknown notice x5",
	"uploads":                "source skipped notice",
}

func TestEveryDamageHasItsFindings(t *testing.T) {
	all := layouttest.Damages()
	if len(all) < 40 || len(all) != len(found) {
		t.Errorf("%d damages, findings of %d", len(all), len(found))
	}
}

// An audit finds every damage, names it rightly, and finds nothing else.
func TestAudit(t *testing.T) {
	stores := map[string]func(testing.TB, string) backends.ReadStore{
		"filesystem": func(t testing.TB, dir string) backends.ReadStore { return open(t, dir) },
		"memory":     memory,
	}
	for _, d := range layouttest.Damages() {
		for name, store := range stores {
			t.Run(d.Name+"/"+name, func(t *testing.T) {
				t.Parallel()
				dir, _, hurt := damaged(t, d.Name)
				s, n := run(t, verify.Options{Source: store(t, dir), Level: verify.Content})
				if got := words(n.findings); got != found[d.Name] {
					t.Errorf("\t%q: %q,", d.Name, got)
					for _, f := range n.findings {
						t.Logf("%+v", f)
					}
				}
				checkFindings(t, n.findings, hurt)
				if s.Tags.All-s.Tags.Proved > int64(len(hurt.Tags)) || s.Differences() != 0 {
					t.Errorf("%+v", s)
				}
				if (s.SourceDamage() == 0) != !slices.ContainsFunc(n.findings, func(f report.Finding) bool { return f.Severity != report.Notice }) {
					t.Errorf("%d are damage", s.SourceDamage())
				}
			})
		}
	}
}

// checkFindings holds findings to what a damage did: every broken tag is named
// and no other, and every other finding is about a key that was hurt, or the
// blob that was.
func checkFindings(t *testing.T, findings []report.Finding, hurt layouttest.Hurt) {
	t.Helper()
	var tags []string
	for _, f := range findings {
		k := layout.Parse(f.Key)
		switch {
		case f.Kind == report.TagIncomplete, f.Kind == report.LinkMalformed && k.Kind == layout.TagLink:
			tags = append(tags, f.Repository+":"+f.Tag)
		case f.Kind == report.RevIncomplete, f.Kind == report.Missing:
		case f.Kind == report.Skipped:
		case !slices.Contains(hurt.Keys, f.Key):
			t.Errorf("%s was not hurt: %+v", f.Key, f)
		}
		if f.Advice == "" || f.Side == "" || f.Severity == "" || f.Key == "" {
			t.Errorf("it does not say enough: %+v", f)
		}
	}
	slices.Sort(tags)
	if !slices.Equal(tags, hurt.Tags) {
		t.Errorf("broken tags %q, want %q", tags, hurt.Tags)
	}
}

// A destination that has the source's damage is never blamed, whether it is a
// copy of the bytes or what a migration made of it.
func TestDamageOfTheSource(t *testing.T) {
	// A migration waits before it calls a tag broken, so they wait together.
	all := layouttest.Damages()
	dirs, hurts, stores := make([]string, len(all)), make([]layouttest.Hurt, len(all)), make([]backends.Store, len(all))
	var g errgroup.Group
	for i, d := range all {
		dirs[i], _, hurts[i] = damaged(t, d.Name)
		var err error
		if stores[i], err = filesystem.Open(t.TempDir(), filesystem.Options{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stores[i].Close() }) // after those that run side by side
		g.Go(func() error {
			_, err := migrate.Run(t.Context(), open(t, dirs[i]), stores[i], migrate.Options{})
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	for i, d := range all {
		for name, dst := range map[string]backends.ReadStore{"copied": open(t, dirs[i]), "migrated": stores[i]} {
			for _, level := range []verify.Level{verify.Presence, verify.Content} {
				t.Run(d.Name+"/"+name+"/"+string(level), func(t *testing.T) {
					t.Parallel() // each waits before it calls something broken
					s, n := run(t, verify.Options{Source: open(t, dirs[i]), Destination: dst, Level: level})
					if s.Differences() != 0 {
						t.Errorf("differences: %s", words(n.findings))
						for _, f := range n.findings {
							t.Logf("%+v", f)
						}
					}
					if level == verify.Presence && slices.Contains(unseen, d.Name) {
						return
					}
					shown := strings.Contains(found[d.Name], "damage") || strings.Contains(found[d.Name], "warning")
					if (s.SourceDamage() > 0) != shown {
						t.Error(words(n.findings))
					}
					checkTags(t, n.findings, hurts[i].Tags)
				})
			}
		}
	}
}

// Damage that only the destination has is its own or the transfer's.
func TestDamageOfTheDestination(t *testing.T) {
	for _, d := range layouttest.Damages() {
		for _, level := range []verify.Level{verify.Presence, verify.Content} {
			t.Run(d.Name+"/"+string(level), func(t *testing.T) {
				t.Parallel()
				sound, _, _ := damaged(t, "")
				dir, _, hurt := damaged(t, d.Name)
				s, n := run(t, verify.Options{Source: open(t, sound), Destination: open(t, dir), Level: level})
				if s.SourceDamage() != 0 {
					t.Errorf("the source is blamed: %s", words(n.findings))
				}
				if level == verify.Presence && slices.Contains(unseen, d.Name) {
					return
				}
				checkTags(t, n.findings, hurt.Tags)
				harmless := slices.Contains([]string{"junk", "uploads", "outside"}, d.Name)
				if (s.Differences() == 0) != harmless {
					t.Errorf("%d differences: %s", s.Differences(), words(n.findings))
				}
			})
		}
	}
}

func checkTags(t *testing.T, findings []report.Finding, want []string) {
	t.Helper()
	var tags []string
	for _, f := range findings {
		if f.Kind == report.TagIncomplete || (f.Kind == report.LinkMalformed || f.Kind == report.Missing) && layout.Parse(f.Key).Kind == layout.TagLink {
			tags = append(tags, f.Repository+":"+f.Tag)
		}
	}
	slices.Sort(tags)
	if tags = slices.Compact(tags); !slices.Equal(tags, want) {
		t.Errorf("broken tags %q, want %q", tags, want)
	}
}
