package migrate

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/report"
)

// Whatever lies below the root and is nobody's arrives byte for byte.
func TestUnknownObjects(t *testing.T) {
	dir, made := small(t)
	repo := made.Repositories[0].Name
	revision := made.Repositories[0].Revisions[0]
	hex := revision.Encoded()
	strange := tree{
		layout.Root + "NOTES":                                     "top",
		layout.Root + "blobs/README":                              "",
		layout.Root + "blobs/sha256/zz/data":                      "no shard",
		layout.Root + "blobs/sha256/00/README":                    "in a shard",
		layout.Root + "blobs/sha256/" + hex[:2] + "/short/data":   "bad digest",
		layout.Root + "repositories/.hidden":                      "no name",
		layout.Root + "repositories/file":                         "no repository",
		layout.RepositoryPrefix(repo) + "_extra/of/a/fork":        "beside",
		layout.RepositoryPrefix(repo) + "_manifests/other":        "below",
		layout.TagsPrefix(repo) + "latest/other":                  "in a tag",
		layout.LayersPrefix(repo) + "sha256/README":               "in the layers",
		layout.RepositoryPrefix("only/unknown") + "_x/y":          strings.Repeat("large", 100_000),
		layout.RepositoryPrefix("a.b") + "_manifests/tags.backup": "x",
	}
	revisionKey := layout.RevisionKey(repo, revision)
	strange[revisionKey[:len(revisionKey)-len("link")]+"_referrers/_x/link"] = "sha256:" + hex
	for key, content := range strange {
		write(t, dir, key, content)
	}
	for kind, open := range fresh {
		t.Run(kind, func(t *testing.T) {
			dst := open(t)
			got, n := transfer(t, reader(t, dir), dst, quick())
			clean(t, got)
			whole := treeOf(t, reader(t, dir))
			same(t, treeOf(t, dst), whole)
			bytes := 0
			for _, content := range strange {
				bytes += len(content)
			}
			if got.Unknown != int64(len(strange)) || got.UnknownDone != got.Unknown || got.UnknownBytes != int64(bytes) {
				t.Errorf("%d objects of %d bytes: %+v", len(strange), bytes, got)
			}
			var found []string
			for _, f := range n.findings {
				if f.Kind != report.UnknownObject || f.Severity != report.Notice {
					t.Errorf("%+v", f)
				}
				found = append(found, f.Key)
			}
			slices.Sort(found)
			if want := slices.Sorted(maps.Keys(strange)); !slices.Equal(found, want) {
				t.Errorf("found %q\nwant  %q", found, want)
			}
			again, _ := transfer(t, reader(t, dir), dst, quick())
			if again.Work() != 0 || again.Unknown != got.Unknown {
				t.Errorf("again: %+v", again)
			}
			// The same size, and a later content.
			put(t, dst, layout.Root+"NOTES", "old")
			put(t, dst, layout.RepositoryPrefix(repo)+"_extra/of/a/fork", "BESIDE")
			if again, _ = transfer(t, reader(t, dir), dst, quick()); again.UnknownDone != 2 {
				t.Errorf("after a change: %+v", again)
			}
			same(t, treeOf(t, dst), whole)
		})
	}
}

// Whatever lies in a tag's directory shows as that tag: it waits for the tag.
func TestUnknownObjectsOfHiddenTags(t *testing.T) {
	for _, name := range []string{".DS_Store", "current/link~", "@eaDir/x/y"} {
		for what, hide := range map[string]func(f *faulty, g *groups) (again func()){
			"held": func(f *faulty, _ *groups) func() {
				broken := true
				f.from.On("open", func(key string) bool { return broken && key == f.key }, backendtest.Fail(backends.Denied).Always())
				return func() { broken = false }
			},
			"withheld": func(f *faulty, _ *groups) func() {
				whole := treeOf(t, reader(t, f.dir))[f.key]
				remove(t, f.dir, f.key)
				f.o.WithholdBroken = true
				return func() { write(t, f.dir, f.key, whole) }
			},
			"lost": func(f *faulty, g *groups) func() {
				name, tag, _ := strings.Cut(tagsNeeding(f.made, f.layer)[0], ":")
				g.lose = func(key string) bool { return key == layout.TagKey(name, tag) }
				return func() { g.lose = nil }
			},
		} {
			t.Run(what+"/"+strings.ReplaceAll(name, "/", "|"), func(t *testing.T) {
				g := &groups{Store: memory(t)}
				f := newFaulty(t, g)
				again := hide(f, g)
				repo, tag, _ := strings.Cut(tagsNeeding(f.made, f.layer)[0], ":")
				stray := layout.TagsPrefix(repo) + tag + "/" + name
				write(t, f.dir, stray, "x")
				_, n := transfer(t, f.src, g, f.o)
				after := treeOf(t, g.Store)
				after.sound(t)
				if slices.Contains(after.shown(), repo+":"+tag) {
					t.Errorf("%s:%s is shown", repo, tag)
				}
				if n.kinds()[report.Skipped] != 1 {
					t.Errorf("%+v", n.findings)
				}
				again()
				got, n := transfer(t, f.src, g, f.o)
				clean(t, got)
				same(t, treeOf(t, g.Store), treeOf(t, reader(t, f.dir)))
				if n.kinds()[report.Skipped] != 0 {
					t.Errorf("%+v", n.findings)
				}
			})
		}
	}
}

