package migrate

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/layout/layouttest"
	"github.com/regferry/regferry/verify/report"
)

// faulty is a migration between stores that fail on demand.
type faulty struct {
	*testing.T
	dir      string
	made     *layouttest.Registry
	layer    digest.Digest // one that tags need
	key      string        // of its blob
	src      backends.ReadStore
	dst      backends.Store // with the faults
	bare     backends.Store // without
	from, to *backendtest.Faults
	o        Options
}

func newFaulty(t *testing.T, dst backends.Store) *faulty {
	dir, made := small(t)
	f := &faulty{T: t, dir: dir, made: made, layer: layerOf(t, made), bare: dst, o: quick()}
	f.key = layout.BlobKey(f.layer)
	f.from, f.to = backendtest.NewFaults(t), backendtest.NewFaults(t)
	f.src, f.dst = f.from.WrapRead(reader(t, dir)), f.to.Wrap(dst)
	return f
}

func (f *faulty) run() (Totals, *notes) { f.Helper(); return transfer(f.T, f.src, f.dst, f.o) }

// whole demands that all arrived.
func (f *faulty) whole(got Totals) {
	f.Helper()
	clean(f.T, got)
	same(f.T, treeOf(f.T, f.bare), treeOf(f.T, reader(f.T, f.dir)))
}

// allBut demands that everything is there but the blob f.layer and the tags
// that need it, which are held.
func (f *faulty) allBut(got Totals, n *notes, class backends.Class) {
	f.Helper()
	held := tagsNeeding(f.made, f.layer)
	after := treeOf(f.T, f.bare)
	after.sound(f.T)
	if got.Failed != 1 || len(n.failures) != 1 || n.failures[0].Key != f.key || n.failures[0].Class != class.Error() {
		f.Errorf("%d failed, %+v", got.Failed, n.failures)
	}
	if got.SourceDamage() != 0 {
		f.Errorf("a failure is no damage of the source: %+v", got)
	}
	want := slices.DeleteFunc(f.made.TagNames(), func(name string) bool { return slices.Contains(held, name) })
	if !slices.Equal(after.shown(), want) {
		f.Errorf("shown: %q\nwant   %q", after.shown(), want)
	}
	if got.Held < int64(len(held)) || len(held) == 0 {
		f.Errorf("held: %d, of %d tags", got.Held, len(held))
	}
	if got.Copied != int64(len(f.made.Blobs)-1) {
		f.Errorf("%d blobs copied of %d", got.Copied, len(f.made.Blobs))
	}
}

