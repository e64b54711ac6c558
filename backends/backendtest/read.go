package backendtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
	"sync"
	"unicode"

	"github.com/regferry/regferry/backends"
)

var placeCases = []testcase{
	{"Location is printable and the same for every client", location},
}

func location(r *run) {
	at := r.s.Location()
	if at == "" || strings.ContainsFunc(at, func(c rune) bool { return !unicode.IsPrint(c) }) {
		r.Errorf("location %q", at)
	}
	if got := r.other().Location(); got != at {
		r.Errorf("another client's location is %q, want %q", got, at)
	}
	r.must("k", pattern{1, 1})
	if got := r.s.Location(); got != at {
		r.Errorf("the location becomes %q, from %q", got, at)
	}
}

var readCases = []testcase{
	{"R1 an absent key is fs.ErrNotExist", readAbsent},
	{"R2 Open from any offset up to the size", readOffsets},
	{"R2 Open beyond the size or before 0 is an error", readOutside},
	{"R3 a body cut short is an error", readTruncated},
	{"R3 an object overwritten while it is read", readOverwritten},
	{"R4 cancelling ends the reading of a body", readCancelled},
	{"R4 a cancelled context reads nothing", readCancelledBefore},
}

func readAbsent(r *run) {
	keys := r.stored()
	for _, k := range []string{"absent", "a-b", "a-b/", "a-b/y", "a-b/x/below", "a/x-", "a/", "A/x", "absent/deep/er", strings.Repeat("n", 200)} {
		_, err := r.s.Stat(r.ctx, k)
		// A key that the store cannot hold is as absent as one that it can.
		if !errors.Is(err, fs.ErrNotExist) && (!strings.HasSuffix(k, "/") || !errors.Is(err, backends.Unsupported)) {
			r.Errorf("Stat of %q: %v", k, err)
		}
		b, err := r.s.Open(r.ctx, k, 0)
		if err == nil {
			_ = b.Close()
		}
		if !errors.Is(err, fs.ErrNotExist) && (!strings.HasSuffix(k, "/") || !errors.Is(err, backends.Unsupported)) {
			r.Errorf("Open of %q: %v", k, err)
		}
		var e *backends.Error
		if errors.As(err, &e) && (e.Key != k || e.Op != "open") {
			r.Errorf("the error of Open says %s %q, want open %q", e.Op, e.Key, k)
		}
	}
	r.only(r.s, keys...)
}

func readOffsets(r *run) {
	p := pattern{5, r.large()}
	r.must("d/k", p)
	r.must("d/empty", pattern{6, 0})
	for _, off := range []int64{0, 1, 7, p.size / 2, p.size - 1, p.size} {
		if err := r.reads(r.other(), "d/k", off, p); err != nil {
			r.Errorf("from %d: %v", off, err)
		}
	}
	if err := r.reads(r.other(), "d/empty", 0, pattern{6, 0}); err != nil {
		r.Errorf("an empty object: %v", err)
	}
}

func readOutside(r *run) {
	p := pattern{5, 1000}
	r.must("d/k", p)
	r.must("d/empty", pattern{6, 0})
	for _, c := range []struct {
		key string
		off int64
	}{{"d/k", 1001}, {"d/k", 1 << 40}, {"d/k", -1}, {"d/k", -1000}, {"d/empty", 1}, {"d/empty", -1}} {
		b, err := r.s.Open(r.ctx, c.key, c.off)
		if err == nil {
			r.Errorf("Open of %q at %d succeeds", c.key, c.off)
			_ = b.Close()
		}
		if errors.Is(err, fs.ErrNotExist) {
			r.Errorf("Open of %q at %d says that it is absent: %v", c.key, c.off, err)
		}
	}
}

func readTruncated(r *run) {
	if r.h.Truncate == nil {
		r.Skip("the harness cannot damage an object")
	}
	p := pattern{5, 1 << 20}
	r.must("k", p)
	b, err := r.s.Open(r.ctx, "k", 0)
	if err != nil {
		r.Fatalf("Open: %v", err)
	}
	defer func() { _ = b.Close() }()
	if _, err := io.ReadFull(b, make([]byte, 10)); err != nil {
		r.Fatalf("Read: %v", err)
	}
	r.h.Truncate(r.t, r.s, "k", p.size/2)
	if err := discard(b); err == nil {
		r.Errorf("half the bytes of the promised size, and then io.EOF")
	}
}

// readOverwritten: whole old bytes, or an error; never a mixture.
func readOverwritten(r *run) {
	old, young := pattern{5, 1 << 20}, pattern{6, 1<<20 + 11}
	r.must("k", old)
	b, err := r.s.Open(r.ctx, "k", 0)
	if err != nil {
		r.Fatalf("Open: %v", err)
	}
	defer func() { _ = b.Close() }()
	head := make([]byte, 100)
	if _, err := io.ReadFull(b, head); err != nil {
		r.Fatalf("Read: %v", err)
	}
	r.must("k", young)
	err = old.check(io.MultiReader(bytes.NewReader(head), b), 0)
	if err != nil && backends.ClassOf(err) == backends.Unknown {
		r.Errorf("neither the old bytes nor a classified error: %v", err)
	}
	r.holds(r.other(), "k", young)
}

func readCancelled(r *run) {
	p := pattern{5, 1 << 20}
	r.must("k", p)
	for _, first := range []int{0, 1, 100_000} {
		ctx, cancel := context.WithCancel(r.ctx)
		b, err := r.s.Open(ctx, "k", 0)
		if err != nil {
			r.Fatalf("Open: %v", err)
		}
		if _, err := io.ReadFull(b, make([]byte, first)); err != nil {
			r.Fatalf("Read: %v", err)
		}
		cancel()
		// One read may have been under way.
		_ = r.within("Read", func() error { _, err := b.Read(make([]byte, 1)); return err })
		err = r.within("Read", func() error { _, err := b.Read(make([]byte, 1)); return err })
		if !errors.Is(err, context.Canceled) {
			r.Errorf("cancelled after %d bytes, the second read gives %v", first, err)
		}
		_ = b.Close()
	}
}

func readCancelledBefore(r *run) {
	r.must("k", pattern{5, 100})
	ctx, cancel := context.WithCancel(r.ctx)
	cancel()
	if _, err := r.s.Stat(ctx, "k"); !errors.Is(err, context.Canceled) {
		r.Errorf("Stat: %v", err)
	}
	b, err := r.s.Open(ctx, "k", 0)
	if err == nil {
		err = discard(b)
		_ = b.Close()
	}
	if !errors.Is(err, context.Canceled) {
		r.Errorf("Open and read: %v", err)
	}
	if errors.Is(err, fs.ErrNotExist) {
		r.Errorf("what was not looked up is called absent: %v", err)
	}
}

// readers read a key until stop is closed and complain of anything that is not
// one of the whole contents, which are told apart by their size.
func (r *run) readers(key string, stop <-chan struct{}, whole map[int64]pattern) *sync.WaitGroup {
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				b, err := r.s.Open(r.ctx, key, 0)
				if err != nil {
					r.Errorf("Open while it is overwritten: %v", err)
					return
				}
				p, ok := whole[b.Object.Size]
				if err := p.check(b, 0); !ok || err != nil && backends.ClassOf(err) != backends.Changed {
					r.Errorf("%d bytes, which is nobody's content: %v", b.Object.Size, err)
				}
				_ = b.Close()
			}
		})
	}
	return &wg
}
