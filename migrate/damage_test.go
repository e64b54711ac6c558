package migrate

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/layout/layouttest"
	"github.com/regferry/regferry/verify/report"
)

// effect is what a damage of the source must count as.
type effect struct {
	corrupt, malformed, tags, revisions int64 // Totals.Corrupt, Malformed, TagsBroken, RevsBroken; -1: some
	unknown, uploads, junk              int64
}

var effects = map[string]effect{
	"blob-corrupt":           {corrupt: 1, tags: 1, revisions: 1},
	"blob-short":             {corrupt: 1, tags: 1, revisions: 1},
	"blob-long":              {corrupt: 1, tags: 1, revisions: 1},
	"blob-empty":             {corrupt: 1, tags: 1, revisions: 1},
	"blob-missing":           {tags: 1, revisions: 1},
	"blob-directory":         {tags: 1, revisions: 1},
	"config-corrupt":         {corrupt: 1, tags: 1, revisions: 1},
	"config-missing":         {tags: 1, revisions: 1},
	"manifest-corrupt":       {corrupt: 1, tags: 1, revisions: 1},
	"manifest-missing":       {tags: 1, revisions: 1},
	"child-missing":          {tags: 1, revisions: 2}, // the child and its index
	"blob-unreferenced":      {},
	"tag-link-empty":         {tags: 1},
	"tag-link-newline":       {tags: 1},
	"tag-link-malformed":     {tags: 1},
	"tag-link-zeros":         {tags: 1},
	"tag-link-absent":        {tags: 1},
	"tag-link-missing":       {tags: 1},
	"tag-index-empty":        {malformed: 1},
	"revision-link-missing":  {tags: 1},
	"revision-link-empty":    {tags: 1, malformed: 1},
	"child-link-missing":     {tags: 1, revisions: 1},
	"layer-link-missing":     {tags: 1, revisions: 1},
	"layer-link-empty":       {tags: 1, revisions: 1, malformed: 1},
	"layer-link-dangling":    {},
	"revision-link-dangling": {revisions: 1},
	"junk":                   {junk: 4},
	"uploads":                {uploads: 3},
	"unknown":                {unknown: 5},
	"bad-digest":             {unknown: 2},
	"tag-link-huge":          {tags: 1},
	"tag-link-truncated":     {tags: 1},
	"tag-link-twice":         {tags: 1},
	"tag-link-and-newline":   {tags: 1},
	"tag-link-to-layer":      {tags: 1},
	"tag-link-directory":     {tags: 1},
	"revision-link-newline":  {tags: 1, malformed: 1},
	"revision-link-wrong":    {tags: 1, malformed: 1},
	"layer-link-newline":     {tags: 1, revisions: 1, malformed: 1},
	"layer-link-wrong":       {}, // not seen: what such a link holds is for verify to compare with its name
	"manifest-not-json":      {tags: 1, revisions: 1},
	"manifest-half":          {tags: 1, revisions: 1},
	"json-not-manifest":      {tags: 1, revisions: 1},
	"manifest-empty":         {tags: 1, revisions: 1},
	"manifest-bad-digest":    {tags: 1, revisions: 1},
	"manifest-unknown-type":  {},
	"manifest-foreign-layer": {},
	"manifest-schema1":       {},
	"index-of-layers":        {},
	"blob-data-misnamed":     {tags: 1, revisions: 1, unknown: 1},
	"blob-without-data":      {tags: 1, revisions: 1, junk: 1},
	"blob-other-algorithm":   {},
	"file-for-tag":           {unknown: 1},
	"file-for-repository":    {unknown: 1},
	"hostile-names":          {unknown: 4},
	"repository-deep":        {},
	"outside":                {},
}

func TestEffectsAreOfDamages(t *testing.T) {
	n := 0
	for _, d := range layouttest.Damages() {
		if _, ok := effects[d.Name]; !ok {
			t.Errorf("%s has no effect", d.Name)
		}
		n++
	}
	if n != len(effects) {
		t.Errorf("%d damages, %d effects", n, len(effects))
	}
}

// notPut are the damages of tags whose link cannot be brought, for there is
// none: the destination does not show the tag at all.
var notPut = []string{
	"tag-link-empty", "tag-link-newline", "tag-link-malformed", "tag-link-zeros", "tag-link-missing",
	"tag-link-huge", "tag-link-truncated", "tag-link-twice", "tag-link-and-newline", "tag-link-directory",
}

// notSeen are the damages that this package does not see.
var notSeen = []string{"layer-link-wrong"}