// What passes by itself is tried again, and nobody hears of it.
func TestPassingFaults(t *testing.T) {
	isKind := func(kind layout.Kind) func(string) bool {
		return func(key string) bool { return layout.Parse(key).Kind == kind }
	}
	for name, arm := range map[string]func(f *faulty){
		"blob: open": func(f *faulty) { f.from.On("open", backendtest.Key(f.key), backendtest.Fail(backends.Transient)) },
		"blob: throttled": func(f *faulty) {
			f.from.On("open", backendtest.Key(f.key), backendtest.Fail(backends.Throttled).Times(4))
		},
		"blob: unclassified": func(f *faulty) { f.from.On("open", backendtest.Key(f.key), backendtest.Fail(errors.New("?")).Times(2)) },
		"blob: half-way": func(f *faulty) {
			f.from.On("open", backendtest.Key(f.key), backendtest.FailAfter(10, backends.Transient))
		},
		"blob: cut":             func(f *faulty) { f.from.On("open", backendtest.Key(f.key), backendtest.Truncate(10)) },
		"blob: longer":          func(f *faulty) { f.from.On("open", backendtest.Key(f.key), backendtest.Extra(10)) },
		"blob: a bit":           func(f *faulty) { f.from.On("open", backendtest.Key(f.key), backendtest.Flip(20)) },
		"blob: put":             func(f *faulty) { f.to.On("put", backendtest.Key(f.key), backendtest.Fail(backends.Transient).Times(3)) },
		"blob: answer lost":     func(f *faulty) { f.to.On("put", backendtest.Key(f.key), backendtest.Lost(backends.Transient)) },
		"blob: put half-way":    func(f *faulty) { f.to.On("put", backendtest.Key(f.key), backendtest.FailAfter(10, backends.Transient)) },
		"everything: read once": func(f *faulty) { f.from.On("open", once(), backendtest.Fail(backends.Transient).Always()) },
		"everything: put once":  func(f *faulty) { f.to.On("put", once(), backendtest.Fail(backends.Transient).Always()) },
		"tag link: read": func(f *faulty) {
			f.from.On("open", isKind(layout.TagLink), backendtest.Fail(backends.Transient).Times(3))
		},
		"tag link: put":         func(f *faulty) { f.to.On("put", isKind(layout.TagLink), backendtest.Fail(backends.Throttled).Times(3)) },
		"tag link: answer lost": func(f *faulty) { f.to.On("put", isKind(layout.TagLink), backendtest.Lost(backends.Transient).Times(3)) },
		"revision link: read": func(f *faulty) {
			f.from.On("open", isKind(layout.RevisionLink), backendtest.Fail(backends.Transient).Times(3))
		},
		"layer link: put": func(f *faulty) {
			f.to.On("put", isKind(layout.LayerLink), backendtest.Fail(backends.Transient).Times(3))
		},
		"index link: put": func(f *faulty) {
			f.to.On("put", isKind(layout.TagIndexLink), backendtest.Fail(backends.Transient).Times(3))
		},
		"listing of the source": func(f *faulty) { f.from.On("list", once(), backendtest.Fail(backends.Transient).Always()) },
		"listing, half-way":     func(f *faulty) { f.from.On("list", nil, backendtest.FailAfter(1, backends.Transient).Always()) },
		"listing of the other":  func(f *faulty) { f.to.On("list", once(), backendtest.Fail(backends.Throttled).Always()) },
		"first look at the blobs": func(f *faulty) {
			f.to.On("list", backendtest.Key(blobsPrefix), backendtest.Fail(backends.Denied).Always())
		},
		"a manifest changes once": func(f *faulty) { f.from.On("open", backendtest.Key(f.manifest()), backendtest.Flip(3).Times(1)) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFaulty(t, memory(t))
			arm(f)
			got, n := f.run()
			if len(n.failures)+len(n.findings) > 0 {
				t.Errorf("%+v %+v", n.failures, n.findings)
			}
			f.whole(got)
		})
	}
}

// So are the questions that a choice of repositories asks for each blob, and
// those about unknown objects.
func TestPassingFaultsOfStats(t *testing.T) {
	f := newFaulty(t, memory(t))
	write(t, f.dir, layout.LayersPrefix(f.made.Repositories[0].Name)+"README", "x")
	f.o.Repositories = []string{"**"}
	f.from.On("stat", once(), backendtest.Fail(backends.Transient).Always())
	f.to.On("stat", once(), backendtest.Fail(backends.Throttled).Always())
	got, n := f.run()
	if len(n.failures) > 0 {
		t.Errorf("%d failures, %+v", len(n.failures), n.failures[0])
	}
	f.whole(got)
}

// An unknown object that the destination says nothing of has failed, and the
// next run looks at it again.
func TestUnknownObjectThatCannotBeAskedFor(t *testing.T) {
	f := newFaulty(t, memory(t))
	key := layout.LayersPrefix(f.made.Repositories[0].Name) + "README"
	write(t, f.dir, key, "x")
	put(t, f.bare, key, "y")
	f.o.Checkpoint = filepath.Join(tempDir(t), "c")
	broken := true
	f.to.On("stat", func(k string) bool { return broken && k == key }, backendtest.Fail(backends.Denied).Always())
	got, n := f.run()
	if got.Failed != 1 || len(n.failures) != 1 || n.failures[0].Key != key || n.failures[0].Side != string(backends.Destination) {
		t.Errorf("%+v, %+v", got, n.failures)
	}
	broken = false
	got, _ = f.run()
	f.whole(got)
}

