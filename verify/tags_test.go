package verify_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest"
	"github.com/regferry/regferry/backends/filesystem"
	"github.com/regferry/regferry/verify"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/layout/layouttest"
)

func open(t testing.TB, dir string) backends.ReadStore {
	t.Helper()
	s, err := filesystem.OpenReader(dir, filesystem.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// judged runs an audit and returns its verdicts by repository:tag.
func judged(t *testing.T, a verify.Audit) map[string]verify.TagVerdict {
	t.Helper()
	all := map[string]verify.TagVerdict{}
	err := a.Tags(t.Context(), func(v verify.TagVerdict) {
		name := v.Repository + ":" + v.Tag
		if _, twice := all[name]; twice {
			t.Errorf("%s is judged twice", name)
		}
		all[name] = v
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func brokenOf(all map[string]verify.TagVerdict) []string {
	var broken []string
	for name, v := range all {
		if v.Err != nil || !v.Verdict.Whole() {
			broken = append(broken, name)
		}
	}
	slices.Sort(broken)
	return broken
}

// hashing answers for a blob only when its bytes are right, as a pull would find.
func hashing(s backends.ReadStore) func(context.Context, digest.Digest) error {
	return func(ctx context.Context, d digest.Digest) error {
		b, err := s.Open(ctx, layout.BlobKey(d), 0)
		if err != nil {
			return err
		}
		r := verify.NewReader(b, layout.BlobKey(d), b.Object.Size, d)
		_, err = io.Copy(io.Discard, r)
		if backends.ClassOf(err) == backends.Corrupt {
			err = backends.NotFound
		}
		return errors.Join(err, r.Close())
	}
}

// unseen are the damages of layers and configs that presence alone cannot show.
var unseen = []string{"blob-corrupt", "blob-short", "blob-long", "blob-empty", "config-corrupt"}

// unread are the damages of links that show only to who reads every link, which
// Run does.
var unread = []string{"revision-link-newline", "revision-link-wrong", "layer-link-newline", "layer-link-wrong"}

// unlisted are tags that are broken in that they have no link: no key to find
// them by among the tags.
var unlisted = []string{"tag-link-missing", "tag-link-directory"}

// An audit says of exactly those tags that they are broken that a damage
// broke: with a blob function that hashes, of all; without, of those whose
// damage shows in what is there.
func TestAuditOfDamages(t *testing.T) {
	for _, damage := range layouttest.Damages() {
		t.Run(damage.Name, func(t *testing.T) {
			dir := t.TempDir()
			r, err := layouttest.WriteDir(dir, layouttest.Small(1))
			if err != nil {
				t.Fatal(err)
			}
			hurt, err := damage.Apply(dir, r)
			if err != nil {
				t.Fatal(err)
			}
			want, tags := hurt.Tags, slices.Sorted(slices.Values(append(r.TagNames(), hurt.Added...)))
			if slices.Contains(unlisted, damage.Name) {
				gone := func(name string) bool { return slices.Contains(hurt.Tags, name) }
				want, tags = nil, slices.DeleteFunc(tags, gone)
			}
			if slices.Contains(unread, damage.Name) {
				want = nil
			}
			s := open(t, dir)
			all := judged(t, verify.Audit{Store: s, Workers: 3, Blob: hashing(s)})
			if got := brokenOf(all); !slices.Equal(got, want) {
				t.Errorf("broken: %q\nwant %q", got, want)
			}
			if got := slices.Sorted(maps.Keys(all)); !slices.Equal(got, tags) {
				t.Errorf("judged: %q\nwant %q", got, tags)
			}
			if slices.Contains(unseen, damage.Name) {
				want = nil
			}
			if got := brokenOf(judged(t, verify.Audit{Store: s})); !slices.Equal(got, want) {
				t.Errorf("broken by presence: %q\nwant %q", got, want)
			}
		})
	}
}

// The verdict names the link, the digest, and what is missing by whom.
func TestAuditVerdicts(t *testing.T) {
	dir := t.TempDir()
	r, err := layouttest.WriteDir(dir, layouttest.Small(1))
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range judged(t, verify.Audit{Store: open(t, dir)}) {
		i := slices.IndexFunc(r.Repositories, func(x layouttest.Repository) bool { return x.Name == v.Repository })
		if i < 0 || r.Repositories[i].Tags[v.Tag] != v.Digest {
			t.Errorf("%s: digest %s", name, v.Digest)
		}
	}
	find := func(name string) layouttest.Damage {
		all := layouttest.Damages()
		return all[slices.IndexFunc(all, func(d layouttest.Damage) bool { return d.Name == name })]
	}
	child, err := find("child-missing").Apply(dir, r)
	if err != nil {
		t.Fatal(err)
	}
	link, err := find("tag-link-malformed").Apply(dir, r)
	if err != nil {
		t.Fatal(err)
	}
	all := judged(t, verify.Audit{Store: open(t, dir)})
	for _, name := range child.Tags {
		v := all[name]
		if slices.Contains(link.Tags, name) {
			continue
		}
		if v.Err != nil || v.Verdict.Whole() || v.Verdict.Missing[0].Digest != child.Digest || v.Verdict.Missing[0].Chain[0] != v.Digest {
			t.Errorf("%s: %+v", name, v)
		}
	}
	if v := all[link.Tags[0]]; !errors.Is(v.Err, layout.ErrLink) {
		t.Errorf("%s: %v", link.Tags[0], v.Err)
	}
}

func TestAuditMatch(t *testing.T) {
	dir := t.TempDir()
	r, err := layouttest.WriteDir(dir, layouttest.Small(1))
	if err != nil {
		t.Fatal(err)
	}
	only := r.Repositories[1].Name
	all := judged(t, verify.Audit{Store: open(t, dir), Match: func(name string) bool { return name == only }})
	if len(all) != len(r.Repositories[1].Tags) {
		t.Errorf("%d tags of %s, which has %d", len(all), only, len(r.Repositories[1].Tags))
	}
	for name := range all {
		if !strings.HasPrefix(name, only+":") {
			t.Errorf("%s is not of %s", name, only)
		}
	}
}

// A listing that fails is not an audit, wherever it fails.
func TestAuditFailures(t *testing.T) {
	dir := t.TempDir()
	if _, err := layouttest.WriteDir(dir, layouttest.Small(1)); err != nil {
		t.Fatal(err)
	}
	for name, fault := range map[string]backendtest.Fault{
		"at once":      backendtest.Fail(backends.Denied),
		"half-way":     backendtest.FailAfter(7, backends.Transient),
		"out of order": backendtest.Swap(3),
	} {
		t.Run(name, func(t *testing.T) {
			f := backendtest.NewFaults(t)
			f.On("list", nil, fault.Always())
			err := verify.Audit{Store: f.WrapRead(open(t, dir)), Workers: 4}.Tags(t.Context(), func(verify.TagVerdict) {})
			if err == nil {
				t.Error("no error")
			}
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		err := verify.Audit{Store: open(t, dir), Workers: 4}.Tags(ctx, func(verify.TagVerdict) {
			if n++; n == 2 {
				cancel()
			}
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
	})
	t.Run("one tag cannot be read", func(t *testing.T) {
		f := backendtest.NewFaults(t)
		isTag := func(key string) bool { return layout.Parse(key).Kind == layout.TagLink }
		f.On("open", isTag, backendtest.Fail(backends.Denied))
		all := judged(t, verify.Audit{Store: f.WrapRead(open(t, dir))})
		denied := 0
		for _, v := range all {
			if errors.Is(v.Err, backends.Denied) {
				denied++
			}
		}
		if denied != 1 || len(brokenOf(all)) != 1 {
			t.Errorf("%d of %d tags denied, %q broken", denied, len(all), brokenOf(all))
		}
	})
}

// Whatever lies about, an audit ends and does not take it for a tag.
func TestAuditOfRubbish(t *testing.T) {
	s := rubbish{
		layout.TagKey("a", "t"):          strings.Repeat("x", 1<<20),
		layout.TagKey("b", "t"):          "sha512:" + strings.Repeat("a", 128),
		layout.TagKey("c", "t"):          "blake3:" + strings.Repeat("a", 64),
		layout.Root + "repositories/d":   "x",
		layout.TagsPrefix("e") + "x":     "x",
		layout.TagsPrefix("f") + "t/y/z": "x",
	}
	all := judged(t, verify.Audit{Store: s})
	if got := brokenOf(all); !slices.Equal(got, []string{"a:t", "b:t", "c:t"}) || len(all) != 3 {
		t.Errorf("%q", got)
	}
}

// rubbish is a store of these objects.
type rubbish map[string]string

func (rubbish) Location() string { return "rubbish" }
func (rubbish) Close() error     { return nil }

func (s rubbish) List(_ context.Context, prefix, after string) iter.Seq2[backends.Object, error] {
	return func(yield func(backends.Object, error) bool) {
		var keys []string
		for key := range s {
			if strings.HasPrefix(key, prefix) && key > after {
				keys = append(keys, key)
			}
		}
		slices.Sort(keys)
		for _, key := range keys {
			if !yield(backends.Object{Key: key, Size: int64(len(s[key]))}, nil) {
				return
			}
		}
	}
}

func (s rubbish) Stat(_ context.Context, key string) (backends.Object, error) {
	if v, ok := s[key]; ok {
		return backends.Object{Key: key, Size: int64(len(v))}, nil
	}
	return backends.Object{}, &backends.Error{Op: "stat", Key: key, Class: backends.NotFound}
}

func (s rubbish) Open(ctx context.Context, key string, offset int64) (backends.Body, error) {
	o, err := s.Stat(ctx, key)
	if err != nil {
		return backends.Body{}, err
	}
	return backends.Body{ReadCloser: io.NopCloser(strings.NewReader(s[key][offset:])), Object: o}, nil
}
