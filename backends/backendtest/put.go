package backendtest

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
)

var putCases = []testcase{
	{"P1 nothing shows before Put returns", putUnseen},
	{"P2 what was put is there for another client", putThere},
	{"P2 sizes around that of a part", putPartSizes},
	{"P3 a source of another length stores nothing", putLength},
	{"P4 a failing source stores nothing", putFailing},
	{"P4 the source's error keeps its class", putClass},
	{"P5 a wrong digest is Corrupt or not looked at", putDigest},
	{"P7 size 0 works", putEmpty},
	{"P9 puts of one key at once leave one whole object", putRace},
	{"P10 readers that trickle are read to their end", putTrickle},
}

func putUnseen(r *run) {
	old := pattern{1, 5000}
	r.must("d/old", old)
	have := []string{"d/old"}
	for _, key := range []string{"d/old", "d/new", "fresh/dir/new"} {
		src := r.source(2, r.large())
		finish := r.begun(key, src)
		r.holds(r.other(), "d/old", old)
		if key != "d/old" {
			r.absent(r.other(), key)
		}
		r.only(r.other(), have...)
		if err := finish(); err != nil {
			r.Fatalf("Put: %v", err)
		}
		r.holds(r.other(), key, src.pattern)
		if key == "d/old" {
			r.must("d/old", old)
			continue
		}
		have = append(have, key)
	}
}

// begun starts a Put and returns when it has read all bytes of the source, but
// not its end. The function it returns lets the Put finish.
func (r *run) begun(key string, src *source) func() error {
	r.Helper()
	at, gone := make(chan struct{}), make(chan struct{})
	var once sync.Once
	src.before = func(pos int64) {
		if pos >= src.size {
			once.Do(func() { close(at); <-gone })
		}
	}
	done := make(chan error, 1)
	go func() { done <- r.putOn(r.ctx, r.s, key, src, src.content()) }()
	if err := r.within("reading the source", func() error {
		select {
		case <-at:
			return nil
		case err := <-done:
			return fmt.Errorf("ended before the end of its source was read: %w", err)
		}
	}); err != nil {
		r.Fatalf("Put: %v", err)
	}
	return func() error {
		close(gone)
		return r.within("Put", func() error { return <-done })
	}
}

func putThere(r *run) {
	for i, key := range r.keys() {
		p := pattern{uint64(i), int64(i * 1000)}
		r.must(key, p)
		r.holds(r.other(), key, p)
	}
	key := r.keys()[1]
	for i, size := range []int64{5, 500_000, 0, 77} { // shorter and longer than before
		p := pattern{uint64(100 + i), size}
		r.must(key, p)
		r.holds(r.other(), key, p)
	}
	r.only(r.other(), r.keys()...)
	r.clean()
}

func putPartSizes(r *run) {
	part := r.h.PartSize
	if part == 0 {
		part = 64 << 10
	}
	for i, size := range []int64{1, part - 1, part, part + 1, 2 * part, 3*part + 17} {
		p := pattern{uint64(i), size}
		r.must("d/k", p)
		r.holds(r.other(), "d/k", p)
	}
	r.clean()
}

// refused puts a source that must be refused, once where there is nothing and
// once over an object, and returns the errors.
func (r *run) refused(what string, make func() *source) []error {
	r.Helper()
	old := pattern{99, 4321}
	r.must("d/old", old)
	var errs []error
	for _, key := range []string{"d/old", "d/new", "new/dir/new"} {
		src := make()
		err := r.put(r.ctx, key, src)
		if err == nil {
			r.Errorf("%s: Put of %q succeeds", what, key)
			continue
		}
		errs = append(errs, err)
		if key != "d/old" {
			r.absent(r.other(), key)
		}
	}
	r.holds(r.other(), "d/old", old)
	r.only(r.other(), "d/old")
	r.clean()
	if r.Failed() {
		r.Fatalf("that was: %s", what)
	}
	return errs
}

func putLength(r *run) {
	big := r.large()
	for _, c := range []struct {
		name         string
		size, yields int64
	}{
		{"nothing at all", 1000, 0}, {"one byte short", 1000, 999}, {"one byte long", 1000, 1001}, {"twice as long", 1000, 2000},
		{"some for nothing", 0, 1}, {"a negative size", -1, 1}, {"negative, nothing", -1, 0},
		{"parts, one byte short", big, big - 1}, {"parts, one byte long", big, big + 1}, {"half the parts", big, big / 2},
		{"never ends", 1000, 1 << 60}, {"parts, never ends", big, 1 << 60},
	} {
		for _, with := range []bool{false, true} {
			r.refused(fmt.Sprintf("%s, end with bytes: %v", c.name, with), func() *source {
				src := r.source(3, c.size)
				src.yields, src.with = c.yields, with
				return src
			})
		}
	}
}