// once matches each key the first time.
func once() func(string) bool {
	seen := map[string]bool{}
	return func(key string) bool {
		if seen[key] {
			return false
		}
		seen[key] = true
		return true
	}
}

// manifest is the key of a manifest that a tag names.
func (f *faulty) manifest() string {
	repo := f.made.Repositories[0]
	return layout.BlobKey(repo.Revisions[len(repo.Revisions)-1])
}

// A blob that cannot be read is one failure: what needs it is held, and all else
// arrives; once it can be read, the next run brings the rest.
func TestUnreadableBlob(t *testing.T) {
	for name, c := range map[string]struct {
		fault backendtest.Fault
		class backends.Class
	}{
		"denied":         {backendtest.Fail(backends.Denied), backends.Denied},
		"transient":      {backendtest.Fail(backends.Transient), backends.Transient},
		"in the middle":  {backendtest.FailAfter(10, backends.Transient), backends.Transient},
		"unclassified":   {backendtest.Fail(errors.New("?")), backends.Unknown},
		"not supported":  {backendtest.Fail(backends.Unsupported), backends.Unsupported},
		"always changes": {backendtest.Fail(backends.Changed), backends.Changed},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFaulty(t, memory(t))
			broken := true
			f.from.On("open", func(key string) bool { return broken && key == f.key }, c.fault.Always())
			got, n := f.run()
			f.allBut(got, n, c.class)
			if n.failures[0].Side != string(backends.Source) {
				t.Errorf("%+v", n.failures[0])
			}
			broken = false
			got, _ = f.run()
			f.whole(got)
		})
	}
}

// A tag whose name the destination cannot hold ("v1." on Azure) is a failure of
// its own: every other tag arrives.
func TestTagThatCannotBeHeld(t *testing.T) {
	f := newFaulty(t, memory(t))
	name := f.made.TagNames()[0]
	repository, tag, _ := strings.Cut(name, ":")
	f.to.On("put", func(key string) bool { return strings.Contains(key, repository+"/_manifests/tags/"+tag+"/") }, backendtest.Fail(backends.Unsupported).Always())
	got, n := f.run()
	if got.Failed == 0 || got.Copied != int64(len(f.made.Blobs)) {
		t.Errorf("%+v", got)
	}
	for _, failure := range n.failures {
		if failure.Class != backends.Unsupported.Error() || !strings.Contains(failure.Key, "/tags/"+tag+"/") {
			t.Errorf("%+v", failure)
		}
	}
	if after := treeOf(t, f.bare); !slices.Equal(after.shown(), slices.DeleteFunc(f.made.TagNames(), func(other string) bool { return other == name })) {
		t.Errorf("shown: %q without %s", after.shown(), name)
	}
}

// The same for what the destination refuses.
func TestUnwritableBlob(t *testing.T) {
	for kind, open := range fresh {
		t.Run(kind, func(t *testing.T) {
			f := newFaulty(t, open(t))
			broken := true
			f.to.On("put", func(key string) bool { return broken && key == f.key }, backendtest.Fail(backends.Denied).Always())
			got, n := f.run()
			f.allBut(got, n, backends.Denied)
			if n.failures[0].Side != string(backends.Destination) || n.failures[0].Op != "put" {
				t.Errorf("%+v", n.failures[0])
			}
			broken = false
			got, _ = f.run()
			f.whole(got)
		})
	}
}

// Content that stays wrong is damage of the source, and not written.
func TestContentThatStaysWrong(t *testing.T) {
	for name, fault := range map[string]backendtest.Fault{
		"cut": backendtest.Truncate(10), "longer": backendtest.Extra(10), "a bit": backendtest.Flip(20),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFaulty(t, memory(t))
			f.from.On("open", backendtest.Key(f.key), fault.Always())
			got, n := f.run()
			if got.Corrupt != 1 || n.kinds()[report.ContentCorrupt] != 1 || got.Undone() != 0 {
				t.Errorf("%+v, %+v", got, n.failures)
			}
			after := treeOf(t, f.bare)
			if _, there := after[f.key]; there {
				t.Error("it was written")
			}
			after.sound(t, tagsNeeding(f.made, f.layer)...)
		})
	}
}

