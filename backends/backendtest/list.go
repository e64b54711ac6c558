package backendtest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/regferry/regferry/backends"
)

var listCases = []testcase{
	{"L1 keys come in byte order of the whole key", listOrder},
	{"L1 many objects come whole, page after page", listPages},
	{"L1 listing while objects are written", listWhileWriting},
	{"L2 after is exclusive and need not exist", listAfter},
	{"L3 a cancelled listing is an error", listCancelled},
	{"L4 a listed size is that of the object or -1", listSizes},
	{"L6 prefix is a string and not a directory", listPrefix},
	{"L6 a hostile prefix lists nothing else", listHostilePrefix},
	{"L7 breaking off a listing frees what it held", listBroken},
}

// awkward are keys whose byte order is not that of a walk through directories,
// since "-" and "." sort before "/" and "0" after it.
var awkward = []string{
	"a-b/x", "a-b/y/z", "a.b/x", "a/x", "a/x-y", "a/x.y", "a/xy/z", "a0/x", "ab/x",
	"b-1", "b.1", "b1", "b/-", "b/.x", "b/0", "b/B", "b/b",
}

// keys are the awkward ones, and those the store may not be able to hold.
func (r *run) keys() []string {
	keys := slices.Clone(awkward)
	if r.h.FileUnderFile {
		keys = append(keys, "a", "ab", "b", "a/xy")
	}
	slices.Sort(keys)
	return keys
}

// stored puts the keys, each with other bytes, and returns them sorted.
func (r *run) stored() []string {
	r.Helper()
	keys := r.keys()
	for _, k := range slices.Backward(keys) {
		r.must(k, r.of(k))
	}
	return keys
}

// of is the content that stored puts under a key.
func (r *run) of(key string) pattern {
	return pattern{uint64(len(key)), int64(len(key) * 10)}
}

func listOrder(r *run) {
	keys := r.stored()
	if got := keysOf(r.list(r.other(), "", "")); !slices.Equal(got, keys) {
		r.Errorf("listed %q\n  want %q", got, keys)
	}
}

func listSizes(r *run) {
	r.stored()
	r.must("z/empty", pattern{1, 0})
	for _, o := range r.list(r.other(), "", "") {
		if o.Size == -1 {
			continue
		}
		want := r.of(o.Key)
		if o.Key == "z/empty" {
			want.size = 0
		}
		r.describes(o, o.Key, want)
	}
	if len(r.list(r.other(), "z/", "")) != 1 {
		r.Errorf("an object without bytes is not listed")
	}
}

// listAfter tries every prefix with every after against the rule itself.
func listAfter(r *run) {
	keys := r.stored()
	prefixes := []string{"", "a", "a-", "a-b/", "a/", "a/x", "ab", "b", "b/", "absent/"}
	afters := []string{"a-", "a-b", "a-b/", "a-b/w", "a.", "a/", "a/x-", "a/zzz", "a\xff", "b", "b/", "b/a", "zzz", "\x01", "absent/", "A"}
	for _, prefix := range prefixes {
		for _, after := range append(afters, keys...) {
			var want []string
			for _, k := range keys {
				if strings.HasPrefix(k, prefix) && k > after {
					want = append(want, k)
				}
			}
			if got := keysOf(r.list(r.s, prefix, after)); !slices.Equal(got, want) {
				r.Errorf("List(%q, %q) = %q\n  want %q", prefix, after, got, want)
			}
		}
	}
}

func listPrefix(r *run) {
	keys := r.stored()
	for _, prefix := range []string{"", "a", "a-", "a/", "a/x", "a/x-", "a/xy/", "b", "b/", "b/b", "absent", "a/x/none", "c"} {
		var want []string
		for _, k := range keys {
			if strings.HasPrefix(k, prefix) {
				want = append(want, k)
			}
		}
		if got := keysOf(r.list(r.s, prefix, "")); !slices.Equal(got, want) {
			r.Errorf("List(%q) = %q\n  want %q", prefix, got, want)
		}
	}
}

func listHostilePrefix(r *run) {
	r.stored()
	for _, prefix := range []string{"/", "/a", "//", "../", "..", ".", "./a", "a//", "a/../", "a/../b", "a/./x", "a\x00", "\xff"} {
		all, err := collect(r.ctx, r.s, prefix, "") // an error is as good as nothing
		for _, o := range all {
			if !strings.HasPrefix(o.Key, prefix) {
				r.Errorf("List(%q) has %q, %v", prefix, o.Key, err)
			}
		}
	}
}

