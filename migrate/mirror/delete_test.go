package mirror

import (
	"context"
	"errors"
	"iter"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/layout/layouttest"
)

// rounds makes n full rounds and returns the last status.
func (p *pair) rounds(n int) PairStatus {
	p.t.Helper()
	var s PairStatus
	p.session(func(ctx context.Context, m *Mirror) {
		for range n {
			if err := p.full(ctx, m); err != nil {
				p.t.Error(err)
			}
		}
		s = m.Status()
	})
	return s
}

func (p *pair) deleting() { p.o.Delete = true }

// collect removes an image from the source as a registry and its garbage
// collection do: a tag, all it leads to, and each blob that nothing else needs.
func (p *pair) collect() (lost []string) {
	p.t.Helper()
	repo, tag, _ := p.some()
	before := p.keys(p.src)
	p.remove(p.src, path.Dir(path.Dir(layout.TagKey(repo, tag))))
	used := map[digest.Digest]bool{}
	for key, content := range p.keys(p.src) {
		if k := layout.Parse(key); k.Kind == layout.TagLink && k.Repository == repo {
			p.mark(before, digest.Digest(content), used)
		}
	}
	elsewhere := map[digest.Digest]bool{}
	for key := range before {
		k := layout.Parse(key)
		if k.Repository == repo && (k.Kind == layout.RevisionLink || k.Kind == layout.LayerLink) && !used[k.Digest] {
			p.remove(p.src, path.Dir(key))
		} else if k.Repository != "" {
			elsewhere[k.Digest] = true
			if k.Kind == layout.TagLink {
				elsewhere[digest.Digest(before[key])] = true
			}
		}
	}
	for key := range before {
		if k := layout.Parse(key); k.Kind == layout.Blob && !elsewhere[k.Digest] && !used[k.Digest] {
			p.remove(p.src, path.Dir(key))
		}
	}
	after := p.keys(p.src)
	for key := range before {
		if _, ok := after[key]; !ok {
			lost = append(lost, key)
		}
	}
	if len(lost) < 5 {
		p.t.Fatalf("only %q went", lost)
	}
	return lost
}

func (p *pair) mark(files map[string]string, d digest.Digest, used map[digest.Digest]bool) {
	if used[d] {
		return
	}
	used[d] = true
	m, err := layout.ParseManifest([]byte(files[layout.BlobKey(d)]))
	if err != nil {
		return
	}
	for _, r := range m.References {
		p.mark(files, r.Digest, used)
	}
}

func TestDelete(t *testing.T) {
	p := newPair(t)
	p.deleting()
	p.rounds(1)
	lost := p.collect()
	if s := p.rounds(1); s.Deleted != 0 || s.Rounds[0].Absences != int64(len(lost)) {
		t.Fatalf("after one round: %d deleted, %d absences, want %d", s.Deleted, s.Rounds[0].Absences, len(lost))
	}
	if s := p.rounds(2); s.Deleted != int64(len(lost)) {
		t.Errorf("%d deleted, want %d", s.Deleted, len(lost))
	}
	p.equal()
	emptyDirectories(t, p.dst)
	journal := p.read(p.dir, "deletions.jsonl")
	for _, key := range lost {
		if strings.Count(journal, `"deleted","key":"`+key+`"`) != 1 || strings.Count(journal, `"deleting","key":"`+key+`"`) != 1 {
			t.Errorf("the journal does not have %s once", key)
		}
	}
	// A tag goes before what it needs, and blobs go last.
	order := func(part string) int { return strings.Index(journal, part) }
	if tags, blobs := order("/current/link"), order("/blobs/"); tags < 0 || blobs < tags || strings.LastIndex(journal, "/_manifests/") > blobs {
		t.Errorf("tags at %d, blobs at %d", tags, blobs)
	}
}

