package verify_test

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest"
	"github.com/regferry/regferry/verify"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/layout/layouttest"
	"github.com/regferry/regferry/verify/report"
)

// late is a store in which objects appear after they would have been listed,
// and after so many requests for each.
type late struct {
	backends.ReadStore
	keys  []string
	after int

	mu    sync.Mutex
	asked map[string]int
}

func (l *late) List(ctx context.Context, prefix, after string) iter.Seq2[backends.Object, error] {
	return func(yield func(backends.Object, error) bool) {
		for o, err := range l.ReadStore.List(ctx, prefix, after) {
			if err == nil && slices.Contains(l.keys, o.Key) {
				continue
			}
			if !yield(o, err) {
				return
			}
		}
	}
}

func (l *late) early(key string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.asked == nil {
		l.asked = map[string]int{}
	}
	if l.asked[key]++; slices.Contains(l.keys, key) && l.asked[key] <= l.after {
		return &backends.Error{Op: "stat", Key: key, Class: backends.NotFound}
	}
	return nil
}

func (l *late) Stat(ctx context.Context, key string) (backends.Object, error) {
	if err := l.early(key); err != nil {
		return backends.Object{}, err
	}
	return l.ReadStore.Stat(ctx, key)
}

func (l *late) Open(ctx context.Context, key string, offset int64) (backends.Body, error) {
	if err := l.early(key); err != nil {
		return backends.Body{}, err
	}
	return l.ReadStore.Open(ctx, key, offset)
}

// ofTag are keys of the tag 1.0 of the first repository, by what they are.
func ofTag(t testing.TB, s backends.ReadStore, made *layouttest.Registry) map[string]string {
	t.Helper()
	repo := made.Repositories[0]
	top := repo.Tags["1.0"]
	needs := made.Needs[top]
	keys := map[string]string{
		"tag": layout.TagKey(repo.Name, "1.0"), "revision": layout.RevisionKey(repo.Name, top), "manifest": layout.BlobKey(top),
		"layer link": layout.LayerKey(repo.Name, needs[0]), "blob": layout.BlobKey(needs[0]),
	}
	for o, err := range s.List(t.Context(), layout.TagsPrefix(repo.Name)+"1.0/", "") {
		if err != nil {
			t.Fatal(err)
		}
		if layout.Parse(o.Key).Kind == layout.TagIndexLink {
			keys["index"] = o.Key
		}
	}
	return keys
}

// Both sides may be in use: what one was listed without is there when it is
// asked for, and so is neither missing, nor extra, nor broken.
func TestWhatComesAfterTheListing(t *testing.T) {
	dir, made, _ := damaged(t, "")
	for what, key := range ofTag(t, open(t, dir), made) {
		for _, o := range []verify.Options{
			{Source: &late{ReadStore: open(t, dir), keys: []string{key}}},
			{Source: open(t, dir), Destination: &late{ReadStore: open(t, dir), keys: []string{key}}},
			{Source: &late{ReadStore: open(t, dir), keys: []string{key}}, Destination: open(t, dir)},
			{Source: memory(t, dir), Destination: &late{ReadStore: memory(t, dir), keys: []string{key}}, Level: verify.Content},
			{Source: memory(t, dir), Destination: &late{ReadStore: memory(t, dir), keys: []string{key}}, SkipReferences: true},
			{Source: &late{ReadStore: memory(t, dir), keys: []string{key}}, Destination: memory(t, dir), SkipReferences: true},
		} {
			s, n := run(t, o)
			if len(n.findings) != 0 || !o.SkipReferences && (s.Tags.Proved != s.Tags.All || s.Tags.All < int64(len(made.TagNames()))-1) {
				t.Errorf("%s, compared: %t: %s %+v", what, s.Compared, words(n.findings), n.findings)
			}
		}
	}
}

