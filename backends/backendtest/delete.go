package backendtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/regferry/regferry/backends"
)

var deleteCases = []testcase{
	{"Powers to delete and to replace are those of the harness", powersPinned},
	{"D1 deleting what is absent is no error", deleteAbsent},
	{"D2 what was deleted is absent for another client", deleteThere},
	{"D2 what was put and not synced is deleted as well", deleteUnsynced},
	{"D3 keys beside the one that is deleted stay", deleteBeside},
	{"D3 a hostile key deletes nothing", deleteHostile},
	{"D4 a large object is deleted wholly", deleteLarge},
	{"D5 a deletion that is cancelled leaves nothing half", deleteCancelled},
	{"D6 what is put beside a deletion is there afterwards", deleteBesidePuts},
	{"D7 no directory is seen without a file", deleteDirectories},
}

// powersPinned is what makes a power that got lost fail, where its cases would
// only be skipped.
func powersPinned(r *run) {
	p := backends.PowersOf(r.s)
	if has := p.Deleter != nil; has != r.h.Deletes {
		r.Errorf("the store deletes: %v, want %v", has, r.h.Deletes)
	}
	if has := p.ConditionalPutter != nil; has != r.h.Replaces {
		r.Errorf("the store replaces on condition: %v, want %v", has, r.h.Replaces)
	}
}

func (r *run) deleter() backends.Deleter {
	r.Helper()
	d := backends.PowersOf(r.s).Deleter
	if d == nil {
		r.Skip("the store does not delete")
	}
	return d
}

// delete ends the case if that fails.
func (r *run) delete(key string) {
	r.Helper()
	d := r.deleter()
	if err := r.within("Delete", func() error { return d.Delete(r.ctx, key) }); err != nil {
		r.Fatalf("Delete of %q: %v", key, err)
	}
}

func deleteAbsent(r *run) {
	r.delete("nothing/is/here")
	p := pattern{1, 100}
	r.must("d/e/k", p)
	for _, key := range []string{"d", "d/e", "d/e/k2", "d/e/k/x", "d/f/k"} {
		r.delete(key)
	}
	r.holds(r.other(), "d/e/k", p)
	r.delete("d/e/k")
	r.delete("d/e/k")
	r.only(r.other())
	r.clean()
}

func deleteThere(r *run) {
	keys := append(r.keys(), deep+"t/current/link", deep+"t/index/link", deep+"u/current/link")
	for i, key := range keys {
		r.must(key, pattern{uint64(i), int64(i * 1000)})
	}
	for i, key := range keys {
		r.delete(key)
		r.absent(r.other(), key)
		r.absent(r.s, key)
		r.only(r.other(), append([]string(nil), keys[i+1:]...)...)
	}
	for i, key := range keys[:2] { // as if it had never been there
		p := pattern{uint64(100 + i), 70}
		r.must(key, p)
		r.holds(r.other(), key, p)
		r.delete(key)
	}
	r.only(r.other())
	r.clean()
}

// deep is below the directories that a registry needs.
const deep = "docker/registry/v2/repositories/some/name/_manifests/tags/"

func deleteUnsynced(r *run) {
	r.syncer()
	r.unsynced(deep+"t/current/link", pattern{1, 100})
	r.unsynced(deep+"u/current/link", pattern{2, 100})
	r.delete(deep + "t/current/link")
	r.syncNow()
	r.absent(r.other(), deep+"t/current/link")
	r.holds(r.other(), deep+"u/current/link", pattern{2, 100})
	r.only(r.other(), deep+"u/current/link")
	r.clean()
}

func deleteBeside(r *run) {
	for _, at := range []string{"", deep} {
		beside := []string{at + "a-b", at + "a.b", at + "ab", at + "b/a"}
		if r.h.FileUnderFile {
			beside = append(beside, at+"a/x")
		}
		for i, key := range beside {
			r.must(key, pattern{uint64(i), 100})
		}
		r.must(at+"a", pattern{50, 100})
		r.delete(at + "a")
		if !r.h.FileUnderFile { // now that it can be there
			beside = append(beside, at+"a/x")
			r.must(at+"a/x", pattern{4, 100})
			r.delete(at + "a")
		}
		r.only(r.other(), append([]string(nil), beside...)...)
		for i, key := range beside {
			r.holds(r.other(), key, pattern{uint64(i), 100})
		}
		for _, key := range beside {
			r.delete(key)
		}
	}
	r.only(r.other())
	r.clean()
}

func deleteHostile(r *run) {
	d := r.deleter()
	victims := []string{"a/b", "b", "x", "etc/x"}
	for i, key := range victims {
		r.must(key, pattern{uint64(i), 100})
	}
	for _, key := range []string{
		"", "/", ".", "..", "/b", "b/", "a/", "a//b", "./b", "a/./b", "../x", "a/../b", "a/..", "a/b/..", "/etc/x", "b\x00", "a\\b", "a/b\n", "*", "a/*", "\xff",
	} {
		err := r.within("Delete", func() error { return d.Delete(r.ctx, key) })
		if err != nil && !errors.Is(err, backends.Unsupported) {
			r.Errorf("Delete of %q: %v, want %v", key, err, backends.Unsupported)
		}
		r.only(r.other(), append([]string(nil), victims...)...)
		if r.Failed() {
			r.Fatalf("that was Delete of %q", key)
		}
	}
}

