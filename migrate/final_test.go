package migrate

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/layout/layouttest"
	"github.com/regferry/regferry/verify/report"
)

// A final run ends with a pass that found nothing to do and a look at every
// tag of the destination.
func TestFinal(t *testing.T) {
	dir, made := small(t)
	for kind, open := range fresh {
		t.Run(kind, func(t *testing.T) {
			dst := open(t)
			o := quick()
			o.Final = true
			s, err := Run(t.Context(), reader(t, dir), dst, o)
			if err != nil || len(s.Passes) != 2 || !s.Complete {
				t.Fatalf("%+v, %v", s, err)
			}
			clean(t, s.Last())
			if s.Passes[0].Work() == 0 || s.Last().Work() != 0 || s.Last().TagsChecked != int64(len(made.TagNames())) {
				t.Errorf("%+v", s)
			}
			if s, err = Run(t.Context(), reader(t, dir), dst, o); err != nil || len(s.Passes) != 1 || s.Last().TagsChecked != int64(len(made.TagNames())) {
				t.Errorf("again: %+v, %v", s, err)
			}
		})
	}
}

// Tags that only the destination has are named, and looked at like the others.
func TestFinalAndExtraTags(t *testing.T) {
	dir, made := small(t)
	repo := made.Repositories[0]
	dst := memory(t)
	put(t, dst, layout.TagKey(repo.Name, "extra"), string(repo.Tags["1.0"]))
	put(t, dst, layout.TagKey("gone", "broken"), string(repo.Tags["1.0"]))
	n := &notes{}
	o := quick()
	o.Final, o.Recorder = true, n
	s, err := Run(t.Context(), reader(t, dir), dst, o)
	if err != nil || s.Last().TagsExtra != 2 || s.Last().Damaged != 1 || s.Last().TagsChecked != int64(len(made.TagNames())+1) {
		t.Errorf("%+v, %v", s, err)
	}
	found := map[string]report.Finding{}
	for _, f := range n.findings {
		found[fmt.Sprint(f.Kind, " ", f.Repository, ":", f.Tag)] = f
	}
	if f := found["tag-incomplete gone:broken"]; f.Side != report.Destination || f.Severity != report.Damage || f.Expected == "" || f.Found == "" || !strings.Contains(f.Advice, "--recheck-existing") {
		t.Errorf("%+v", n.findings)
	}
	for _, name := range []string{"extra-at-destination gone:broken", "extra-at-destination " + repo.Name + ":extra"} {
		if f := found[name]; f.Severity != report.Notice || f.Key == "" {
			t.Errorf("%s: %+v", name, n.findings)
		}
	}
}

// What is broken at the source is not the destination's damage.
func TestFinalOfDamage(t *testing.T) {
	for _, name := range []string{"blob-missing", "manifest-corrupt", "tag-link-empty", "tag-link-missing", "tag-link-absent", "layer-link-missing", "revision-link-empty"} {
		t.Run(name, func(t *testing.T) {
			dir, made := small(t)
			hurt := damage(t, name, dir, made)
			o := quick()
			o.Final = true
			s, err := Run(t.Context(), reader(t, dir), memory(t), o)
			if err != nil || s.Last().Damaged != 0 || s.Last().SourceDamage() == 0 || s.Last().TagsChecked != int64(len(made.TagNames())-len(hurt.Tags)) {
				t.Errorf("%+v, %v", s, err)
			}
		})
	}
}

// Somebody else deletes at the destination. Between two passes it is put back;
// after the last one it is found.
func TestFinalFindsDeletions(t *testing.T) {
	for what, key := range map[string]func(made *layouttest.Registry) string{
		"layer":    func(made *layouttest.Registry) string { return layout.BlobKey(layerOf(t, made)) },
		"manifest": func(made *layouttest.Registry) string { return layout.BlobKey(made.Repositories[0].Tags["1.0"]) },
		"revision link": func(made *layouttest.Registry) string {
			return layout.RevisionKey(made.Repositories[0].Name, made.Repositories[0].Tags["1.0"])
		},
		"tag": func(made *layouttest.Registry) string { return layout.TagKey(made.Repositories[0].Name, "1.0") },
	} {
		for _, phase := range []string{"blobs", "closures"} {
			t.Run(what+"/"+phase, func(t *testing.T) {
				dir, made := small(t)
				at := tempDir(t)
				o := quick()
				o.Final, o.Progress = true, new(Progress)
				deleted := false
				w := &watched{Store: writer(t, at)}
				w.list = func(string) {
					s := o.Progress.Snapshot()
					if !deleted && s.Pass == 2 && s.Phase == phase {
						deleted = true
						remove(t, at, key(made))
					}
				}
				s, err := Run(t.Context(), reader(t, dir), watch(w), o)
				if err != nil || !deleted {
					t.Fatalf("deleted %v, %v", deleted, err)
				}
				if phase == "blobs" {
					clean(t, s.Last())
					if len(s.Passes) != 3 || s.Passes[1].Work() != 1 {
						t.Errorf("%+v", s)
					}
					same(t, treeOf(t, reader(t, at)), treeOf(t, reader(t, dir)))
					return
				}
				// A layer that goes after the last listing of its shard is not
				// seen: the set of what was listed answers for it.
				if seen := what == "manifest" || what == "revision link"; (s.Last().Damaged > 0) != seen {
					t.Errorf("%+v", s.Last())
				}
			})
		}
	}
}