// One link that cannot be read holds what needs it, and nothing else.
func TestUnreadableLink(t *testing.T) {
	for name, pick := range map[string]func(f *faulty) string{
		"tag": func(f *faulty) string { return aTagKey(f.made) },
		"revision": func(f *faulty) string {
			return layout.RevisionKey(f.made.Repositories[0].Name, f.made.Repositories[0].Tags["1.0"])
		},
		"layer": func(f *faulty) string {
			return layout.LayerKey(f.made.Repositories[0].Name, f.made.Needs[f.made.Repositories[0].Tags["1.0"]][0])
		},
	} {
		for _, class := range []backends.Class{backends.Denied, backends.Transient} {
			t.Run(name+"/"+class.Error(), func(t *testing.T) {
				f := newFaulty(t, memory(t))
				key, broken := pick(f), true
				f.from.On("open", func(k string) bool { return broken && k == key }, backendtest.Fail(class).Always())
				got, n := f.run()
				if got.Failed == 0 || got.Held == 0 || got.SourceDamage() != 0 {
					t.Errorf("%+v", got)
				}
				for _, failure := range n.failures {
					if failure.Key != key || failure.Class != class.Error() || failure.Side != "source" {
						t.Errorf("%+v", failure)
					}
				}
				after := treeOf(t, f.bare)
				after.sound(t)
				if shown := after.shown(); len(shown) == len(f.made.TagNames()) || len(shown) < len(f.made.TagNames())/2 {
					t.Errorf("%d tags shown of %d", len(shown), len(f.made.TagNames()))
				}
				broken = false
				got, _ = f.run()
				f.whole(got)
			})
		}
	}
}

// A destination that is full, or given up, ends the run at once.
func TestFullDestination(t *testing.T) {
	for _, kind := range []layout.Kind{layout.Blob, layout.LayerLink, layout.RevisionLink, layout.TagLink, layout.TagIndexLink} {
		t.Run(kind.String(), func(t *testing.T) {
			f := newFaulty(t, memory(t))
			full := true
			f.to.On("put", func(key string) bool { return full && layout.Parse(key).Kind == kind }, backendtest.Fail(backends.Full).Always())
			var puts atomic.Int64
			dst := &watched{Store: f.dst, before: func(string) { puts.Add(1) }}
			n := &notes{}
			f.o.Recorder = n
			s, err := Run(t.Context(), f.src, dst, f.o)
			var fault *Fault
			if !errors.As(err, &fault) || backends.ClassOf(err) != backends.Full || backends.SideOf(err) != backends.Destination {
				t.Fatalf("%+v, %v", s, err)
			}
			if s.Complete || s.Last().Failed == 0 || len(n.failures) == 0 || n.failures[0].Class != "full" {
				t.Errorf("%+v, %+v", s, n.failures)
			}
			after := treeOf(t, f.bare)
			after.sound(t)
			if kind == layout.Blob && puts.Load() > int64(2*f.o.Workers) {
				t.Errorf("%d puts after it was full", puts.Load())
			}
			full = false
			got, _ := f.run()
			f.whole(got)
		})
	}
}

// A side of which nothing works any more is given up.
func TestSideThatIsGivenUp(t *testing.T) {
	for name, c := range map[string]struct {
		op   string
		side backends.Side
	}{"source": {"open", backends.Source}, "destination": {"put", backends.Destination}} {
		t.Run(name, func(t *testing.T) {
			f := newFaulty(t, memory(t))
			f.dir, f.made = registry(t, layouttest.Shape{Seed: 1, Repositories: 4, Tags: 20, Layers: 3})
			f.src = f.from.WrapRead(reader(t, f.dir))
			faults := f.from
			if c.side == backends.Destination {
				faults = f.to
			}
			faults.On(c.op, nil, backendtest.Fail(backends.Denied).Always())
			s, err := Run(t.Context(), f.src, f.dst, f.o)
			var fault *Fault
			if !errors.As(err, &fault) || backends.SideOf(err) != c.side || s.Complete {
				t.Fatalf("%v", err)
			}
			if failed := s.Last().Failed; failed < maxRow || failed > maxRow+int64(f.o.Workers) || failed >= int64(len(f.made.Blobs)) {
				t.Errorf("%d failed of %d", failed, len(f.made.Blobs))
			}
			if len(treeOf(t, f.bare)) != 0 {
				t.Error("something was written")
			}
		})
	}
}

