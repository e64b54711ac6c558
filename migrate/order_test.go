package migrate

import (
	"fmt"
	"sync"
	"testing"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/layout/layouttest"
)

// check looks at a store as a registry would at this moment: the tags first,
// then what they need, so that a write in between is no excuse.
func check(s backends.ReadStore) []string {
	var keys []string
	for o, err := range s.List(bg, layout.Root+"repositories/", "") {
		if err != nil {
			return []string{err.Error()}
		}
		keys = append(keys, o.Key)
	}
	return broken(shown(keys), func(key string) ([]byte, bool) { return get(s, key) })
}

// inspector checks after each Put and each Sync, one at a time.
type inspector struct {
	t      testing.TB
	store  backends.ReadStore
	except func(tag string) bool
	mu     sync.Mutex
	looks  int
	bad    int
}

func (i *inspector) look(op, key string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.looks++
	for _, tag := range check(i.store) {
		if i.except != nil && i.except(tag) {
			continue
		}
		if i.bad++; i.bad < 5 {
			i.t.Errorf("after %s %s, %s is shown and cannot be pulled: %v", op, key, tag, why(tag, i.store))
		}
	}
}

func why(name string, s backends.ReadStore) error {
	for n := range name {
		if name[n] == ':' {
			return servable(name[:n], name[n+1:], func(key string) ([]byte, bool) { return get(s, key) })
		}
	}
	return nil
}

// destinations are fresh stores and how to look at what is visible in them.
var destinations = map[string]func(testing.TB) (backends.Store, backends.ReadStore){
	"memory": func(t testing.TB) (backends.Store, backends.ReadStore) {
		s := memory(t)
		return s, s
	},
	"filesystem": func(t testing.TB) (backends.Store, backends.ReadStore) {
		dir := tempDir(t)
		return writer(t, dir), reader(t, dir)
	},
	"groups": func(t testing.TB) (backends.Store, backends.ReadStore) {
		s := memory(t)
		return &groups{Store: s}, s
	},
}

// At every moment each tag that is shown can be pulled.
func TestOrder(t *testing.T) {
	dir, made := tiny(t)
	for name, open := range destinations {
		for _, workers := range []int{1, 8} {
			t.Run(fmt.Sprint(name, "/", workers), func(t *testing.T) {
				dst, visible := open(t)
				i := &inspector{t: t, store: visible}
				o := quick()
				o.Workers = workers
				got, _ := transfer(t, reader(t, dir), watch(&watched{Store: dst, after: i.look}), o)
				clean(t, got)
				if i.looks < made.Objects {
					t.Errorf("%d looks at %d objects", i.looks, made.Objects)
				}
				same(t, treeOf(t, visible), treeOf(t, reader(t, dir)))
			})
		}
	}
}

// The same where the destination had something before: half of the objects,
// and tags of which each names what another one does.
func TestOrderOverAnOlderOne(t *testing.T) {
	dir, made := tiny(t)
	whole := treeOf(t, reader(t, dir))
	for name, open := range destinations {
		t.Run(name, func(t *testing.T) {
			dst, visible := open(t)
			odd := false
			for k, v := range whole {
				kind := layout.Parse(k).Kind
				if odd = !odd; odd && kind != layout.TagLink && kind != layout.TagIndexLink {
					put(t, dst, k, v)
				}
			}
			i := &inspector{t: t, store: visible}
			transfer(t, reader(t, dir), watch(&watched{Store: dst, after: i.look}), quick())
			same(t, treeOf(t, visible), whole)

			// All tags move round.
			for _, repo := range made.Repositories {
				var all []string
				for tag := range repo.Tags {
					all = append(all, tag)
				}
				for n, tag := range all {
					write(t, dir, layout.TagKey(repo.Name, tag), string(repo.Tags[all[(n+1)%len(all)]]))
				}
			}
			got, _ := transfer(t, reader(t, dir), watch(&watched{Store: dst, after: i.look}), quick())
			clean(t, got)
			same(t, treeOf(t, visible), treeOf(t, reader(t, dir)))
			for _, repo := range made.Repositories {
				for tag, d := range repo.Tags {
					write(t, dir, layout.TagKey(repo.Name, tag), string(d))
				}
			}
		})
	}
}

// Damage of the source is shown as it is, and nothing else is.
func TestOrderOfDamage(t *testing.T) {
	for _, name := range []string{"blob-missing", "child-missing", "child-link-missing", "manifest-corrupt", "layer-link-missing"} {
		t.Run(name, func(t *testing.T) {
			dir, made := tiny(t)
			hurt := damage(t, name, dir, made)
			dst, visible := destinations["groups"](t)
			i := &inspector{t: t, store: visible, except: func(tag string) bool {
				for _, bad := range hurt.Tags {
					if bad == tag {
						return true
					}
				}
				return false
			}}
			transfer(t, reader(t, dir), watch(&watched{Store: dst, after: i.look}), quick())
			treeOf(t, visible).sound(t, hurt.Tags...)
		})
	}
}

// pusher pushes an image, in the order of a registry, each time it is asked.
type pusher struct {
	t    testing.TB
	dir  string
	repo string
	n    int
}

func (p *pusher) push(tag string) {
	p.n++
	layer := fmt.Sprint("layer ", p.n, p.repo)
	config := fmt.Sprint("{\"n\":", p.n, "}")
	l, c := digestOf(layer), digestOf(config)
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":%q,"size":%d}]}`, c, len(config), l, len(layer))
	m := digestOf(manifest)
	index := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":%q,"size":%d}]}`, m, len(manifest))
	x := digestOf(index)
	for _, o := range [][2]string{
		{layout.BlobKey(l), layer}, {layout.LayerKey(p.repo, l), string(l)},
		{layout.BlobKey(c), config}, {layout.LayerKey(p.repo, c), string(c)},
		{layout.BlobKey(m), manifest}, {layout.RevisionKey(p.repo, m), string(m)},
		{layout.BlobKey(x), index}, {layout.RevisionKey(p.repo, x), string(x)},
		{layout.TagIndexKey(p.repo, tag, x), string(x)}, {layout.TagKey(p.repo, tag), string(x)},
	} {
		write(p.t, p.dir, o[0], o[1])
	}
}