// A source that does not come to rest is given up after some passes.
func TestRestless(t *testing.T) {
	dir, made := tiny(t)
	p := &pusher{t: t, dir: dir, repo: made.Repositories[0].Name}
	o := quick()
	o.Final, o.Progress = true, new(Progress)
	pushed := 0
	h := &hooks{ReadStore: reader(t, dir), list: func(string) {
		if pass := o.Progress.Snapshot().Pass; pass > pushed {
			pushed = pass
			p.push("moving")
		}
	}}
	dst := memory(t)
	s, err := Run(t.Context(), h, dst, o)
	if !errors.Is(err, ErrRestless) || len(s.Passes) != maxPasses || !strings.Contains(err.Error(), "read-only") || errors.As(err, new(*Fault)) {
		t.Errorf("%d passes, %v", len(s.Passes), err)
	}
	treeOf(t, dst).sound(t)
}

// With something left undone there is no point in further passes.
func TestFinalWithFailures(t *testing.T) {
	dir, made := small(t)
	f := backendtest.NewFaults(t)
	f.On("open", backendtest.Key(layout.BlobKey(layerOf(t, made))), backendtest.Fail(backends.Denied).Always())
	o := quick()
	o.Final = true
	s, err := Run(t.Context(), f.WrapRead(reader(t, dir)), memory(t), o)
	if err != nil || len(s.Passes) != 1 || s.Last().Failed != 1 || s.Last().TagsChecked != 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

// With a choice, the destination is judged for what was chosen.
func TestFinalOfAChoice(t *testing.T) {
	dir, made := small(t)
	dst := memory(t)
	put(t, dst, layout.TagKey("gone", "broken"), string(made.Repositories[0].Tags["1.0"]))
	o := quick()
	o.Final, o.Repositories = true, []string{made.Repositories[0].Name}
	s, err := Run(t.Context(), reader(t, dir), dst, o)
	if err != nil || s.Last().Damaged != 0 || s.Last().TagsChecked != int64(len(made.Repositories[0].Tags)) {
		t.Errorf("%+v, %v", s, err)
	}
}

// A final pass cannot judge a destination that cannot be listed.
func TestFinalWithoutAListing(t *testing.T) {
	dir, _ := small(t)
	o := quick()
	o.Final, o.Progress = true, new(Progress)
	f := backendtest.NewFaults(t)
	f.On("list", func(string) bool { return o.Progress.Snapshot().Phase == "closures" }, backendtest.Fail(backends.Denied).Always())
	s, err := Run(t.Context(), reader(t, dir), f.Wrap(memory(t)), o)
	if !errors.Is(err, backends.Denied) || backends.SideOf(err) != backends.Destination {
		t.Errorf("%+v, %v", s, err)
	}
}

// The closing check tries again what passes by itself.
func TestFinalPassingFaults(t *testing.T) {
	for _, choice := range [][]string{nil, {"**"}} {
		for op, fault := range map[string]backendtest.Fault{
			"list": backendtest.FailAfter(1, backends.Transient), "open": backendtest.Fail(backends.Throttled),
			"open: half-way": backendtest.FailAfter(10, backends.Transient), "open: a bit": backendtest.Flip(3), "stat": backendtest.Fail(backends.Transient),
		} {
			if op == "stat" && choice == nil {
				continue // the listings answer
			}
			t.Run(op+strings.Join(choice, ""), func(t *testing.T) {
				dir, made := small(t)
				o := quick()
				o.Final, o.Progress, o.Repositories = true, new(Progress), choice
				f := backendtest.NewFaults(t)
				first := once()
				f.On(strings.TrimSuffix(strings.TrimSuffix(op, ": half-way"), ": a bit"), func(key string) bool {
					return o.Progress.Snapshot().Phase == "closures" && (op != "open: a bit" || layout.Parse(key).Kind == layout.Blob) && first(key)
				}, fault.Always())
				got, n := transfer(t, reader(t, dir), f.Wrap(memory(t)), o)
				clean(t, got)
				if len(n.failures)+len(n.findings) > 0 || got.TagsChecked != int64(len(made.TagNames())) {
					t.Errorf("%+v, %+v", got, n)
				}
			})
		}
	}
}

// What cannot be read is not known to be damaged, and is not done either.
func TestFinalThatCannotRead(t *testing.T) {
	for _, class := range []backends.Class{backends.Transient, backends.Denied} {
		dir, made := small(t)
		o := quick()
		o.Final, o.Progress = true, new(Progress)
		f := backendtest.NewFaults(t)
		key := layout.BlobKey(made.Repositories[0].Tags["1.0"])
		f.On("open", func(k string) bool { return k == key && o.Progress.Snapshot().Phase == "closures" }, backendtest.Fail(class).Always())
		got, n := transfer(t, reader(t, dir), f.Wrap(memory(t)), o)
		if got.Damaged != 0 || got.Failed == 0 || got.TagsChecked+got.Failed != int64(len(made.TagNames())) || n.failures[0].Side != string(backends.Destination) || n.failures[0].Class != class.Error() {
			t.Errorf("%+v, %+v", got, n.failures)
		}
	}
}

// A destination that goes away during the check ends the run.
func TestFinalAndNobodyAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, _ := small(t)
		o := Options{Final: true, Progress: new(Progress), Patience: 2 * time.Second}
		f := backendtest.NewFaults(t)
		f.On("open", func(string) bool { return o.Progress.Snapshot().Phase == "closures" }, backendtest.Fail(backends.Transient).Always())
		s, err := Run(t.Context(), reader(t, dir), f.Wrap(memory(t)), o)
		if !errors.As(err, new(*Fault)) || backends.SideOf(err) != backends.Destination {
			t.Errorf("%+v, %v", s, err)
		}
	})
}