// That it answers for each object is no success of any.
func TestSideThatOnlyTells(t *testing.T) {
	f := newFaulty(t, memory(t))
	f.dir, f.made = registry(t, layouttest.Shape{Seed: 1, Repositories: 1, Tags: 40, Layers: 3})
	f.src = f.from.WrapRead(reader(t, f.dir))
	f.o.Repositories, f.o.Workers = []string{"**"}, 1
	f.from.On("open", func(key string) bool { return layout.Parse(key).Kind == layout.Blob }, backendtest.Fail(backends.Denied).Always())
	s, err := Run(t.Context(), f.src, f.dst, f.o)
	if !errors.As(err, new(*Fault)) || backends.SideOf(err) != backends.Source {
		t.Errorf("%+v, %v", s.Last(), err)
	}
}

// Failures with successes in between are those of objects, however many.
func TestManyFailuresAreNoFault(t *testing.T) {
	f := newFaulty(t, memory(t))
	f.dir, f.made = registry(t, layouttest.Shape{Seed: 1, Repositories: 4, Tags: 20, Layers: 3})
	f.src = f.from.WrapRead(reader(t, f.dir))
	odd := func(key string) bool {
		d, ok := layout.DigestOf(key)
		return ok && f.made.Needs[d] == nil && strings.ContainsAny(d.Encoded()[63:], "13579bdf")
	}
	f.from.On("open", odd, backendtest.Fail(backends.Denied).Always())
	got, _ := f.run()
	if got.Failed <= maxRow {
		t.Errorf("%+v", got)
	}
	treeOf(t, f.bare).sound(t)
}

// A listing that fails for good is a failure: nothing is claimed of what it
// would have held.
func TestListingThatFails(t *testing.T) {
	for side, faults := range map[string]func(f *faulty) *backendtest.Faults{
		"source": func(f *faulty) *backendtest.Faults { return f.from }, "destination": func(f *faulty) *backendtest.Faults { return f.to },
	} {
		for what, prefix := range map[string]func(f *faulty) string{
			"a shard":      func(f *faulty) string { return f.key[:strings.LastIndex(f.key, "/"+f.layer.Encoded())] },
			"a partition":  func(f *faulty) string { return layout.Root + "repositories/a" },
			"the tags":     func(f *faulty) string { return layout.TagsPrefix(f.made.Repositories[0].Name) },
			"revisions":    func(f *faulty) string { return layout.RevisionsPrefix(f.made.Repositories[0].Name) },
			"layers":       func(f *faulty) string { return layout.LayersPrefix(f.made.Repositories[0].Name) },
			"the root":     func(*faulty) string { return layout.Root },
			"what is also": func(*faulty) string { return "lost+found/" },
		} {
			for how, fault := range map[string]backendtest.Fault{
				"at once": backendtest.Fail(backends.Denied), "after one": backendtest.FailAfter(1, backends.Denied), "order": backendtest.Swap(0),
			} {
				if what == "what is also" && how != "at once" || side == "destination" && how != "at once" {
					continue // there is nothing to be in the wrong order
				}
				t.Run(fmt.Sprint(side, "/", what, "/", how), func(t *testing.T) {
					f := newFaulty(t, memory(t))
					damage(t, "outside", f.dir, f.made)
					write(t, f.dir, layout.Root+"NOTES", "x")
					write(t, f.dir, layout.Root+"OTHERS", "x")
					write(t, f.dir, f.key[:strings.LastIndex(f.key, "/"+f.layer.Encoded())]+"/0/x", "a neighbour")
					f.o.Also = []string{"lost+found/"}
					put(t, f.bare, f.manifest(), treeOf(t, reader(t, f.dir))[f.manifest()]) // else no shard of it is listed
					match := prefix(f)
					broken := true
					faults(f).On("list", func(p string) bool { return broken && p == match }, fault.Always())
					got, n := f.run()
					if got.Failed == 0 || len(n.failures) == 0 || n.failures[0].Side != side || n.failures[0].Op != "list" {
						t.Errorf("%+v, %+v", got, n.failures)
					}
					if got.SourceDamage() != 0 || got.BlobsExtra+got.TagsExtra != 0 {
						t.Errorf("a listing that failed was taken for one that ended: %+v", got)
					}
					treeOf(t, f.bare).sound(t)
					broken = false
					got, _ = f.run()
					clean(t, got)
					same(t, treeOf(t, f.bare).below(layout.Root), treeOf(t, reader(t, f.dir)).below(layout.Root))
				})
			}
		}
	}
}