func eachDamage(t *testing.T, f func(t *testing.T, dir string, made *layouttest.Registry, hurt layouttest.Hurt, want effect)) {
	for _, d := range layouttest.Damages() {
		t.Run(d.Name, func(t *testing.T) {
			t.Parallel()
			dir, made := small(t)
			hurt, err := d.Apply(dir, made)
			if err != nil {
				t.Fatal(err)
			}
			want := effects[d.Name]
			f(t, dir, made, hurt, want)
		})
	}
}

func damageName(t *testing.T) string {
	name := t.Name()
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '/' {
			return name[i+1:]
		}
	}
	return name
}

func (e effect) check(t *testing.T, got Totals, hurt layouttest.Hurt) {
	t.Helper()
	seen := effect{got.Corrupt, got.Malformed, got.TagsBroken, got.RevsBroken, got.Unknown, got.Uploads, got.Junk}
	if e.tags > 0 {
		e.tags = int64(len(hurt.Tags))
	}
	if e.revisions == 1 && len(hurt.Tags) > 1 { // one for each, as each tag has a revision of its own
		e.revisions = seen.revisions
	}
	if seen != e {
		t.Errorf("counts as %+v, want %+v\n%+v", seen, e, got)
	}
	if got.Undone() != 0 || got.Damaged != 0 {
		t.Errorf("a damage of the source is no failure: %+v", got)
	}
	if (got.SourceDamage() > 0) != (e.corrupt+e.malformed+e.tags+e.revisions > 0) {
		t.Errorf("source damage %d", got.SourceDamage())
	}
}

// Damage at the source: everything else arrives, nothing wrong becomes
// visible, broken tags come as they are where they were not, and each run says
// so again.
func TestDamagedSource(t *testing.T) {
	eachDamage(t, func(t *testing.T, dir string, made *layouttest.Registry, hurt layouttest.Hurt, want effect) {
		src, dst := reader(t, dir), writer(t, tempDir(t))
		got, n := transfer(t, src, dst, quick())
		want.check(t, got, hurt)
		copied := treeOf(t, dst)
		shown := hurt.Tags
		if slices.Contains(notPut, damageName(t)) {
			shown = nil
		}
		copied.sound(t, shown...)

		// What is not there is what must not be, and nothing else.
		whole := treeOf(t, src)
		bad := whole.wrong()
		missing := func(k layout.Key) bool {
			other := damageName(t) == "revision-link-wrong" && slices.Contains(hurt.Keys, k.String())
			return other || slices.Contains(bad, k.String()) || k.Kind == layout.Outside || k.Kind == layout.Junk || k.Kind == layout.Upload ||
				(k.Kind == layout.TagIndexLink || k.Kind == layout.TagLink) && shown == nil && slices.Contains(hurt.Tags, k.Repository+":"+k.Tag)
		}
		same(t, copied, whole.without(missing))

		findings := n.kinds()
		if int64(findings[report.ContentCorrupt]) != want.corrupt || findings[report.TagIncomplete]+findings[report.LinkMalformed] != len(hurt.Tags)*min(1, int(want.tags))+int(want.malformed) {
			t.Errorf("findings: %v", findings)
		}
		again, _ := transfer(t, src, dst, quick())
		want.check(t, again, hurt)
		if again.Work() != 0 {
			t.Errorf("the second run did something: %+v", again)
		}
		same(t, treeOf(t, dst), copied)
	})
}

// With --withhold-broken the destination shows no tag that cannot be pulled.
func TestWithholdBroken(t *testing.T) {
	eachDamage(t, func(t *testing.T, dir string, made *layouttest.Registry, hurt layouttest.Hurt, want effect) {
		o := quick()
		o.WithholdBroken = true
		src, dst := reader(t, dir), memory(t)
		got, _ := transfer(t, src, dst, o)
		want.check(t, got, hurt)
		copied := treeOf(t, dst)
		if slices.Contains(notSeen, damageName(t)) {
			return
		}
		copied.sound(t)
		for _, name := range hurt.Tags {
			if slices.Contains(copied.shown(), name) {
				t.Errorf("%s is shown", name)
			}
		}
		if (got.Withheld > 0) != (want.revisions > 0 || want.tags > 0 && !slices.Contains(notPut, damageName(t))) {
			t.Errorf("withheld: %+v", got)
		}
		for key := range treeOf(t, src) {
			k := layout.Parse(key)
			if _, there := copied[key]; k.Kind == layout.TagLink && !there && !slices.Contains(hurt.Tags, k.Repository+":"+k.Tag) {
				t.Errorf("%s is not there, and it is whole", key)
			}
		}
	})
}

