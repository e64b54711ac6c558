package migrate

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest"
	"github.com/regferry/regferry/verify"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/layout/layouttest"
)

// belonging says what a choice of repositories has to bring: their links, and
// the blobs that any of these name.
func belonging(t *testing.T, whole tree, made *layouttest.Registry, chosen func(string) bool) tree {
	t.Helper()
	needed := map[string]bool{}
	for key, content := range whole {
		if k := layout.Parse(key); k.Repository != "" && chosen(k.Repository) {
			needed[key] = true
			if d, err := layout.ParseLink([]byte(content)); err == nil {
				needed[layout.BlobKey(d)] = true
			}
		}
	}
	if len(needed) == 0 {
		t.Fatal("nothing is chosen")
	}
	return whole.without(func(k layout.Key) bool { return !needed[k.String()] })
}

// A choice of repositories brings exactly their links and what these lead to.
func TestChoice(t *testing.T) {
	dir, made := small(t)
	write(t, dir, layout.RepositoryPrefix(made.Repositories[0].Name)+"_extra/x", "unknown, and of it")
	write(t, dir, layout.RepositoryPrefix(made.Repositories[1].Name)+"_extra/x", "unknown, and of another")
	write(t, dir, layout.Root+"NOTES", "of none")
	write(t, dir, layout.UploadsPrefix(made.Repositories[1].Name)+"x/data", "x")
	damage(t, "blob-unreferenced", dir, made)
	whole := treeOf(t, reader(t, dir))
	for _, choice := range [][]string{{made.Repositories[0].Name}, {made.Repositories[1].Name}, {"org/**"}, {made.Repositories[0].Name, "org/*/*"}} {
		for kind, open := range fresh {
			t.Run(kind+"/"+strings.ReplaceAll(strings.Join(choice, "+"), "/", "|"), func(t *testing.T) {
				dst := open(t)
				o := quick()
				o.Repositories = choice
				got, n := transfer(t, reader(t, dir), dst, o)
				clean(t, got)
				want := belonging(t, whole, made, verify.Globs(choice).Match).without(func(k layout.Key) bool { return k.Kind == layout.Upload })
				after := treeOf(t, dst)
				same(t, after, want)
				after.sound(t)
				if len(n.repositories) != int(got.Repositories) || got.Copied == 0 {
					t.Errorf("%d repositories, %+v", len(n.repositories), got)
				}
				if again, _ := transfer(t, reader(t, dir), dst, o); again.Work() != 0 {
					t.Errorf("again: %+v", again)
				}
				// What is left follows when all are chosen.
				rest, _ := transfer(t, reader(t, dir), dst, quick())
				clean(t, rest)
				same(t, treeOf(t, dst), whole.without(func(k layout.Key) bool { return k.Kind == layout.Upload }))
			})
		}
	}
}

// A tag that only the destination has counts in the chosen ones only.
func TestChoiceAndExtraTags(t *testing.T) {
	dir, made := small(t)
	dst := memory(t)
	for _, repo := range made.Repositories {
		put(t, dst, layout.TagKey(repo.Name, "extra"), string(repo.Revisions[0]))
	}
	o := quick()
	o.Repositories = []string{made.Repositories[0].Name}
	if got, _ := transfer(t, reader(t, dir), dst, o); got.TagsExtra != 1 {
		t.Errorf("%+v", got)
	}
}

// --recheck-existing holds for what a choice of repositories needs, too.
func TestChoiceRechecks(t *testing.T) {
	dir, made := small(t)
	whole := treeOf(t, reader(t, dir))
	layer := layerOf(t, made)
	repo := strings.Split(tagsNeeding(made, layer)[0], ":")[0]
	flipped := []byte(whole[layout.BlobKey(layer)])
	flipped[0] ^= 1
	dst := memory(t)
	for k, v := range whole {
		put(t, dst, k, v)
	}
	put(t, dst, layout.BlobKey(layer), string(flipped))
	o := quick()
	o.Repositories, o.RecheckExisting = []string{repo}, true
	got, _ := transfer(t, reader(t, dir), dst, o)
	if got.Replaced != 1 || got.Rechecked == 0 {
		t.Errorf("%+v", got)
	}
	same(t, treeOf(t, dst), whole)
}

