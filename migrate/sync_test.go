package migrate

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify/layout"
)

// A Sync that fails as a whole leaves nothing sure: the run ends.
func TestSyncFails(t *testing.T) {
	dir, _ := small(t)
	disk := &backends.Error{Op: "sync", Class: backends.Transient, Err: errors.New("the disk")}
	for at := 1; ; at++ {
		for _, checkpoint := range []bool{false, true} {
			g := &groups{Store: memory(t), fails: func(n int) error {
				if n >= at {
					return disk
				}
				return nil
			}}
			o := quick()
			if checkpoint {
				o.Checkpoint = filepath.Join(tempDir(t), "c")
			}
			s, err := Run(t.Context(), reader(t, dir), g, o)
			if g.syncs < at {
				if err != nil || !checkpoint {
					t.Logf("%d Syncs in a run", g.syncs)
				}
				if at < 4 {
					t.Errorf("only %d Syncs", g.syncs)
				}
				return
			}
			var fault *Fault
			if !errors.As(err, &fault) || !errors.Is(err, disk) && !strings.Contains(err.Error(), "the disk") || s.Complete {
				t.Errorf("Sync %d fails: %+v, %v", at, s, err)
			}
			if backends.SideOf(err) != backends.Destination {
				t.Errorf("side %q: %v", backends.SideOf(err), err)
			}
			treeOf(t, g.Store).sound(t)
		}
	}
}

// One object that a Sync could not place is one failure; what needs it is not
// shown, and the next run repairs it.
func TestSyncLosesOne(t *testing.T) {
	dir, made := small(t)
	whole := treeOf(t, reader(t, dir))
	repo := made.Repositories[0]
	index := repo.Tags[repo.Indexes[0]]
	child := made.Needs[index][0]
	image := repo.Tags["1.0"]
	for name, c := range map[string]struct {
		key  string
		tags []string // not to be shown, at least
	}{
		"a layer":           {layout.BlobKey(layerOf(t, made)), tagsNeeding(made, layerOf(t, made))},
		"a manifest":        {layout.BlobKey(image), tagsNeeding(made, image)},
		"a revision link":   {layout.RevisionKey(repo.Name, image), []string{repo.Name + ":1.0"}},
		"a child's link":    {layout.RevisionKey(repo.Name, child), []string{repo.Name + ":" + repo.Indexes[0]}},
		"a layer link":      {layout.LayerKey(repo.Name, made.Needs[image][0]), []string{repo.Name + ":1.0"}},
		"a tag":             {layout.TagKey(repo.Name, "1.0"), []string{repo.Name + ":1.0"}},
		"what a tag named":  {layout.TagIndexKey(repo.Name, "1.0", image), nil},
		"an unknown object": {layout.Root + "NOTES", nil},
	} {
		for _, checkpoint := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				dir := dir
				if strings.HasPrefix(name, "an unknown") {
					dir, _ = small(t)
					write(t, dir, c.key, "x")
				}
				lost := 0
				g := &groups{Store: memory(t)}
				g.lose = func(key string) bool {
					if key == c.key {
						lost++
					}
					return key == c.key
				}
				o := quick()
				if checkpoint {
					o.Checkpoint = filepath.Join(tempDir(t), "c")
				}
				got, n := transfer(t, reader(t, dir), g, o)
				if lost == 0 || got.Failed != int64(lost) || len(n.failures) != lost || n.failures[0].Key != c.key {
					t.Errorf("lost %d: %+v, %+v", lost, got, n.failures)
				}
				if got.Undone() == 0 {
					t.Errorf("%+v", got)
				}
				after := treeOf(t, g.Store)
				after.sound(t)
				for _, tag := range c.tags {
					if slices.Contains(after.shown(), tag) {
						if strings.HasSuffix(c.key, "/current/link") {
							continue // its index links are not its own
						}
						t.Errorf("%s is shown", tag)
					}
				}
				g.lose = nil
				got, _ = transfer(t, reader(t, dir), g, o)
				clean(t, got)
				if len(whole) > len(treeOf(t, g.Store)) {
					t.Errorf("%d objects of %d", len(treeOf(t, g.Store)), len(whole))
				}
				same(t, treeOf(t, g.Store), treeOf(t, reader(t, dir)))
			})
		}
	}
}