func putFailing(r *run) {
	broken := errors.New("the source broke")
	big := r.large()
	for _, size := range []int64{0, 1000, big} {
		for _, at := range []int64{0, 1, size / 2, size - 1, size} {
			for _, with := range []bool{false, true} {
				if at < 0 || at > size {
					continue
				}
				what := fmt.Sprintf("an error after %d of %d bytes, with them: %v", at, size, with)
				for _, err := range r.refused(what, func() *source {
					src := r.source(3, size)
					src.yields, src.end, src.with = at, broken, with
					return src
				}) {
					if !errors.Is(err, broken) {
						r.Errorf("%s: the source's error is lost: %v", what, err)
					}
				}
			}
		}
	}
	for _, err := range r.refused("a source that does not open", func() *source {
		src := r.source(3, 1000)
		src.refuse = broken
		return src
	}) {
		if !errors.Is(err, broken) {
			r.Errorf("the error of Content.Open is lost: %v", err)
		}
	}
	r.refused("an unexpected end", func() *source {
		src := r.source(3, 1000)
		src.yields, src.end = 1000, io.ErrUnexpectedEOF // as a digest reader says it
		return src
	})
}

func putClass(r *run) {
	for _, class := range []backends.Class{backends.NotFound, backends.Corrupt, backends.Throttled, backends.Changed} {
		cause := &backends.Error{Side: backends.Source, Op: "read", Key: "theirs", Class: class, Err: errors.New("cause")}
		for _, err := range r.refused(class.Error(), func() *source {
			src := r.source(3, 1000)
			src.yields, src.end = 500, cause
			return src
		}) {
			if backends.ClassOf(err) != class || backends.SideOf(err) != backends.Source {
				r.Errorf("the source's error had class %v and comes back as %v of the side %q: %v", class, backends.ClassOf(err), backends.SideOf(err), err)
			}
		}
	}
}

func putDigest(r *run) {
	old, p := pattern{1, 900}, pattern{2, 1000}
	r.must("d/k", old)
	src := r.source(p.seed, p.size)
	c := src.content()
	c.Digest = digest.FromBytes(p.bytes())
	if err := r.putContent(r.ctx, "d/k", src, c); err != nil {
		r.Errorf("Put with the right digest: %v", err)
	}
	r.holds(r.other(), "d/k", p)
	c.Digest = digest.FromString("something else")
	src = r.source(old.seed, old.size)
	c.Open, c.Size = src.opened, src.size
	err := r.putContent(r.ctx, "d/k", src, c)
	if err == nil {
		r.holds(r.other(), "d/k", old)
		return
	}
	if !errors.Is(err, backends.Corrupt) {
		r.Errorf("a wrong digest is refused as %v", err)
	}
	r.holds(r.other(), "d/k", p)
}

func putEmpty(r *run) {
	for _, with := range []bool{false, true} {
		for i, key := range []string{"empty", "d/empty", "d/empty"} {
			src := r.source(uint64(i), 0)
			src.with = with
			if err := r.put(r.ctx, key, src); err != nil {
				r.Fatalf("Put: %v", err)
			}
			r.holds(r.other(), key, src.pattern)
		}
	}
	r.must("d/empty", pattern{1, 10})
	r.must("d/empty", pattern{1, 0})
	r.holds(r.other(), "d/empty", pattern{1, 0})
}

func putRace(r *run) {
	const writers = 8
	whole := map[int64]pattern{}
	base := r.large()
	for i := range int64(writers) + 1 {
		whole[base+i] = pattern{uint64(i), base + i}
	}
	r.must("d/k", whole[base])
	stop := make(chan struct{})
	readers := r.readers("d/k", stop, whole)
	var wg sync.WaitGroup
	for i := range int64(writers) {
		srcs := []*source{}
		for range 2 {
			src := r.source(uint64(i+1), base+i+1)
			if i%3 == 2 {
				src.end = errors.New("this one fails") // a failing writer harms nobody
			}
			srcs = append(srcs, src)
		}
		wg.Go(func() {
			for _, src := range srcs {
				if err := r.putOn(r.ctx, r.s, "d/k", src, src.content()); (err != nil) != (src.end != io.EOF) {
					r.Errorf("Put: %v", err)
				}
			}
		})
	}
	_ = r.within("eight writers", func() error { wg.Wait(); return nil })
	close(stop)
	readers.Wait()
	o, err := r.other().Stat(r.ctx, "d/k")
	if err != nil {
		r.Fatalf("Stat: %v", err)
	}
	if (o.Size-base-1)%3 == 2 || o.Size == base {
		r.Errorf("the object has the size of a writer that failed, or of none")
	}
	r.holds(r.other(), "d/k", whole[o.Size])
	r.only(r.other(), "d/k")
	r.clean()
}

func putTrickle(r *run) {
	for _, c := range []struct {
		name  string
		chunk int64
		empty bool
		with  bool
		size  int64
	}{
		{"one byte at a time", 1, false, false, 3000},
		{"one byte, every other read empty", 1, true, false, 3000},
		{"the end with the last byte", 1, false, true, 3000},
		{"all at once with the end", 1 << 40, false, true, 3000},
		{"all of it", 7777, true, true, r.large()},
		{"as much as asked for", 1 << 40, false, false, r.large()},
	} {
		src := r.source(4, c.size)
		src.chunk, src.empty, src.with = c.chunk, c.empty, c.with
		if err := r.put(r.ctx, "d/k", src); err != nil {
			r.Errorf("%s: %v", c.name, err)
			continue
		}
		r.holds(r.other(), "d/k", src.pattern)
	}
	// How readers are closed is checked at each Put of the suite.
}