func listCancelled(r *run) {
	keys := r.stored()
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	seen := 0
	for _, err := range r.s.List(ctx, "", "") {
		if seen++; err != nil && !errors.Is(err, context.Canceled) {
			r.Errorf("error %v, want one that is context.Canceled", err)
		}
		cancel()
		if err != nil {
			seen = len(keys)
		}
	}
	cancel()
	if seen < len(keys) {
		r.Errorf("cancelled after 1 of %d objects, it ended after %d without an error", len(keys), seen)
	}
	all, err := collect(ctx, r.s, "", "")
	if !errors.Is(err, context.Canceled) {
		r.Errorf("a listing with a cancelled context yields %d objects and %v", len(all), err)
	}
}

func listPages(r *run) {
	n := r.h.Objects
	r.fillMany(n)
	key := func(i int) string { return fmt.Sprintf("many/%02d/%05d", i/100, i) }
	check := func(from int, got []backends.Object) {
		r.Helper()
		for i, o := range got {
			if o.Key != key(from+i) {
				r.Errorf("object %d is %q, want %q", from+i, o.Key, key(from+i))
				return
			}
		}
		if len(got) != n-from {
			r.Errorf("from %d on there are %d objects, want %d", from, len(got), n-from)
		}
	}
	check(0, r.list(r.other(), "", ""))
	for _, i := range []int{0, 1, 99, 100, n/2 - 1, n/2 + 1, 998, 999, 1000, 1001, 1999, 2000, n - 2, n - 1} {
		if i >= 0 && i < n {
			check(i+1, r.list(r.s, "many/", key(i)))
		}
	}
}

// fillMany stores small objects with some writers at once, as the engine does.
func (r *run) fillMany(n int) {
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := n - 1 - w; i >= 0; i -= 8 {
				src := &source{pattern: pattern{uint64(i), 16}, yields: 16, chunk: 16, end: io.EOF, blockAt: -1}
				if _, err := r.s.Put(r.ctx, fmt.Sprintf("many/%02d/%05d", i/100, i), src.content()); err != nil {
					r.Errorf("Put: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	r.syncNow()
}

func listWhileWriting(r *run) {
	const n = 200
	for i := range n {
		r.must(fmt.Sprintf("d%02d/old-%03d", i/10, i), pattern{uint64(i), 40})
	}
	finish := r.begun("d03/new-slow", r.source(1, 40)) // is under way all the time
	var wg sync.WaitGroup
	for w := range 2 {
		srcs := make([]*source, n)
		for i := range srcs {
			srcs[i] = r.source(uint64(i), 40)
		}
		wg.Go(func() {
			for i, src := range srcs {
				key := fmt.Sprintf("d%02d/new-%d-%03d", (i*3)%25, w, i)
				if i%4 == 0 { // overwritten objects must not drop out either
					key = fmt.Sprintf("d%02d/old-%03d", i/10, i)
				}
				if err := r.putOn(r.ctx, r.s, key, src, src.content()); err != nil {
					r.Errorf("Put: %v", err)
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	for listed := false; !listed; {
		select {
		case <-done:
			listed = true // once more, with all there
		default:
		}
		r.wholeListing(n)
	}
	if err := finish(); err != nil {
		r.Errorf("Put: %v", err)
	}
	r.wholeListing(n)
}

// wholeListing checks a listing made while others write.
func (r *run) wholeListing(n int) {
	r.Helper()
	var old int
	for _, o := range r.list(r.other(), "", "") {
		if strings.Contains(o.Key, "/old-") {
			old++
		} else if !strings.Contains(o.Key, "/new-") {
			r.Errorf("%q is listed, which nobody put", o.Key)
		}
		if o.Size != 40 && o.Size != -1 {
			r.Errorf("%q is listed with %d of 40 bytes", o.Key, o.Size)
		}
	}
	if old != n {
		r.Errorf("%d objects were there all the time, %d are listed", n, old)
	}
}

func listBroken(r *run) {
	keys := r.stored()
	for _, prefix := range []string{"", "a", "b/"} {
		for stop := 1; stop <= len(keys); stop++ {
			n := 0
			for _, err := range r.s.List(r.ctx, prefix, "") {
				if err != nil {
					r.Fatalf("List: %v", err)
				}
				if n++; n == stop {
					break
				}
			}
		}
	}
	r.must("a/x", r.of("a/x")) // a lock that a listing kept would show
	// The goroutines are counted when the case ends.
}