// Where the source shows no more than a stray file, the destination shows nothing.
func TestUnknownObjectsOfNoTag(t *testing.T) {
	dir, made := small(t)
	whole := treeOf(t, reader(t, dir))
	write(t, dir, layout.TagsPrefix(made.Repositories[0].Name)+"gone/.DS_Store", "x")
	dst := memory(t)
	o := quick()
	o.Final = true
	got, _ := transfer(t, reader(t, dir), dst, o)
	clean(t, got)
	same(t, treeOf(t, dst), whole)
}

// Uploads and leftovers stay where they are, and are counted.
func TestSkipped(t *testing.T) {
	dir, made := small(t)
	repo := made.Repositories[0].Name
	sound := treeOf(t, reader(t, dir))
	damage(t, "junk", dir, made)
	damage(t, "uploads", dir, made)
	write(t, dir, layout.UploadsPrefix("only/uploads")+"x/data", "x")
	for _, key := range []string{layout.TagsPrefix(repo) + "v1.tmp/current/.nfs1", layout.Root + ".nfs2", layout.Root + "repositories/.nfs3", layout.Root + "blobs/sha256/00/.nfs4"} {
		write(t, dir, key, "x")
	}
	dst := memory(t)
	got, n := transfer(t, reader(t, dir), dst, quick())
	clean(t, got)
	if got.Uploads != 4 || got.Junk != 8 || got.Unknown != 0 || len(n.findings) != 8 || n.findings[0].Kind != report.Skipped {
		t.Errorf("%+v, %v", got, n.findings)
	}
	same(t, treeOf(t, dst), sound)
}

// Folder markers, which consoles of object stores make, are in no registry.
func TestFolderMarkers(t *testing.T) {
	src := memory(t)
	dir, _ := small(t)
	whole := treeOf(t, reader(t, dir))
	for k, v := range whole {
		put(t, src, k, v)
	}
	marked := markers{src, []string{layout.Root, layout.Root + "blobs/sha256/", layout.Root + "repositories/alpine-0/"}}
	dst := memory(t)
	got, _ := transfer(t, marked, dst, quick())
	clean(t, got)
	if got.Junk != 3 {
		t.Errorf("%+v", got)
	}
	same(t, treeOf(t, dst), whole)
}

func TestAlso(t *testing.T) {
	dir, made := small(t)
	sound := treeOf(t, reader(t, dir))
	damage(t, "outside", dir, made)
	write(t, dir, "docker/trust/key.pem", "secret")
	write(t, dir, "docker/trust/empty", "")
	write(t, dir, "docker/trusted", "too")
	for _, c := range []struct {
		also []string
		want []string
	}{
		{nil, nil},
		{[]string{"docker/trust/"}, []string{"docker/trust/empty", "docker/trust/key.pem"}},
		{[]string{"docker/trust"}, []string{"docker/trust/empty", "docker/trust/key.pem", "docker/trusted"}},
		{[]string{"lost+found/", "docker/registry/v3/"}, []string{"docker/registry/v3/x", "lost+found/x"}},
		{[]string{"absent/"}, nil},
	} {
		dst := memory(t)
		o := quick()
		o.Also = c.also
		var reads backendtest.Counter
		got, _ := transfer(t, reads.WrapRead(reader(t, dir)), dst, o)
		clean(t, got)
		want := maps.Clone(sound)
		source := treeOf(t, reader(t, dir))
		for _, key := range c.want {
			want[key] = source[key]
		}
		same(t, treeOf(t, dst), want)
		if got.Also != int64(len(c.want)) || got.UnknownDone != got.Also || got.Unknown != 0 {
			t.Errorf("%q: %+v", c.also, got)
		}
		if again, _ := transfer(t, reader(t, dir), dst, o); again.Work() != 0 {
			t.Errorf("%q again: %+v", c.also, again)
		}
	}
}

func TestAlsoRefused(t *testing.T) {
	for _, prefix := range []string{"", "docker/", "docker/registry/v2/", "docker/registry/v2/blobs", "d"} {
		_, err := Run(t.Context(), memory(t), memory(t), Options{Also: []string{"lost+found/", prefix}})
		if err == nil || !strings.Contains(err.Error(), "--also") || !strings.Contains(err.Error(), "docker/trust/") {
			t.Errorf("%q: %v", prefix, err)
		}
	}
}

var _ backends.ReadStore = markers{}