// A destination that has the whole registry keeps every tag, whatever happens
// to the source afterwards.
func TestDamageNeverReplacesGood(t *testing.T) {
	eachDamage(t, func(t *testing.T, dir string, made *layouttest.Registry, hurt layouttest.Hurt, want effect) {
		good, _ := small(t)
		dst := writer(t, tempDir(t))
		transfer(t, reader(t, good), dst, quick())
		got, _ := transfer(t, reader(t, dir), dst, quick())
		if got.Undone() != 0 || got.Replaced != 0 || got.TagsWritten != int64(len(hurt.Added)) {
			t.Errorf("%+v", got)
		}
		after := treeOf(t, dst)
		after.sound(t, slices.DeleteFunc(slices.Clone(hurt.Added), func(name string) bool { return !slices.Contains(hurt.Tags, name) })...)
		whole := treeOf(t, reader(t, good))
		for key, content := range whole {
			if after[key] != content {
				t.Errorf("%s has changed", key)
			}
		}
	})
}

// A tag that is broken at the source does not replace an older one that can be
// pulled; its own blobs and links come along all the same.
func TestBrokenTagNeverReplacesWhole(t *testing.T) {
	dir, made := small(t)
	repo := made.Repositories[0]
	dst := writer(t, tempDir(t))
	transfer(t, reader(t, dir), dst, quick())
	before := treeOf(t, dst)

	// The tag moves to an image that the source lacks a layer of.
	const manifest = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"x","digest":"sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff","size":2},"layers":[]}`
	d := digestOf(manifest)
	write(t, dir, layout.BlobKey(d), manifest)
	write(t, dir, layout.RevisionKey(repo.Name, d), string(d))
	write(t, dir, layout.TagKey(repo.Name, "1.0"), string(d))
	write(t, dir, layout.TagKey(repo.Name, "new"), string(d))
	got, n := transfer(t, reader(t, dir), dst, quick())
	if got.TagsBroken != 2 || got.TagsWritten != 1 || got.SourceDamage() == 0 || got.Undone() != 0 {
		t.Errorf("%+v", got)
	}
	after := treeOf(t, dst)
	after.sound(t, repo.Name+":new")
	if key := layout.TagKey(repo.Name, "1.0"); after[key] != before[key] {
		t.Errorf("the tag was replaced: %s, was %s", after[key], before[key])
	}
	for _, f := range n.findings {
		if f.Kind == report.TagIncomplete && (f.Side != report.Source || f.Digest != d || len(f.Chain) == 0 || f.Expected == "" || f.Found == "" || f.Advice == "") {
			t.Errorf("%+v", f)
		}
	}
	// Repaired at the source, it arrives.
	write(t, dir, layout.TagKey(repo.Name, "1.0"), before[layout.TagKey(repo.Name, "1.0")])
	remove(t, dir, layout.TagKey(repo.Name, "new"))
	got, _ = transfer(t, reader(t, dir), dst, quick())
	if got.TagsBroken != 0 || got.TagsExtra != 1 {
		t.Errorf("%+v", got)
	}
}

// snapshots copies the checkpoint when a key is put: what a run that is killed
// then leaves behind.
type snapshots struct {
	backends.Store
	key, from, to string
}

func (s *snapshots) Put(ctx context.Context, key string, c backends.Content) (backends.Object, error) {
	if key == s.key {
		b, err := os.ReadFile(s.from)
		if err = errors.Join(err, os.WriteFile(s.to, b, 0o600)); err != nil {
			return backends.Object{}, err
		}
	}
	return s.Store.Put(ctx, key, c)
}

func TestDoubtComesBeforeTheBrokenTag(t *testing.T) {
	dir, made := small(t)
	repo := made.Repositories[0]
	dst := memory(t)
	o := quick()
	o.Checkpoint = filepath.Join(t.TempDir(), "state")
	transfer(t, reader(t, dir), dst, o)

	missing := digestOf("no such manifest")
	key := layout.TagKey(repo.Name, "new")
	write(t, dir, key, string(missing))
	killed := filepath.Join(t.TempDir(), "killed")
	_, _ = transfer(t, reader(t, dir), &snapshots{dst, key, o.Checkpoint, killed}, o)

	o.Checkpoint = killed
	got, _ := transfer(t, reader(t, dir), dst, o)
	if got.TagsBroken != 1 {
		t.Errorf("a run after a kill says %d broken tags, want 1: %+v", got.TagsBroken, got)
	}
}