// What is listed and then gone is no failure.
func TestVanished(t *testing.T) {
	t.Run("a blob that nothing needs", func(t *testing.T) {
		f := newFaulty(t, memory(t))
		hurt := damage(t, "blob-unreferenced", f.dir, f.made)
		f.from.On("list", backendtest.Key(hurt.Keys[0]), backendtest.Vanish())
		got, n := f.run()
		if got.Vanished != 1 || got.Undone()+got.SourceDamage() != 0 || len(n.failures) != 0 {
			t.Errorf("%+v", got)
		}
		got, _ = f.run()
		clean(t, got)
		same(t, treeOf(t, f.bare), treeOf(t, f.src))
	})
	t.Run("a blob that a tag needs", func(t *testing.T) {
		f := newFaulty(t, memory(t))
		f.from.On("list", backendtest.Key(f.key), backendtest.Vanish())
		got, n := f.run()
		if got.Vanished != 1 || got.Undone() != 0 || got.TagsBroken == 0 || len(n.failures) != 0 {
			t.Errorf("%+v", got)
		}
		treeOf(t, f.bare).sound(t, tagsNeeding(f.made, f.layer)...)
	})
	t.Run("a tag", func(t *testing.T) {
		f := newFaulty(t, memory(t))
		key := aTagKey(f.made)
		f.from.On("list", backendtest.Key(key), backendtest.Vanish())
		got, _ := f.run()
		if got.Undone() != 0 || got.TagsWritten != int64(len(f.made.TagNames())-1) {
			t.Errorf("%+v", got)
		}
		treeOf(t, f.bare).sound(t)
	})
	t.Run("links", func(t *testing.T) {
		for _, kind := range []layout.Kind{layout.LayerLink, layout.RevisionLink, layout.TagIndexLink} {
			f := newFaulty(t, memory(t))
			first := ""
			times := 0
			f.from.On("list", func(key string) bool { // in the listing of the repository, after that of all
				if layout.Parse(key).Kind == kind && first == "" {
					first = key
				}
				if key == first {
					times++
				}
				return key == first && times == 2
			}, backendtest.Vanish())
			got, _ := f.run()
			if got.Undone() != 0 {
				t.Errorf("%v: %+v", kind, got)
			}
			if bad := treeOf(t, f.bare).wrong(); len(bad) > 0 {
				t.Errorf("%v: %q", kind, bad)
			}
		}
	})
}

// The failures that are counted are those that are recorded.
func TestFailuresAreRecorded(t *testing.T) {
	f := newFaulty(t, memory(t))
	f.from.On("open", func(key string) bool { return layout.Parse(key).Kind == layout.LayerLink }, backendtest.Fail(backends.Denied).Always())
	s, err := Run(context.Background(), f.src, f.dst, f.o)
	if err == nil && s.Last().Undone() == 0 {
		t.Errorf("%+v", s)
	}
	treeOf(t, f.bare).sound(t)
}
