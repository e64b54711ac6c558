package migrate

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/report"
)

// A blob of another size, by whomever, is replaced by a proved one.
func TestWrongSizeIsReplaced(t *testing.T) {
	dir, made := small(t)
	layer := layerOf(t, made)
	for kind, open := range fresh {
		for name, content := range map[string]string{"empty": "", "short": "short", "long": strings.Repeat("long", 10_000)} {
			t.Run(kind+"/"+name, func(t *testing.T) {
				dst := open(t)
				put(t, dst, layout.BlobKey(layer), content)
				got, _ := transfer(t, reader(t, dir), dst, quick())
				clean(t, got)
				if got.Replaced != 1 || got.Copied != got.Blobs-1 || got.CopiedBytes != got.BlobBytes {
					t.Errorf("%+v", got)
				}
				same(t, treeOf(t, dst), treeOf(t, reader(t, dir)))
			})
		}
	}
}

// A corrupt blob of the source never replaces what the destination has, good
// or bad, of whatever size; a good one at the destination still counts for the
// tags.
func TestCorruptSourceReplacesNothing(t *testing.T) {
	for _, name := range []string{"blob-corrupt", "blob-short", "blob-long", "blob-empty"} {
		for _, recheck := range []bool{false, true} {
			for what, change := range map[string]func(good string) string{
				"good":  func(good string) string { return good },
				"other": func(good string) string { return good + "something else" },
			} {
				t.Run(name+"/"+what, func(t *testing.T) {
					dir, made := small(t)
					layer := string(treeOf(t, reader(t, dir))[layout.BlobKey(layerOf(t, made))])
					hurt := damage(t, name, dir, made)
					good, _ := small(t)
					before := change(treeOf(t, reader(t, good))[layout.BlobKey(hurt.Digest)])
					if layer == "" {
						t.Fatal("no layer")
					}
					dst := memory(t)
					put(t, dst, layout.BlobKey(hurt.Digest), before)
					o := quick()
					o.RecheckExisting = recheck
					got, n := transfer(t, reader(t, dir), dst, o)
					after := treeOf(t, dst)
					if after[layout.BlobKey(hurt.Digest)] != before {
						t.Error("the blob was replaced")
					}
					if got.Undone() != 0 || got.Replaced != 0 {
						t.Errorf("%+v", got)
					}
					if what == "good" {
						after.sound(t)
						if got.TagsBroken != 0 {
							t.Errorf("the destination can serve all tags: %+v", got)
						}
					}
					differs := name != "blob-corrupt" || what == "other" // else nothing is read, for key and size are right
					if differs && (got.Corrupt != 1 || n.kinds()[report.ContentCorrupt] != 1) {
						t.Errorf("%+v, %v", got, n.kinds())
					}
				})
			}
		}
	}
}

// Key and size are right and the bytes are not: only reading tells.
func TestRecheckExisting(t *testing.T) {
	dir, made := small(t)
	whole := treeOf(t, reader(t, dir))
	key := layout.BlobKey(layerOf(t, made))
	flipped := []byte(whole[key])
	flipped[0] ^= 1
	for kind, open := range fresh {
		t.Run(kind, func(t *testing.T) {
			dst := open(t)
			for k, v := range whole {
				if k == key {
					v = string(flipped)
				}
				put(t, dst, k, v)
			}
			got, _ := transfer(t, reader(t, dir), dst, quick())
			if got.OnTrust != got.Blobs || got.Work() != 0 {
				t.Errorf("on trust: %+v", got)
			}
			o := quick()
			o.RecheckExisting = true
			got, _ = transfer(t, reader(t, dir), dst, o)
			clean(t, got)
			if got.Replaced != 1 || got.Rechecked != got.Blobs-1 || got.OnTrust != 0 || got.Present != got.Rechecked {
				t.Errorf("rechecked: %+v", got)
			}
			same(t, treeOf(t, dst), whole)
		})
	}
}

// What this migration has proved itself may have rotted since: it is read again
// when that is asked for, once a run however many passes that has.
func TestRecheckExistingWithCheckpoint(t *testing.T) {
	dir, made := small(t)
	dst := memory(t)
	o := quick()
	o.Checkpoint = filepath.Join(tempDir(t), "c")
	transfer(t, reader(t, dir), dst, o)
	got, _ := transfer(t, reader(t, dir), dst, o)
	if got.ProvedBefore != got.Blobs || got.Rechecked != 0 || got.OnTrust != 0 {
		t.Errorf("%+v", got)
	}
	o.RecheckExisting, o.Final = true, true
	got, _ = transfer(t, reader(t, dir), dst, o)
	if got.Rechecked != got.Blobs || got.Replaced != 0 || got.ProvedBefore+got.OnTrust != 0 {
		t.Errorf("rechecked: %+v", got)
	}
	key := layout.BlobKey(layerOf(t, made))
	rotten := treeOf(t, dst)[key]
	put(t, dst, key, string(rotten[0]^1)+rotten[1:])
	got, _ = transfer(t, reader(t, dir), dst, o)
	same(t, treeOf(t, dst), treeOf(t, reader(t, dir)))
	o.Checkpoint, o.Final = "", false
	if got, _ = transfer(t, reader(t, dir), dst, o); got.Rechecked != got.Blobs || got.ProvedBefore != 0 {
		t.Errorf("without: %+v", got)
	}
}