func deleteLarge(r *run) {
	r.deleter()
	large, other := pattern{1, r.large()}, pattern{2, r.large() + 1}
	r.must("d/other", other)
	r.must("d/k", large)
	r.delete("d/k")
	r.absent(r.other(), "d/k")
	r.clean()
	r.must("d/k", large)
	r.must("d/k", pattern{3, 100}) // what it was made of before is gone, or goes
	r.must("d/k", large)
	r.delete("d/k")
	r.absent(r.other(), "d/k")
	r.holds(r.other(), "d/other", other)
	r.only(r.other(), "d/other")
	r.clean()
}

func deleteCancelled(r *run) {
	d := r.deleter()
	p := pattern{1, r.large()}
	r.must(deep+"k", p)
	ctx, cancel := context.WithCancel(r.ctx)
	cancel()
	for _, key := range []string{deep + "k", deep + "absent"} {
		if err := d.Delete(ctx, key); !errors.Is(err, context.Canceled) {
			r.Errorf("Delete of %q, cancelled before: %v", key, err)
		}
	}
	r.holds(r.other(), deep+"k", p)
	for _, wait := range []time.Duration{0, 100 * time.Microsecond, time.Millisecond, 5 * time.Millisecond, 25 * time.Millisecond} {
		r.must(deep+"k", p)
		ctx, cancel := context.WithTimeout(r.ctx, wait)
		err := r.within("Delete", func() error { return d.Delete(ctx, deep+"k") })
		cancel()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			r.Errorf("Delete, cancelled after %v: %v", wait, err)
		}
		_, there := r.s.Stat(r.ctx, deep+"k")
		if there == nil {
			r.holds(r.other(), deep+"k", p)
		} else {
			r.absent(r.other(), deep+"k")
		}
		if err == nil && there == nil {
			r.Errorf("Delete, cancelled after %v, says that it has", wait)
		}
		r.clean()
	}
	r.delete(deep + "k")
	r.only(r.other())
	r.clean()
}

// deleteBesidePuts: in each directory an object is put, and left, while another
// one comes and goes that may be the last.
func deleteBesidePuts(r *run) {
	d := r.deleter()
	var wg sync.WaitGroup
	var keys []string
	for i := range 8 {
		at := fmt.Sprintf("%st%d/%d/index/", deep, i%2, i)
		keys = append(keys, at+"stays")
		stays := r.source(1, 100)
		wg.Go(func() {
			if err := r.putOn(r.ctx, r.s, at+"stays", stays, stays.content()); err != nil {
				r.Errorf("Put: %v", err)
			}
		})
		goes := []*source{r.source(2, 200), r.source(3, 200), r.source(4, 200)}
		wg.Go(func() {
			for _, src := range goes {
				if err := r.putOn(r.ctx, r.s, at+"goes", src, src.content()); err != nil {
					r.Errorf("Put: %v", err)
				}
				if err := again(r.ctx, d, at+"goes"); err != nil {
					r.Errorf("Delete: %v", err)
				}
			}
		})
	}
	_ = r.within("deletions beside writers", func() error { wg.Wait(); return nil })
	for _, key := range keys {
		r.holds(r.other(), key, pattern{1, 100})
	}
	r.only(r.other(), keys...)
	r.clean()
}

// again deletes until nobody writes there.
func again(ctx context.Context, d backends.Deleter, key string) error {
	for range 100 {
		if err := d.Delete(ctx, key); !errors.Is(err, backends.Changed) {
			return err
		}
	}
	return errors.New("others write there all the time")
}

// deleteDirectories is for stores that have any.
func deleteDirectories(r *run) {
	if r.h.Empty == nil {
		r.Skip("the store has no directories")
	}
	const n = 40
	for i := range n {
		r.must(fmt.Sprintf("%st%d/current/link", deep, i), pattern{1, 71})
		r.must(fmt.Sprintf("%st%d/index/sha256/0/link", deep, i), pattern{1, 71})
	}
	stop := make(chan struct{})
	var lister sync.WaitGroup
	lister.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				if seen := r.h.Empty(r.t, r.s); len(seen) > 0 {
					r.Errorf("seen while deleting: %q", seen)
					return
				}
			}
		}
	})
	for i := range n {
		r.delete(fmt.Sprintf("%st%d/index/sha256/0/link", deep, i))
		r.delete(fmt.Sprintf("%st%d/current/link", deep, i))
	}
	close(stop)
	lister.Wait()
	if seen := r.h.Empty(r.t, r.s); len(seen) > 0 {
		r.Errorf("left: %q", seen)
	}
	r.only(r.other())
	r.clean()
}
