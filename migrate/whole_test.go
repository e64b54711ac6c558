package migrate

import (
	"testing"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest"
	"github.com/regferry/regferry/verify/layout/layouttest"
)

// A whole registry arrives whole, and a second run has nothing to do.
func TestWholeRegistry(t *testing.T) {
	dir, made := small(t)
	inMemory := memory(t)
	if _, err := layouttest.PutStore(t.Context(), inMemory, layouttest.Small(1)); err != nil {
		t.Fatal(err)
	}
	for from, src := range map[string]backends.ReadStore{"filesystem": reader(t, dir), "memory": inMemory} {
		for to, open := range fresh {
			t.Run(from+" to "+to, func(t *testing.T) {
				want := treeOf(t, src)
				dst := open(t)
				first, n := transfer(t, src, dst, quick())
				same(t, treeOf(t, dst), want)
				same(t, treeOf(t, src), want)
				clean(t, first)
				tags, revisions := counts(made)
				if first.Blobs != int64(len(made.Blobs)) || first.Copied != first.Blobs || first.CopiedBytes != first.BlobBytes || first.BlobBytes != sum(made) {
					t.Errorf("blobs: %+v", first)
				}
				if first.Repositories != int64(len(made.Repositories)) || first.Tags != tags || first.TagsWritten != tags || first.TagsProved != tags ||
					first.Revisions != revisions || first.RevsProved != revisions {
					t.Errorf("%d tags, %d revisions: %+v", tags, revisions, first)
				}
				if first.Links != int64(made.Objects)-first.Blobs-tags {
					t.Errorf("%d links, of %d objects", first.Links, made.Objects)
				}
				if len(n.findings)+len(n.failures) > 0 || len(n.repositories) != len(made.Repositories) {
					t.Errorf("recorded: %+v", n)
				}

				var count backendtest.Counter
				second, _ := transfer(t, src, count.Wrap(dst), quick())
				clean(t, second)
				if second.Work() != 0 || second.Present != first.Blobs || second.OnTrust != first.Blobs || count.Puts.Load() != 0 {
					t.Errorf("the second run: %d puts, %+v", count.Puts.Load(), second)
				}
			})
		}
	}
}

func counts(made *layouttest.Registry) (tags, revisions int64) {
	for _, r := range made.Repositories {
		tags += int64(len(r.Tags))
		revisions += int64(len(r.Revisions))
	}
	return tags, revisions
}

func sum(made *layouttest.Registry) (n int64) {
	for _, size := range made.Blobs {
		n += size
	}
	return n
}

// Nothing at all is no reason to fail.
func TestNothing(t *testing.T) {
	dst := memory(t)
	got, _ := transfer(t, memory(t), dst, quick())
	clean(t, got)
	if got != (Totals{}) || len(treeOf(t, dst)) > 0 {
		t.Errorf("%+v", got)
	}
}

// readOnly hides that a store can be written, for good.
type readOnly struct{ backends.ReadStore }

// A plan writes nothing, since it has nothing that writes, and says what a run
// then does.
func TestPlan(t *testing.T) {
	dir, made := small(t)
	layer := layerOf(t, made)
	whole := treeOf(t, reader(t, dir))
	for name, prepare := range map[string]func(t *testing.T, dst backends.Store){
		"empty": func(*testing.T, backends.Store) {},
		"half": func(t *testing.T, dst backends.Store) {
			odd := false
			for k, v := range whole {
				if odd = !odd; odd {
					put(t, dst, k, v)
				}
			}
		},
		"a blob of another size": func(t *testing.T, dst backends.Store) { put(t, dst, layerKey(layer), "short") },
		"a moved tag": func(t *testing.T, dst backends.Store) {
			for k, v := range whole {
				put(t, dst, k, v)
			}
			put(t, dst, aTagKey(made), string(made.Repositories[0].Revisions[0]))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dst := memory(t)
			prepare(t, dst)
			before := treeOf(t, dst)
			n := &notes{}
			o := quick()
			o.Recorder = n
			s, err := Plan(t.Context(), reader(t, dir), readOnly{dst}, o)
			if err != nil || !s.Complete || len(s.Passes) != 1 {
				t.Fatalf("%+v, %v", s, err)
			}
			same(t, treeOf(t, dst), before)
			plan := s.Last()
			did, _ := transfer(t, reader(t, dir), dst, quick())
			same(t, treeOf(t, dst), whole)
			type work struct{ blobs, bytes, copied, replaced, copiedBytes, present, links, tags, repositories, written, unknown int64 }
			of := func(x Totals) work {
				return work{x.Blobs, x.BlobBytes, x.Copied, x.Replaced, x.CopiedBytes, x.Present, x.Links, x.Tags, x.Repositories, x.TagsWritten, x.UnknownDone}
			}
			if of(plan) != of(did) {
				t.Errorf("the plan says %+v\nthe run did  %+v", of(plan), of(did))
			}
			if len(n.repositories) != len(made.Repositories) {
				t.Errorf("%d repositories in the plan's report", len(n.repositories))
			}
		})
	}
}

// A plan counts what is carried too, inside a repository and outside.
func TestPlanOfTheRest(t *testing.T) {
	dir, made := small(t)
	damage(t, "unknown", dir, made)
	damage(t, "bad-digest", dir, made)
	damage(t, "outside", dir, made)
	for name, o := range map[string]Options{
		"all":      {},
		"and also": {Also: []string{"lost+found/"}},
	} {
		t.Run(name, func(t *testing.T) {
			o.sleep = quick().sleep
			s, err := Plan(t.Context(), reader(t, dir), memory(t), o)
			if err != nil {
				t.Fatal(err)
			}
			did, _ := transfer(t, reader(t, dir), memory(t), o)
			plan := s.Last()
			if plan.UnknownDone != did.UnknownDone || plan.UnknownBytes != did.UnknownBytes || plan.Copied != did.Copied || plan.CopiedBytes != did.CopiedBytes || plan.Links != did.Links {
				t.Errorf("the plan says %+v\nthe run did  %+v", plan, did)
			}
		})
	}
}