// The size is the same and the link is not, with the time of an older file:
// what tags hold is compared by content.
func TestMovedTagIsNoticed(t *testing.T) {
	for kind, open := range fresh {
		t.Run(kind, func(t *testing.T) {
			dir, made := small(t)
			dst := open(t)
			o := quick()
			o.Checkpoint = filepath.Join(tempDir(t), "c")
			transfer(t, reader(t, dir), dst, o)
			key := aTagKey(made)
			name := filepath.Join(dir, filepath.FromSlash(key))
			info, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			to := made.Repositories[0].Revisions[0]
			if string(to) == treeOf(t, dst)[key] {
				to = made.Repositories[0].Revisions[1]
			}
			write(t, dir, key, string(to))
			if err := os.Chtimes(name, info.ModTime(), info.ModTime()); err != nil {
				t.Fatal(err)
			}
			got, _ := transfer(t, reader(t, dir), dst, o)
			clean(t, got)
			if got.TagsWritten != 1 || got.Work() != 1 || treeOf(t, dst)[key] != string(to) {
				t.Errorf("%+v", got)
			}
		})
	}
}

// Links that are wrong at the destination are put right, if the source has
// right ones: the empty file of a crash has another size.
func TestEmptyLinksAreReplaced(t *testing.T) {
	dir, _ := small(t)
	whole := treeOf(t, reader(t, dir))
	for _, kind := range []layout.Kind{layout.TagLink, layout.RevisionLink, layout.LayerLink, layout.TagIndexLink} {
		t.Run(kind.String(), func(t *testing.T) {
			dst := memory(t)
			for k, v := range whole {
				if layout.Parse(k).Kind == kind {
					v = ""
				}
				put(t, dst, k, v)
			}
			got, _ := transfer(t, reader(t, dir), dst, quick())
			clean(t, got)
			same(t, treeOf(t, dst), whole)
		})
	}
}

// Neither an empty nor a malformed link of the source overwrites a good one, of
// any kind, even where the good one has another content.
func TestBadLinksReplaceNothing(t *testing.T) {
	for _, content := range []string{"", "sha256:", "rubbish", strings.Repeat("\x00", 71), strings.Repeat("sha256:", 1000), "sha256:" + strings.Repeat("A", 64)} {
		dir, _ := small(t)
		good := treeOf(t, reader(t, dir))
		for key := range good {
			if layout.Parse(key).Kind != layout.Blob {
				write(t, dir, key, content)
			}
		}
		dst := memory(t)
		for k, v := range good {
			put(t, dst, k, v)
		}
		got, _ := transfer(t, reader(t, dir), dst, quick())
		if got.SourceDamage() == 0 || got.Undone() != 0 || got.TagsWritten+got.Links != 0 {
			t.Errorf("%.20q: %+v", content, got)
		}
		same(t, treeOf(t, dst), good)

		empty := memory(t)
		got, _ = transfer(t, reader(t, dir), empty, quick())
		if got.SourceDamage() == 0 || got.Undone() != 0 || got.TagsWritten+got.Links != 0 {
			t.Errorf("%.20q to an empty one: %+v", content, got)
		}
		same(t, treeOf(t, empty), good.without(func(k layout.Key) bool { return k.Kind != layout.Blob }))
	}
}

// Where two blobs of one name and different sizes cannot be told apart by
// computing, nothing is replaced.
func TestUnprovableOfAnotherSize(t *testing.T) {
	dir, _ := small(t)
	key := layout.Root + "blobs/blake3/ab/" + strings.Repeat("ab", 32) + "/data"
	write(t, dir, key, "twelve bytes")
	dst := memory(t)
	put(t, dst, key, "nine byte")
	got, n := transfer(t, reader(t, dir), dst, quick())
	if got.Failed != 1 || len(n.failures) != 1 || n.failures[0].Class != backends.Unsupported.Error() || treeOf(t, dst)[key] != "nine byte" {
		t.Errorf("%+v, %+v", got, n.failures)
	}
	fine := memory(t)
	got, n = transfer(t, reader(t, dir), fine, quick())
	if got.Unproved != 1 || n.kinds()[report.Unproved] != 1 || treeOf(t, fine)[key] != "twelve bytes" {
		t.Errorf("%+v", got)
	}
}

// Nor is it on behalf of a tag, without a blob pass.
func TestUnprovableOfAnotherSizeInAChoice(t *testing.T) {
	dir, made := small(t)
	d := digest.Digest("blake3:" + strings.Repeat("ab", 32))
	write(t, dir, layout.BlobKey(d), "twelve bytes")
	write(t, dir, layout.LayerKey(made.Repositories[0].Name, d), string(d))
	dst := memory(t)
	put(t, dst, layout.BlobKey(d), "nine byte")
	o := quick()
	o.Repositories = []string{"**"}
	got, n := transfer(t, reader(t, dir), dst, o)
	if got.Failed != 1 || len(n.failures) != 1 || n.failures[0].Class != backends.Unsupported.Error() || treeOf(t, dst)[layout.BlobKey(d)] != "nine byte" {
		t.Errorf("%+v, %+v", got, n.failures)
	}
}

// A blob is corrupt at the source, and whether the destination's is good cannot
// be found out: that is a failure, and what needs it is no damage of the source.
func TestUnreadableInsteadOfCorrupt(t *testing.T) {
	for _, class := range []backends.Class{backends.Transient, backends.Denied} {
		f := newFaulty(t, memory(t))
		for key, content := range treeOf(t, reader(t, f.dir)) {
			if layout.Parse(key).Kind == layout.Blob {
				put(t, f.bare, key, content)
			}
		}
		write(t, f.dir, f.key, "corrupt, and of another size")
		f.to.On("open", backendtest.Key(f.key), backendtest.Fail(class).Always())
		got, n := f.run()
		if got.Corrupt != 1 || got.TagsBroken != 0 || got.Failed != 1 || got.Held == 0 || n.failures[0].Side != string(backends.Destination) {
			t.Errorf("%+v, %+v", got, n.failures)
		}
		treeOf(t, f.bare).sound(t)
	}
}