func emptyDirectories(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(dir, "docker"), func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if entries, _ := os.ReadDir(path); len(entries) == 0 {
			t.Errorf("%s is empty", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What keeps the mirror from deleting, one case each.
func TestNothingIsDeleted(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(p *pair)                     // anything is mirrored
		after  func(p *pair, lost []string)      // the source lost something
		rounds func(p *pair) (PairStatus, error) // nil: four full ones
	}{
		{name: "without --delete", after: func(p *pair, _ []string) { p.o.Delete = false }},
		{name: "it is not absent for long enough", after: func(p *pair, _ []string) { p.o.DeleteAfter = 24 * time.Hour }},
		{name: "the clock jumps a week", after: func(p *pair, _ []string) { p.o.DeleteAfter, p.ahead = 24*time.Hour, p.ahead+7*24*time.Hour }},
		{name: "too many", after: func(p *pair, _ []string) { p.o.MaxDelete, _ = ParseLimit("4") }},
		{name: "too great a share", after: func(p *pair, _ []string) { p.o.MaxDelete, _ = ParseLimit("1%") }},
		{name: "each round is another process's", rounds: func(p *pair) (s PairStatus, err error) {
			for range 4 {
				s = p.rounds(1)
			}
			return s, nil
		}},
		{name: "listings miss it, and the source has it", after: func(p *pair, lost []string) {
			p.write(p.src, lost[0], p.read(p.dst, lost[0]))
			for _, key := range lost {
				p.write(p.src, key, p.read(p.dst, key))
			}
			p.blind(lost)
		}},
		{name: "the source cannot be asked", after: func(p *pair, lost []string) { p.deaf(lost) }, rounds: failing},
		{name: "it was never seen at the source", before: func(p *pair) {
			lost := p.collect()
			p.t.Cleanup(func() {})
			_ = lost
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPair(t)
			p.deleting()
			var extra []string
			if c.before != nil { // the destination has what the source has lost already
				for key, content := range p.keys(p.src) {
					p.write(p.dst, key, content)
				}
				c.before(p)
				for key := range p.keys(p.dst) {
					if !p.exists(p.src, key) {
						extra = append(extra, key)
					}
				}
			}
			p.rounds(1)
			if c.before == nil {
				extra = p.collect()
			}
			if c.after != nil {
				c.after(p, extra)
			}
			if c.rounds == nil {
				c.rounds = func(p *pair) (PairStatus, error) { return p.rounds(4), nil }
			}
			s, _ := c.rounds(p)
			if s.Deleted != 0 {
				t.Errorf("%d deleted", s.Deleted)
			}
			for _, key := range extra {
				if !p.exists(p.dst, key) {
					t.Errorf("%s is gone", key)
				}
			}
		})
	}
}

// failing makes rounds of which the last one fails.
func failing(p *pair) (s PairStatus, err error) {
	p.t.Helper()
	p.session(func(ctx context.Context, m *Mirror) {
		for range 4 {
			err = errors.Join(err, p.full(ctx, m))
		}
		s = m.Status()
	})
	if err == nil {
		p.t.Error("no round has failed")
	}
	return s, err
}

// veiled is a source of which some keys are not listed, or cannot be asked for.
type veiled struct {
	backends.ReadStore
	hidden, broken map[string]bool
	stat           func(key string)
}

func (v *veiled) List(ctx context.Context, prefix, after string) iter.Seq2[backends.Object, error] {
	return func(yield func(backends.Object, error) bool) {
		for o, err := range v.ReadStore.List(ctx, prefix, after) {
			if err == nil && v.hidden[o.Key] {
				continue
			}
			if !yield(o, err) {
				return
			}
		}
	}
}

func (v *veiled) Stat(ctx context.Context, key string) (backends.Object, error) {
	if v.stat != nil {
		v.stat(key)
	}
	if v.broken[key] {
		return backends.Object{}, &backends.Error{Op: "stat", Key: key, Class: backends.Denied}
	}
	return v.ReadStore.Stat(ctx, key)
}

func (p *pair) veil(v *veiled) {
	open := p.o.Open
	p.o.Open = func(ctx context.Context) (backends.ReadStore, backends.Store, error) {
		src, dst, err := open(ctx)
		if err != nil {
			return nil, nil, err
		}
		one := *v
		one.ReadStore = src
		return &one, dst, nil
	}
}

func set(keys []string) map[string]bool {
	m := make(map[string]bool)
	for _, k := range keys {
		m[k] = true
	}
	return m
}

func (p *pair) blind(keys []string) { p.veil(&veiled{hidden: set(keys)}) }
func (p *pair) deaf(keys []string)  { p.veil(&veiled{broken: set(keys)}) }

// A push that brings a blob back at the last moment keeps it.
func TestRevived(t *testing.T) {
	p := newPair(t)
	p.deleting()
	p.rounds(1)
	lost := p.collect()
	revived := ""
	for _, key := range lost {
		if layout.Parse(key).Kind == layout.Blob {
			revived = key
		}
	}
	content := p.read(p.dst, revived)
	p.veil(&veiled{stat: func(key string) {
		if key == revived {
			p.write(p.src, key, content)
		}
	}})
	if s := p.rounds(2); s.Deleted != int64(len(lost)-1) {
		t.Errorf("%d deleted, of %d", s.Deleted, len(lost))
	}
	p.equal()
}

// A plan that is refused waits, is shown, and is let through once.
func TestApprove(t *testing.T) {
	p := newPair(t)
	p.deleting()
	p.rounds(1)
	lost := p.collect()
	p.o.MaxDelete, _ = ParseLimit("0")
	s := p.rounds(3)
	if s.Refused == nil || s.Refused.Objects != int64(len(lost)) || s.Refused.Tags != 1 || s.Deleted != 0 {
		t.Fatalf("%+v", s.Refused)
	}
	plan, found, err := WaitingPlan(p.dir)
	if err != nil || !found || plan.ID != s.Refused.ID || len(plan.Keys) != len(lost) {
		t.Fatalf("%+v, %v, %v", plan, found, err)
	}
	if text := plan.Text(3); !strings.Contains(text, plan.ID) || !strings.Contains(text, "and ") {
		t.Error(text)
	}
	if err := Approve(p.dir, "another"); !errors.Is(err, ErrGuard) {
		t.Errorf("another ID: %v", err)
	}
	if err := Approve(p.dir, plan.ID); err != nil {
		t.Fatal(err)
	}
	if s = p.rounds(2); s.Deleted != int64(len(lost)) || s.Refused != nil {
		t.Errorf("%d deleted of %d, refused %+v", s.Deleted, len(lost), s.Refused)
	}
	p.equal()
	if err := Approve(p.dir, plan.ID); !errors.Is(err, ErrGuard) {
		t.Errorf("twice: %v", err)
	}
	p.rounds(1)
	if p.exists(p.dir, approvedFile) {
		t.Error("what was approved stays approved")
	}
}

// A source that is empty, or another one, deletes nothing, however much may be
// deleted.
func TestOtherSource(t *testing.T) {
	for name, change := range map[string]func(p *pair){
		"empty": func(p *pair) { p.remove(p.src, "docker") },
		"another": func(p *pair) {
			p.remove(p.src, "docker")
			if _, err := layouttest.WriteDir(p.src, layouttest.Shape{Seed: 99, Repositories: 3, Tags: 4, Layers: 3}); err != nil {
				p.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			p.deleting()
			p.rounds(2)
			before := p.keys(p.dst)
			change(p)
			var s PairStatus
			p.session(func(ctx context.Context, m *Mirror) {
				for range 4 {
					if err := p.full(ctx, m); (err != nil) != (name == "empty") {
						t.Error(err)
					}
				}
				s = m.Status()
			})
			if s.Deleted != 0 || name == "another" && s.Refused == nil {
				t.Errorf("%+v", s)
			}
			after := p.keys(p.dst)
			for key := range before {
				if _, ok := after[key]; !ok && !strings.Contains(key, "/_uploads/") {
					t.Errorf("%s is gone", key)
				}
			}
		})
	}
}

// What something at the destination refers to stays: here a tag that was there
// before the mirror.
func TestReferencedStays(t *testing.T) {
	p := newPair(t)
	p.deleting()
	repo, _, names := p.some()
	p.write(p.dst, layout.TagKey(repo, "kept-here"), names)
	p.rounds(1)
	lost := p.collect()
	if p.exists(p.src, layout.RevisionKey(repo, digest.Digest(names))) {
		t.Skip("another tag has it")
	}
	s := p.rounds(3)
	files := p.keys(p.dst)
	needed := map[digest.Digest]bool{}
	p.mark(files, digest.Digest(names), needed)
	for d := range needed {
		if _, ok := files[layout.BlobKey(d)]; !ok {
			t.Errorf("the blob %s is gone", d)
		}
	}
	if !p.exists(p.dst, layout.RevisionKey(repo, digest.Digest(names))) {
		t.Error("the revision is gone")
	}
	if s.Deleted == 0 || s.Deleted >= int64(len(lost)) {
		t.Errorf("%d deleted of %d", s.Deleted, len(lost))
	}
}

// Who has lost the lease, suspended for a while, deletes nothing more.
func TestSuspended(t *testing.T) {
	p := newPair(t)
	p.deleting()
	p.rounds(1)
	lost := p.collect()
	p.session(func(ctx context.Context, m *Mirror) {
		if err := p.full(ctx, m); err != nil {
			t.Error(err)
		}
		// Another takes it while this one is asleep, and this one's clock slept too.
		other := m.newLease(m.dst)
		other.owner, other.self = "another", "another"
		r, version, err := other.read(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := other.write(ctx, version, r.Count+1, false); err != nil {
			t.Fatal(err)
		}
		p.ahead += time.Hour
		m.lease.mu.Lock()
		m.lease.renewed, m.lease.looked = m.now(), m.now().Add(-2*lookEvery)
		m.lease.mu.Unlock()
		if err := m.round(ctx, true); !errors.Is(err, errLeaseLost) {
			t.Errorf("%v", err)
		}
	})
	for _, key := range lost {
		if !p.exists(p.dst, key) {
			t.Errorf("%s is gone", key)
		}
	}
}

func TestLimit(t *testing.T) {
	for text, want := range map[string]string{"4": "5 of 100", "4%": "5 of 100", "5,5%": "", "100%": "", "0": "5 of 100"} {
		l, err := ParseLimit(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := l.exceeded(5, 100); (got == "") != (want == "") {
			t.Errorf("%s: %q", text, got)
		}
	}
	for _, bad := range []string{"", "x", "-1", "101%", "5,", "5;4", "NaN%"} {
		if _, err := ParseLimit(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// A plan of a source that may be another one nobody can let through, and what
// was let through before is so no more.
func TestNobodyApproves(t *testing.T) {
	p := newPair(t)
	p.deleting()
	p.rounds(1)
	p.collect()
	p.o.MaxDelete, _ = ParseLimit("0")
	s := p.rounds(3)
	if s.Refused == nil || s.Refused.Command == "" {
		t.Fatalf("%+v", s.Refused)
	}
	if err := Approve(p.dir, s.Refused.ID); err != nil {
		t.Fatal(err)
	}
	p.remove(p.dst, identityKey)
	s = p.rounds(1)
	if s.Refused == nil || s.Refused.Command != "" {
		t.Fatalf("%+v", s.Refused)
	}
	if err := Approve(p.dir, s.Refused.ID); !errors.Is(err, ErrGuard) || !strings.Contains(err.Error(), "does not say which") {
		t.Errorf("approved: %v", err)
	}
	if s = p.rounds(2); s.Deleted != 0 || s.Refused == nil || s.Refused.Command == "" {
		t.Errorf("%d deleted, %+v", s.Deleted, s.Refused)
	}
}