// A replacement that a Sync lost was none: the next pass of the run reads what
// is there once more.
func TestSyncLosesAReplacement(t *testing.T) {
	dir, made := small(t)
	g := &groups{Store: memory(t)}
	for key, content := range treeOf(t, reader(t, dir)) {
		put(t, g.Store, key, content)
	}
	key := layout.BlobKey(layerOf(t, made))
	rotten := treeOf(t, g)[key]
	put(t, g.Store, key, string(rotten[0]^1)+rotten[1:])
	lost := false
	g.lose = func(k string) bool {
		first := k == key && !lost
		lost = lost || first
		return first
	}
	o := quick()
	o.Checkpoint, o.RecheckExisting = filepath.Join(tempDir(t), "c"), true
	j, err := openJournal(o, reader(t, dir).Location(), g.Location(), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = j.begin(true) // a pass that was interrupted: two follow
	if err = errors.Join(err, j.close("")); err != nil {
		t.Fatal(err)
	}
	got, _ := transfer(t, reader(t, dir), g, o)
	clean(t, got)
	if !lost || got.Replaced != 1 {
		t.Errorf("lost %v, %+v", lost, got)
	}
	same(t, treeOf(t, g), treeOf(t, reader(t, dir)))

	lost, o.Checkpoint = false, filepath.Join(tempDir(t), "c")
	put(t, g.Store, key, string(rotten[0]^1)+rotten[1:])
	if got, _ = transfer(t, reader(t, dir), g, o); got.Failed != 1 {
		t.Errorf("%+v", got)
	}
	o.RecheckExisting = false
	if got, _ = transfer(t, reader(t, dir), g, o); got.OnTrust == 0 {
		t.Errorf("what was lost is claimed to be proved: %+v", got)
	}
}

// A Sync on behalf of another run, or of the checkpoint, may lose a blob
// before who put it has noted that.
func TestSyncLosesBeforeItIsNoted(t *testing.T) {
	dir, made := small(t)
	g := &groups{Store: memory(t)}
	key := layout.BlobKey(layerOf(t, made))
	o := quick()
	o.Shared = NewShared(o.Workers, DefaultMemory, 0)
	w := &watched{Store: g}
	w.after = func(_, put string) {
		if put == key {
			g.mu.Lock()
			g.lose = func(k string) bool { return k == key }
			g.mu.Unlock()
			_ = o.Shared.sync(bg, g)
			g.mu.Lock()
			g.lose = nil
			g.mu.Unlock()
		}
	}
	got, n := transfer(t, reader(t, dir), watch(w), o)
	if got.Failed != 1 || got.Held == 0 || len(n.failures) != 1 || n.failures[0].Key != key {
		t.Errorf("%+v, %+v", got, n.failures)
	}
	treeOf(t, g.Store).sound(t)
	w.after = nil
	got, _ = transfer(t, reader(t, dir), watch(w), o)
	clean(t, got)
	same(t, treeOf(t, g.Store), treeOf(t, reader(t, dir)))
}

// What is pending when the run is interrupted is no failure, and the next one
// brings it.
func TestSyncInterrupted(t *testing.T) {
	dir, _ := small(t)
	g := &groups{Store: memory(t)}
	ctx, cancel := context.WithCancel(t.Context())
	g.put = func(key string) {
		if layout.Parse(key).Kind == layout.RevisionLink {
			cancel()
		}
	}
	o := quick()
	o.Checkpoint = filepath.Join(tempDir(t), "c")
	if _, err := Run(ctx, reader(t, dir), g, o); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	treeOf(t, g.Store).sound(t)
	g.put, g.pending = nil, nil // the process is gone, and what it had not synced
	got, _ := transfer(t, reader(t, dir), g, o)
	clean(t, got)
	same(t, treeOf(t, g.Store), treeOf(t, reader(t, dir)))
}