// Pushes come at the worst moments: before each listing, before each reading of
// a tag. No tag is ever shown without what it needs, and when the pushes end,
// the next run makes both sides equal.
func TestOrderOfALiveSource(t *testing.T) {
	for name, open := range destinations {
		for what, hook := range map[string]func(h *hooks, push func(string)){
			"each listing of a repository": func(h *hooks, push func(string)) {
				h.list = func(prefix string) {
					if len(prefix) > len(layout.Root+"repositories/x") {
						push(prefix)
					}
				}
			},
			"some listings of blobs": func(h *hooks, push func(string)) {
				n := 0
				h.list = func(string) {
					if n++; n%40 == 0 {
						push("")
					}
				}
			},
			"each reading of a tag": func(h *hooks, push func(string)) {
				h.open = func(key string) {
					if layout.Parse(key).Kind == layout.TagLink {
						push(key)
					}
				}
			},
			"some readings": func(h *hooks, push func(string)) {
				n := 0
				h.open = func(key string) {
					if n++; n%15 == 0 {
						push(key)
					}
				}
			},
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				dir, made := tiny(t)
				p := &pusher{t: t, dir: dir, repo: made.Repositories[0].Name}
				left := 0 // pushes in this run
				h := &hooks{ReadStore: reader(t, dir)}
				hook(h, func(string) {
					if left--; left >= 0 {
						p.push([]string{"1.0", "latest", "moving"}[p.n%3])
					}
				})
				dst, visible := open(t)
				i := &inspector{t: t, store: visible}
				for range 2 {
					left = 12
					s, err := Run(t.Context(), h, watch(&watched{Store: dst, after: i.look}), quick())
					if err != nil || s.Last().Failed+s.Last().SourceDamage() != 0 {
						t.Errorf("%+v, %v", s, err)
					}
				}
				if p.n < 5 {
					t.Errorf("%d pushes", p.n)
				}
				left = 0
				got, _ := transfer(t, h, watch(&watched{Store: dst, after: i.look}), quick())
				clean(t, got)
				same(t, treeOf(t, visible), treeOf(t, reader(t, dir)))
			})
		}
	}
}

// Tags and revisions are deleted while they are looked at.
func TestOrderOfDeletions(t *testing.T) {
	for name, open := range destinations {
		t.Run(name, func(t *testing.T) {
			dir, made := tiny(t)
			repo := made.Repositories[0]
			h := &hooks{ReadStore: reader(t, dir)}
			deleted := false
			h.open = func(key string) {
				if k := layout.Parse(key); !deleted && k.Kind == layout.TagLink && k.Repository == repo.Name {
					deleted = true // as a registry deletes a manifest: its revision link, then its tags
					remove(t, dir, layout.RevisionKey(repo.Name, repo.Tags["latest"]))
					remove(t, dir, layout.TagIndexKey(repo.Name, "latest", repo.Tags["latest"]))
					remove(t, dir, layout.TagKey(repo.Name, "latest"))
				}
			}
			dst, visible := open(t)
			i := &inspector{t: t, store: visible}
			got, _ := transfer(t, h, watch(&watched{Store: dst, after: i.look}), quick())
			if !deleted || got.SourceDamage()+got.Failed != 0 {
				t.Errorf("%+v", got)
			}
		})
	}
}

// A blob that comes late: the revision was broken when it was judged, and whole
// when its tag was written. What made it whole is durable before the tag.
func TestOrderOfALateBlob(t *testing.T) {
	for name, open := range destinations {
		for what, key := range map[string]func(made *layouttest.Registry) string{
			"blob": func(made *layouttest.Registry) string { return layout.BlobKey(layerOf(t, made)) },
			"link": func(made *layouttest.Registry) string {
				return layout.LayerKey(made.Repositories[0].Name, made.Needs[made.Repositories[0].Tags["latest"]][0])
			},
		} {
			t.Run(name+"/"+what, func(t *testing.T) {
				dir, made := tiny(t)
				late := key(made)
				content := treeOf(t, reader(t, dir))[late]
				remove(t, dir, late)
				h := &hooks{ReadStore: reader(t, dir)}
				dst, visible := open(t)
				i := &inspector{t: t, store: visible}
				w := &watched{Store: dst, after: i.look}
				w.before = func(key string) {
					if layout.Parse(key).Kind == layout.RevisionLink && content != "" {
						write(t, dir, late, content)
						content = ""
					}
					// The strict reading of the contract: what a tag needs is
					// durable, not only put, before the tag is.
					if k := layout.Parse(key); k.Kind == layout.TagLink && name == "groups" {
						d := treeOf(t, reader(t, dir))[key]
						if d != "" {
							if err := pullManifest(k.Repository, digestFrom(d), func(key string) ([]byte, bool) { return get(visible, key) }); err != nil {
								t.Errorf("%s is put before it can be pulled: %v", key, err)
							}
						}
					}
				}
				o := quick()
				o.Workers = 1
				got, _ := transfer(t, h, watch(w), o)
				if got.Undone() != 0 || got.TagsBroken != 0 {
					t.Errorf("%+v", got)
				}
				if content != "" {
					t.Error("it never came")
				}
				if got.TagsWritten != int64(len(made.TagNames())) {
					t.Errorf("%+v", got)
				}
			})
		}
	}
}