// What was asked for too early is asked for again before it is called missing.
func TestWhatComesAfterItWasAskedFor(t *testing.T) {
	dir, made, _ := damaged(t, "")
	for what, key := range ofTag(t, open(t, dir), made) {
		if what == "index" || what == "tag" {
			continue // nothing asks for those unlisted
		}
		s, n := run(t, verify.Options{Source: &late{ReadStore: open(t, dir), keys: []string{key}, after: 1}})
		if len(n.findings) != 0 || s.Tags.Proved != s.Tags.All {
			t.Errorf("%s: %+v %+v", what, s.Tags, n.findings)
		}
	}
}

// Registries write some links by truncating them first.
func TestLinkThatIsEmptyForAMoment(t *testing.T) {
	dir, made, _ := damaged(t, "")
	for what, key := range ofTag(t, open(t, dir), made) {
		if what == "blob" || what == "manifest" {
			continue
		}
		for _, compare := range []bool{false, true} {
			f := backendtest.NewFaults(t)
			f.On("open", backendtest.Key(key), backendtest.Truncate(0))
			o := verify.Options{Source: f.WrapRead(open(t, dir))}
			if compare {
				o.Source, o.Destination = open(t, dir), o.Source
			}
			if s, n := run(t, o); len(n.findings) != 0 || s.Tags.Proved != s.Tags.All {
				t.Errorf("%s: %+v", what, n.findings)
			}
		}
	}
	f := backendtest.NewFaults(t)
	f.On("open", backendtest.Key(ofTag(t, open(t, dir), made)["tag"]), backendtest.Truncate(0))
	if _, n := run(t, verify.Options{Source: f.WrapRead(open(t, dir)), Destination: open(t, dir)}); len(n.findings) != 0 {
		t.Errorf("at the source: %+v", n.findings)
	}
}

// listedEmpty is a store that lists a key as empty, which it is no more when it
// is read.
type listedEmpty struct {
	backends.ReadStore
	key string
}

func (l listedEmpty) List(ctx context.Context, prefix, after string) iter.Seq2[backends.Object, error] {
	return func(yield func(backends.Object, error) bool) {
		for o, err := range l.ReadStore.List(ctx, prefix, after) {
			if o.Key == l.key {
				o.Size, o.MD5 = 0, nil
			}
			if !yield(o, err) {
				return
			}
		}
	}
}

// Nor does the size of a link count that was listed while it was written.
func TestLinkThatWasListedEmpty(t *testing.T) {
	dir, made, _ := damaged(t, "")
	keys := ofTag(t, open(t, dir), made)
	for _, what := range []string{"tag", "revision", "layer link", "index"} {
		for _, o := range []verify.Options{
			{Source: listedEmpty{open(t, dir), keys[what]}},
			{Source: listedEmpty{open(t, dir), keys[what]}, Destination: open(t, dir)},
			{Source: open(t, dir), Destination: listedEmpty{open(t, dir), keys[what]}},
			{Source: open(t, dir), Destination: listedEmpty{open(t, dir), keys[what]}, SkipReferences: true},
		} {
			if _, n := run(t, o); len(n.findings) != 0 {
				t.Errorf("%s: %+v", what, n.findings)
			}
		}
	}
}

// However much a side lacks, only so much is asked for once more, and in
// batches: a pause for each would never end.
func TestDoubtsAreBounded(t *testing.T) {
	const links = 12_000
	store := rubbish{layout.Root + "repositories/a/x": "x"}
	for i := range links {
		d := digest.FromString(fmt.Sprint(i))
		store[layout.RevisionKey("a", d)] = string(d)
	}
	var pauses atomic.Int64
	c := new(backendtest.Counter)
	o := verify.Sleeping(verify.Options{
		Source: store, Destination: c.WrapRead(rubbish{layout.Root + "repositories/a/x": "x"}), SkipReferences: true,
	}, func(time.Duration) { pauses.Add(1) })
	s, err := verify.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if asked := c.Stats.Load(); s.Of(report.Missing) != links || asked < 1000 || asked >= links || pauses.Load() > 2 {
		t.Errorf("%d missing, %d asked for, %d pauses", s.Of(report.Missing), asked, pauses.Load())
	}
}
