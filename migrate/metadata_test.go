package migrate

import (
	"strings"
	"testing"

	"github.com/regferry/regferry/verify/layout"
)

func TestMetadata(t *testing.T) {
	for _, c := range []struct {
		name                string
		t                   Totals
		auto, stored, other bool // what auto, storage and database say
	}{
		{"a registry", Totals{Blobs: 100, Revisions: 20, Tags: 10}, false, false, true},
		{"nothing", Totals{}, false, false, true},
		{"blobs and no revisions", Totals{Blobs: 100}, true, false, true},
		{"hardly any tags", Totals{Blobs: 9000, Revisions: 2001, Tags: 2}, true, false, true},
		{"one moving tag", Totals{Blobs: 9000, Revisions: 900, Tags: 1}, false, false, true},
	} {
		for m, want := range map[Metadata]bool{MetadataAuto: c.auto, MetadataStorage: c.stored, MetadataDatabase: c.other, "": c.auto} {
			if got := m.Database(c.t.Blobs, c.t.Revisions, c.t.Tags); got != want {
				t.Errorf("%s with %q: %v", c.name, m, got)
			}
		}
	}
	for _, s := range []string{"storage", "database", "auto"} {
		if m, err := ParseMetadata(s); err != nil || string(m) != s {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range []string{"", "Auto", "postgres"} {
		if _, err := ParseMetadata(s); err == nil || !strings.Contains(err.Error(), "--metadata") || !strings.Contains(err.Error(), "--metadata database") {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// The storage of a registry whose metadata is elsewhere: all of it arrives, and
// the summary does not claim to have proved what it cannot.
func TestDatabase(t *testing.T) {
	dir, _ := small(t)
	whole := treeOf(t, reader(t, dir))
	blobs := whole.without(func(k layout.Key) bool {
		return k.Kind == layout.RevisionLink || k.Kind == layout.TagLink || k.Kind == layout.TagIndexLink
	})
	src := memory(t)
	for k, v := range blobs {
		put(t, src, k, v)
	}
	for m, want := range map[Metadata]bool{MetadataAuto: true, MetadataDatabase: true, MetadataStorage: false} {
		dst := memory(t)
		o := quick()
		o.Metadata = m
		s, err := Run(t.Context(), src, dst, o)
		if err != nil || s.Database != want {
			t.Errorf("%s: database %v, %v", m, s.Database, err)
		}
		clean(t, s.Last())
		same(t, treeOf(t, dst), blobs)
	}
}
