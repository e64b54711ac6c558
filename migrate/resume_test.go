package migrate

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest"
	"github.com/regferry/regferry/checkpoint"
	"github.com/regferry/regferry/verify/layout"
)

// interrupted runs until the k-th Put, during which the context ends. It says
// whether the run was interrupted at all.
func interrupted(t testing.TB, src backends.ReadStore, dst backends.Store, o Options, k int64) bool {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var n atomic.Int64
	w := &watched{Store: dst, before: func(string) {
		if n.Add(1) == k {
			cancel()
		}
	}}
	s, err := Run(ctx, src, watch(w), o)
	if err == nil {
		return false
	}
	if !errors.Is(err, context.Canceled) || errors.As(err, new(*Fault)) {
		t.Errorf("interrupted at %d of %d: %+v, %v", k, n.Load(), s, err)
	}
	if s.Last().Undone() != 0 {
		t.Errorf("an interruption is no failure: %+v", s.Last())
	}
	return true
}

// Interrupted anywhere, with or without the checkpoint of before, the same
// command ends with equal trees.
func TestResume(t *testing.T) {
	dir, made := tiny(t)
	want := treeOf(t, reader(t, dir))
	for kind, open := range fresh {
		for _, keep := range []bool{true, false} {
			t.Run(fmt.Sprint(kind, "/checkpoint ", keep), func(t *testing.T) {
				step := int64(6)
				if testing.Short() {
					step = 25
				}
				runs := 0
				for k := int64(1); ; k += step {
					dst := open(t)
					o := quick()
					o.Checkpoint = filepath.Join(tempDir(t), "c")
					if !interrupted(t, reader(t, dir), dst, o, k) {
						break
					}
					runs++
					treeOf(t, dst).sound(t)
					passes := 2
					if !keep {
						passes = 1
						if err := os.Remove(o.Checkpoint); err != nil {
							t.Fatal(err)
						}
					}
					n := &notes{}
					o.Recorder = n
					s, err := Run(t.Context(), reader(t, dir), dst, o)
					if err != nil || !s.Complete || len(s.Passes) != passes || n.resets != passes {
						t.Fatalf("after %d: %d passes, %d resets, %v", k, len(s.Passes), n.resets, err)
					}
					clean(t, s.Last())
					same(t, treeOf(t, dst), want)
					if last := s.Last(); last.Blobs != int64(len(made.Blobs)) || last.Present+last.Copied != last.Blobs {
						t.Errorf("after %d: %+v", k, last)
					}
					if t.Failed() {
						t.Fatalf("interrupted at %d", k)
					}
				}
				if runs < made.Objects/int(step)/2 {
					t.Errorf("only %d interruptions", runs)
				}
			})
		}
	}
}

// A run that is interrupted again and again gets to its end, and writes little
// twice.
func TestResumeAgainAndAgain(t *testing.T) {
	dir, made := small(t)
	dst := writer(t, tempDir(t))
	o := quick()
	o.Checkpoint = filepath.Join(tempDir(t), "c")
	var count backendtest.Counter
	runs := 0
	for interrupted(t, reader(t, dir), count.Wrap(dst), o, int64(10+rand.IntN(40))) {
		treeOf(t, dst).sound(t)
		if runs++; runs > 100 {
			t.Fatal("it gets nowhere")
		}
	}
	same(t, treeOf(t, dst), treeOf(t, reader(t, dir)))
	if puts := count.Puts.Load(); puts > int64(made.Objects+runs*2*o.Workers) {
		t.Errorf("%d puts for %d objects in %d runs", puts, made.Objects, runs)
	}
}

// A lost checkpoint costs listings and nothing else.
func TestLostCheckpoint(t *testing.T) {
	dir, _ := small(t)
	dst := memory(t)
	o := quick()
	o.Checkpoint = filepath.Join(tempDir(t), "c")
	first, _ := transfer(t, reader(t, dir), dst, o)
	second, _ := transfer(t, reader(t, dir), dst, o)
	if second.ProvedBefore != first.Blobs || second.Present != first.Blobs || second.OnTrust != 0 || second.RevsProved != 0 {
		t.Errorf("with it: %+v", second)
	}
	if err := os.Remove(o.Checkpoint); err != nil {
		t.Fatal(err)
	}
	var count backendtest.Counter
	third, _ := transfer(t, reader(t, dir), count.Wrap(dst), o)
	clean(t, third)
	if third.Work() != 0 || third.OnTrust != first.Blobs || count.Puts.Load() != 0 {
		t.Errorf("without it: %d puts, %+v", count.Puts.Load(), third)
	}
}

// What was lost behind the checkpoint's back comes again.
func TestCheckpointIsNotBelieved(t *testing.T) {
	dir, made := small(t)
	at := tempDir(t)
	o := quick()
	o.Checkpoint = filepath.Join(tempDir(t), "c")
	dst := writer(t, at)
	for k := int64(30); k < 200; k += 30 {
		if !interrupted(t, reader(t, dir), dst, o, k) {
			break
		}
		n := 0
		for key := range treeOf(t, dst) {
			if layout.Parse(key).Kind == layout.Blob {
				if n++; n%5 == 0 {
					remove(t, at, key)
				}
			}
		}
	}
	remove(t, at, layout.BlobKey(layerOf(t, made)))
	got, _ := transfer(t, reader(t, dir), dst, o)
	clean(t, got)
	same(t, treeOf(t, dst), treeOf(t, reader(t, dir)))
}

