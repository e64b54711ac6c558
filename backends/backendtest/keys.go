package backendtest

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/regferry/regferry/backends"
)

var keyCases = []testcase{
	{"Keys with odd names are kept as they are", keysOdd},
	{"Keys that are hostile are refused or kept, never moved", keysHostile},
	{"Keys in each other's way", keysUnderKeys},
	{"Keys with long names", keysLong},
	{"Keys beside the registry's outlive Clean", keysBeside},
}

func keysOdd(r *run) {
	keys := []string{
		"with space/ leading", "trailing /x ", "per%cent/%2f/%2e%2e", "plus+plus/a b", "a=b&c?d#e", "__0x2f__/__0x2f__",
		`back\slash`, `quo'te"`, "semi;colon:comma,", "~tilde", ".hidden/.x", "..two/...", "-dash", "*star?", "<angle>|", "$HOME", "{brace}[b]",
		"Case/x", "case/X", "ünï/cødé", "日本/語", "e\u0301-decomposed", "é-composed", "\U0001f6a2", "x.tmp", "x.attrs", "\u2028line", "@at^!", "zero\u200bwidth",
	}
	slices.Sort(keys)
	for i, k := range keys {
		r.must(k, pattern{uint64(i), int64(i + 1)})
	}
	r.only(r.other(), keys...)
	for i, k := range keys {
		r.holds(r.other(), k, pattern{uint64(i), int64(i + 1)})
		if got := keysOf(r.list(r.s, "", k)); len(got) != len(keys)-1-i {
			r.Errorf("after %q there are %d keys, want %d", k, len(got), len(keys)-1-i)
		}
	}
}

// keysHostile has victims where a cleaned path would lead to.
func keysHostile(r *run) {
	victims := map[string]pattern{"a/b": {1, 100}, "b": {2, 200}, "x": {3, 300}, "etc/x": {4, 400}}
	var have []string
	for k, p := range victims {
		r.must(k, p)
		have = append(have, k)
	}
	for i, key := range []string{
		"", "/", ".", "..", "/b", "//b", "b/", "a//b", "a/b/", "./b", "a/./b", "../x", "a/../b", "a/..", "a/.", "a/b/..", "a/b/../../x",
		"../../../../../../../../tmp/regferry-escaped", "/etc/x", "b\x00", "b\x00/x", "b\n", "\xff\xfe", "a/\xc3", "a\\..\\b", "etc//x", "b/.", "b/..",
	} {
		for what, err := range r.lookups(key) {
			if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, backends.Unsupported) {
				r.Errorf("%s of %q, which nobody put: %v", what, key, err)
			}
		}
		p := pattern{uint64(100 + i), int64(50 + i)}
		err := r.put(r.ctx, key, r.source(p.seed, p.size))
		switch {
		case err == nil:
			have = append(have, key)
			r.holds(r.other(), key, p)
		case !errors.Is(err, backends.Unsupported):
			r.Errorf("Put of %q: %v, want %v", key, err, backends.Unsupported)
		}
		r.only(r.other(), have...)
		if r.Failed() {
			r.Fatalf("that was Put of %q", key)
		}
	}
	for k, p := range victims {
		r.holds(r.other(), k, p)
	}
	r.clean()
}

// lookups asks for a key that is absent both ways.
func (r *run) lookups(key string) map[string]error {
	_, stat := r.s.Stat(r.ctx, key)
	b, open := r.s.Open(r.ctx, key, 0)
	if open == nil {
		_ = b.Close()
	}
	return map[string]error{"Stat": stat, "Open": open}
}

func keysUnderKeys(r *run) {
	for _, pair := range [][2]string{{"c", "c/x"}, {"e/x", "e"}, {"f/g", "f/g/h/i"}} {
		first, second := pattern{1, 10}, pattern{2, 20}
		r.must(pair[0], first)
		err := r.put(r.ctx, pair[1], r.source(second.seed, second.size))
		r.holds(r.other(), pair[0], first)
		if r.h.FileUnderFile {
			if err != nil {
				r.Errorf("Put of %q beside %q: %v", pair[1], pair[0], err)
				continue
			}
			r.holds(r.other(), pair[1], second)
			continue
		}
		if !errors.Is(err, backends.Unsupported) {
			r.Errorf("Put of %q, which %q makes impossible: %v, want %v", pair[1], pair[0], err, backends.Unsupported)
		}
		r.absent(r.other(), pair[1])
	}
	r.clean()
}

func keysLong(r *run) {
	name := strings.Repeat("n", 255)
	deep := strings.Repeat("0123456789/", 80) + "end"
	r.must("d/"+name, pattern{1, 10})
	r.must("z/"+deep, pattern{2, 20})
	r.holds(r.other(), "d/"+name, pattern{1, 10})
	r.holds(r.other(), "z/"+deep, pattern{2, 20})
	long := "d/" + name + "n"
	err := r.put(r.ctx, long, r.source(3, 30))
	if r.h.LongSegments {
		if err != nil {
			r.Fatalf("Put of a name of 256 bytes: %v", err)
		}
		r.holds(r.other(), long, pattern{3, 30})
		return
	}
	if !errors.Is(err, backends.Unsupported) {
		r.Errorf("Put of a name of 256 bytes: %v, want %v", err, backends.Unsupported)
	}
	for what, err := range r.lookups(long) {
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, backends.Unsupported) {
			r.Errorf("%s of a name of 256 bytes: %v", what, err)
		}
	}
	r.only(r.other(), "d/"+name, "z/"+deep)
	r.clean()
}

// keysBeside are of a mirror: its lease, and a mark that a migration was finished.
func keysBeside(r *run) {
	keys := []string{lease, ".regferry/finished", ".regferry/probes", ".regferry/a/b"}
	for i, key := range keys {
		r.must(key, pattern{uint64(i), int64(100 + i)})
	}
	clean := func() {
		for _, s := range []backends.Store{r.s, r.other()} {
			if c := backends.PowersOf(s).Cleaner; c != nil {
				if _, err := c.Clean(r.ctx, nil); err != nil {
					r.Errorf("Clean: %v", err)
				}
			}
		}
	}
	clean()
	for i, key := range keys {
		if o, err := r.other().Stat(r.ctx, key); err != nil || o.Size != int64(100+i) {
			r.Errorf("Stat of %q: %d bytes, %v", key, o.Size, err)
		}
		if err := r.reads(r.other(), key, 0, pattern{uint64(i), int64(100 + i)}); err != nil {
			r.Errorf("%q: %v", key, err)
		}
	}
	for _, o := range r.list(r.other(), "docker/", "") {
		r.Errorf("%q is listed among the registry's", o.Key)
	}
	if !r.h.Deletes {
		return
	}
	for _, key := range keys {
		r.delete(key)
		if _, err := r.other().Stat(r.ctx, key); !errors.Is(err, fs.ErrNotExist) {
			r.Errorf("Stat of %q, which was deleted: %v", key, err)
		}
	}
	clean()
	r.only(r.other())
	r.clean()
}