// So it does for what an earlier run has proved, and so does a sample.
func TestChoiceRechecksWhatWasProved(t *testing.T) {
	dir, made := small(t)
	layer := layerOf(t, made)
	repo := strings.Split(tagsNeeding(made, layer)[0], ":")[0]
	for name, ask := range map[string]func(o *Options){
		"all":    func(o *Options) { o.RecheckExisting = true },
		"sample": func(o *Options) { o.Recheck = func(d digest.Digest) bool { return d == layer } },
	} {
		for _, moved := range []bool{false, true} {
			t.Run(fmt.Sprint(name, "/moved ", moved), func(t *testing.T) {
				dst := memory(t)
				o := quick()
				o.Checkpoint, o.Repositories = filepath.Join(tempDir(t), "c"), []string{repo}
				transfer(t, reader(t, dir), dst, o)
				whole := treeOf(t, dst)
				if c := new(backendtest.Counter); !moved {
					transfer(t, reader(t, dir), c.Wrap(dst), o)
					if c.Stats.Load() > 0 {
						t.Errorf("%d Stats where nothing is asked for", c.Stats.Load())
					}
				}
				rotten := []byte(whole[layout.BlobKey(layer)])
				rotten[0] ^= 1
				put(t, dst, layout.BlobKey(layer), string(rotten))
				if moved {
					put(t, dst, aTagKey(made), string(made.Repositories[0].Revisions[0]))
				}
				ask(&o)
				o.Final = true
				s, err := Run(t.Context(), reader(t, dir), dst, o)
				if err != nil {
					t.Fatal(err)
				}
				clean(t, s.Last())
				rechecked := int64(0)
				for _, p := range s.Passes {
					rechecked += p.Rechecked
				}
				blobs := int64(0)
				for key := range whole {
					if layout.Parse(key).Kind == layout.Blob {
						blobs++
					}
				}
				if s.Passes[0].Replaced != 1 || name == "all" && rechecked != blobs-1 || name == "sample" && rechecked != 0 {
					t.Errorf("%d rechecked of %d: %+v", rechecked, blobs, s.Passes)
				}
				same(t, treeOf(t, dst), whole)
			})
		}
	}
}

// Damage outside the choice is none of it.
func TestChoiceBesideDamage(t *testing.T) {
	dir, made := small(t)
	hurt := damage(t, "revision-link-missing", dir, made)
	repo, _, _ := strings.Cut(hurt.Tags[0], ":")
	i := slices.IndexFunc(made.Repositories, func(r layouttest.Repository) bool { return r.Name != repo })
	o := quick()
	o.Repositories = []string{made.Repositories[i].Name}
	got, _ := transfer(t, reader(t, dir), memory(t), o)
	clean(t, got)
}

// A choice that fits nothing moves nothing, and is no failure of the engine.
func TestChoiceOfNothing(t *testing.T) {
	dir, _ := small(t)
	dst := memory(t)
	o := quick()
	o.Repositories = []string{"absent/**"}
	got, _ := transfer(t, reader(t, dir), dst, o)
	if got.Repositories != 0 || len(treeOf(t, dst)) != 0 {
		t.Errorf("%+v", got)
	}
}

// A changed choice is the same migration: the checkpoint is taken, and its
// pass begins anew.
func TestChangedChoice(t *testing.T) {
	dir, made := small(t)
	dst := writer(t, tempDir(t))
	o := quick()
	o.Checkpoint = filepath.Join(tempDir(t), "c")
	o.Repositories = []string{made.Repositories[0].Name}
	interrupted(t, reader(t, dir), dst, o, 20)
	o.Repositories = []string{made.Repositories[1].Name}
	got, _ := transfer(t, reader(t, dir), dst, o)
	clean(t, got)
	after := treeOf(t, dst)
	want := belonging(t, treeOf(t, reader(t, dir)), made, verify.Globs(o.Repositories).Match)
	for key, content := range want {
		if after[key] != content {
			t.Errorf("%s is missing", key)
		}
	}
	o.Repositories = nil
	got, _ = transfer(t, reader(t, dir), dst, o)
	clean(t, got)
	same(t, treeOf(t, dst), treeOf(t, reader(t, dir)))
}

var _ backends.ReadStore = &hooks{}