// Another migration's checkpoint is refused before anything is written.
func TestForeignCheckpoint(t *testing.T) {
	dir, _ := small(t)
	other, _ := small(t)
	o := quick()
	o.Checkpoint = filepath.Join(tempDir(t), "c")
	transfer(t, reader(t, dir), memory(t), o)
	before, err := os.ReadFile(o.Checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	for name, sides := range map[string][2]backends.ReadStore{
		"another source":      {reader(t, other), nil},
		"another destination": {reader(t, dir), renamed{memory(t), "mem://other"}},
	} {
		dst := memory(t)
		var to backends.Store = dst
		if r, ok := sides[1].(renamed); ok {
			to = r
		}
		s, err := Run(t.Context(), sides[0], to, o)
		if !errors.Is(err, checkpoint.ErrRefused) || len(s.Passes) != 0 || len(treeOf(t, to)) != 0 {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
	if after, err := os.ReadFile(o.Checkpoint); err != nil || string(after) != string(before) {
		t.Error("a refused checkpoint was changed")
	}
}

// renamed is a store with another location.
type renamed struct {
	backends.Store
	location string
}

func (r renamed) Location() string { return r.location }

// A large blob that was interrupted goes on where it stopped.
func TestResumeInsideABlob(t *testing.T) {
	const size = 40 << 20
	content := make([]byte, size)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(content)
	d := digestOf(string(content))
	for name, spoil := range map[string]func(t *testing.T, dir string){
		"as it was": func(*testing.T, string) {},
		"what was left is cut": func(t *testing.T, dir string) {
			found := 0
			err := filepath.WalkDir(filepath.Join(dir, ".regferry"), func(path string, e os.DirEntry, err error) error {
				if info, _ := e.Info(); err == nil && info != nil && info.Size() > 16<<20 {
					found++
					return os.Truncate(path, 1<<20)
				}
				return err
			})
			if err != nil || found != 1 {
				t.Fatalf("found %d unfinished uploads, %v", found, err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, at := tempDir(t), tempDir(t)
			write(t, dir, layout.BlobKey(d), string(content))
			o := quick()
			o.Checkpoint = filepath.Join(tempDir(t), "c")
			var read backendtest.Counter
			src := read.WrapRead(reader(t, dir))
			interruptedInside(t, src, at, o)
			spoil(t, at)
			read.Read.Store(0)
			got, n := transfer(t, src, writer(t, at), o)
			clean(t, got)
			if len(n.findings) != 0 {
				t.Errorf("%+v", n.findings)
			}
			same(t, treeOf(t, reader(t, at)), treeOf(t, reader(t, dir)))
			if again := read.Read.Load(); name == "as it was" && again > size/2 {
				t.Errorf("%d MiB of %d were read again", again>>20, size>>20)
			}
		})
	}
}

// interruptedInside ends a run when 36 MiB of its first object have been read.
func interruptedInside(t *testing.T, src backends.ReadStore, at string, o Options) {
	t.Helper()
	f := backendtest.NewFaults(t)
	f.On("open", nil, backendtest.BlockAfter(36<<20))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		select {
		case <-f.Fired():
		case <-ctx.Done():
		}
		cancel()
	}()
	dst, err := openWriter(at)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Run(ctx, f.WrapRead(src), dst, o); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if err := dst.Close(); err != nil {
		t.Fatal(err)
	}
}

// What no digest proves is read from its beginning: it may be another version
// by now, of the same size.
func TestNoResumeWithoutADigest(t *testing.T) {
	for _, key := range []string{layout.Root + "NOTES", layout.Root + "blobs/blake3/ab/" + strings.Repeat("ab", 32) + "/data"} {
		dir, at := tempDir(t), tempDir(t)
		write(t, dir, key, strings.Repeat("a", 40<<20))
		o := quick()
		o.Checkpoint = filepath.Join(tempDir(t), "c")
		interruptedInside(t, reader(t, dir), at, o)
		write(t, dir, key, strings.Repeat("b", 40<<20))
		got, _ := transfer(t, reader(t, dir), writer(t, at), o)
		clean(t, got)
		if after := treeOf(t, reader(t, at))[key]; strings.Trim(after, "b") != "" {
			t.Errorf("%s: %d bytes of another version", key, len(strings.Trim(after, "b")))
		}
	}
}

// So is what an older program had left of it in the checkpoint.
func TestUnfinishedWithoutADigest(t *testing.T) {
	dir, at := tempDir(t), tempDir(t)
	key := layout.Root + "NOTES"
	write(t, dir, key, strings.Repeat("b", 40<<20))
	o := quick()
	o.Checkpoint = filepath.Join(tempDir(t), "c")
	interruptedInside(t, reader(t, dir), at, o)
	j, err := openJournal(o, reader(t, dir).Location(), reader(t, at).Location(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(j.saveUpload(key, backends.Upload{Token: "x", Offset: 1}), j.close("")); err != nil {
		t.Fatal(err)
	}
	got, _ := transfer(t, reader(t, dir), writer(t, at), o)
	clean(t, got)
	if j, err = openJournal(o, reader(t, dir).Location(), reader(t, at).Location(), nil); err != nil {
		t.Fatal(err)
	}
	if all, err := j.uploads(); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
	if err := j.close(""); err != nil {
		t.Fatal(err)
	}
}
