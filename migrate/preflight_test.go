package migrate

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"path/filepath"
	"testing"
	"time"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/layout/layouttest"
)

// What is needed is what is missing, by the listings of both sides.
func TestCheck(t *testing.T) {
	from, made := registry(t, layouttest.Shape{Seed: 3, Repositories: 2, Tags: 3, Layers: 2, Nested: true})
	src, dst := reader(t, from), memory(t)
	p, err := Check(t.Context(), src, dst, 4, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	want := Need{Objects: int64(made.Objects), Bytes: made.Bytes, Missing: int64(made.Objects), ToWrite: made.Bytes}
	want.Directories = p.Need.Directories
	if n := directories(t, filepath.Join(from, "docker")); want.Directories < n-10 || want.Directories > n {
		t.Errorf("%d directories are said to be needed, the source has %d, with the topmost", want.Directories, n)
	}
	if p.Need != want || p.Rate <= 0 || p.TooSmall() || p.Source.Location != src.Location() || p.Destination.Trial != nil {
		t.Errorf("%+v, want %+v", p, want)
	}
	if _, err := Run(t.Context(), src, dst, quick()); err != nil {
		t.Fatal(err)
	}
	one := ""
	for d := range made.Blobs {
		one = layout.BlobKey(d)
	}
	put(t, dst, one, "of another size")
	o, err := src.Stat(t.Context(), one)
	if err != nil {
		t.Fatal(err)
	}
	p, err = Check(t.Context(), src, dst, 4, 0)
	if want.Missing, want.ToWrite, want.Directories = 1, o.Size, p.Need.Directories; err != nil || p.Need != want || p.Rate != 0 {
		t.Errorf("%+v, %v; want %+v", p, err, want)
	}
}

func directories(t *testing.T, dir string) (n int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestNewDirectories(t *testing.T) {
	for _, c := range []struct {
		last, key string
		want      int64
	}{
		{"", "a", 0}, {"", "a/b", 1}, {"a/b", "a/c", 0}, {"a/b", "a/b/c", 1}, {"a/bc", "a/bd/e", 1}, {"a/b/c", "d/e/f", 2}, {"a/b/c/x", "a/b/d/y", 1},
	} {
		if got := newDirectories(c.last, c.key); got != c.want {
			t.Errorf("%q after %q: %d, want %d", c.key, c.last, got, c.want)
		}
	}
}

// A volume is tried, and left as it was.
func TestTry(t *testing.T) {
	s, err := Try(t.Context(), writer(t, tempDir(t)))
	if err != nil || s.Trial == nil || s.Trial.Took <= 0 || s.Space == nil || s.Space.Free <= 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestTooSmall(t *testing.T) {
	for _, c := range []struct {
		space *backends.Space
		need  Need
		want  bool
	}{
		{nil, Need{ToWrite: 9}, false},
		{&backends.Space{Free: 9, FreeFiles: -1}, Need{ToWrite: 9, Missing: 9}, false},
		{&backends.Space{Free: 8, FreeFiles: -1}, Need{ToWrite: 9}, true},
		{&backends.Space{Free: 9, FreeFiles: 9}, Need{ToWrite: 9, Missing: 9}, false},
		{&backends.Space{Free: 9, FreeFiles: 9}, Need{ToWrite: 9, Missing: 9, Directories: 1}, true},
		{&backends.Space{Free: 9, FreeFiles: 8}, Need{ToWrite: 9, Missing: 9}, true},
	} {
		if got := (Preflight{Destination: Side{Space: c.space}, Need: c.need}).TooSmall(); got != c.want {
			t.Errorf("%+v, %+v: %v", c.space, c.need, got)
		}
	}
}

// A side that cannot be listed, read or written is said with its side.
func TestCheckFails(t *testing.T) {
	from, _ := tiny(t)
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		op   string
		side backends.Side
	}{
		"listing the source":      {"list", backends.Source},
		"listing the destination": {"list", backends.Destination},
	} {
		faults := backendtest.NewFaults(t)
		faults.On(c.op, nil, backendtest.Fail(broken))
		src, dst := reader(t, from), memory(t)
		if c.side == backends.Source {
			src = faults.WrapRead(src)
		} else {
			dst = faults.Wrap(dst)
		}
		_, err := Check(t.Context(), src, dst, 4, time.Minute)
		if !errors.Is(err, broken) || backends.SideOf(err) != c.side {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Where sizes of what is missing are in no listing, no time is made up of the
// others. What the destination has already does not matter.
func TestCheckWithoutSizes(t *testing.T) {
	from, made := tiny(t)
	src, dst := sizeless{reader(t, from)}, memory(t)
	p, err := Check(t.Context(), src, dst, 4, time.Minute)
	if err != nil || p.Need.Unknown != int64(len(made.Blobs)) || p.Need.Unsized != p.Need.Unknown || p.Need.ToWrite <= 0 || p.Need.ToWrite >= made.Bytes || p.Rate <= 0 || p.Estimate != 0 {
		t.Errorf("%+v, %v", p, err)
	}
	if _, err := Run(t.Context(), reader(t, from), dst, quick()); err != nil {
		t.Fatal(err)
	}
	if p, err = Check(t.Context(), src, dst, 4, time.Minute); err != nil || p.Need.Unknown != 0 || p.Need.Unsized != int64(len(made.Blobs)) || p.Need.Missing != 0 {
		t.Errorf("%+v, %v", p, err)
	}
}

// sizeless is Swift with what registry 2.8 writes in segments.
type sizeless struct{ backends.ReadStore }

func (s sizeless) List(ctx context.Context, prefix, after string) iter.Seq2[backends.Object, error] {
	return func(yield func(backends.Object, error) bool) {
		for o, err := range s.ReadStore.List(ctx, prefix, after) {
			if layout.Parse(o.Key).Kind == layout.Blob {
				o.Size = -1
			}
			if !yield(o, err) {
				return
			}
		}
	}
}

// The time for reading is kept, and its end is no fault.
func TestCheckReadsForAWhile(t *testing.T) {
	from, _ := tiny(t)
	p, err := Check(t.Context(), slowly{reader(t, from)}, memory(t), 4, 50*time.Millisecond)
	if err != nil || p.Need.Objects == 0 {
		t.Errorf("%+v, %v", p, err)
	}
}

// slowly never ends to open.
type slowly struct{ backends.ReadStore }

func (s slowly) Open(ctx context.Context, key string, _ int64) (backends.Body, error) {
	<-ctx.Done()
	return backends.Body{}, &backends.Error{Op: "open", Key: key, Err: ctx.Err()}
}
