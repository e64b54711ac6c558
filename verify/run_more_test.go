package verify_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest"
	"github.com/regferry/regferry/verify"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/layout/layouttest"
	"github.com/regferry/regferry/verify/report"
)

// unwritable is a store whose every write fails the test.
type unwritable struct {
	backends.ReadStore
	t testing.TB
}

func (u unwritable) Put(context.Context, string, backends.Content) (backends.Object, error) {
	u.t.Error("Put")
	return backends.Object{}, errors.ErrUnsupported
}

func (u unwritable) Delete(context.Context, string) error {
	u.t.Error("Delete")
	return errors.ErrUnsupported
}

func (u unwritable) Sync(context.Context) error {
	u.t.Error("Sync")
	return errors.ErrUnsupported
}

func (u unwritable) Clean(context.Context, map[string]bool) (int, error) {
	u.t.Error("Clean")
	return 0, errors.ErrUnsupported
}

// Nothing is written, whatever is found; a volume is left as it was, with its
// times.
func TestNothingIsWritten(t *testing.T) {
	look := func(dir string) (all []string) {
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			all = append(all, fmt.Sprint(path, info.Size(), info.Mode(), info.ModTime()))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	sound, _, _ := damaged(t, "")
	for _, name := range []string{"", "blob-short", "child-missing", "tag-link-empty", "unknown", "uploads"} {
		dir, _, _ := damaged(t, name)
		before := slices.Concat(look(sound), look(dir))
		a, b := unwritable{open(t, sound), t}, unwritable{open(t, dir), t}
		for _, level := range []verify.Level{verify.Presence, verify.Checksum, verify.Content} {
			run(t, verify.Options{Source: b, Level: level})
			run(t, verify.Options{Source: a, Destination: b, Level: level})
			run(t, verify.Options{Source: b, Destination: a, Level: level, Repositories: verify.Globs{"**"}})
		}
		if after := slices.Concat(look(sound), look(dir)); !slices.Equal(before, after) {
			t.Errorf("%s: something was written", name)
		}
	}
}

// asked counts what a store is asked beside listings.
type asked struct {
	backends.ReadStore
	stats, opens, manifests atomic.Int64
}

func (a *asked) Stat(ctx context.Context, key string) (backends.Object, error) {
	a.stats.Add(1)
	return a.ReadStore.Stat(ctx, key)
}

func (a *asked) Open(ctx context.Context, key string, offset int64) (backends.Body, error) {
	a.opens.Add(1)
	if layout.Parse(key).Kind == layout.Blob {
		a.manifests.Add(1)
	}
	return a.ReadStore.Open(ctx, key, offset)
}

// Presence needs no request per object, and where listings have MD5s following
// the references needs one for each manifest and no more.
func TestPresenceByListingAlone(t *testing.T) {
	dir, made, _ := damaged(t, "")
	revisions := 0
	for _, r := range made.Repositories {
		revisions += len(r.Revisions)
	}
	for _, compare := range []bool{false, true} {
		a := &asked{ReadStore: memory(t, dir)}
		o := verify.Options{Source: a, SkipReferences: true}
		if compare {
			o.Destination = &asked{ReadStore: memory(t, dir)}
		}
		s, _ := run(t, o)
		if n := a.stats.Load() + a.opens.Load(); n != 0 || s.Differences()+s.SourceDamage() != 0 || len(s.Proof) != 1 || s.Proof[0].Blobs != int64(len(made.Blobs)) {
			t.Errorf("%d requests; %+v", n, s)
		}
	}
	a := &asked{ReadStore: memory(t, dir)}
	s, _ := run(t, verify.Options{Source: a})
	// A layer link that is an alias holds another digest than its name says.
	if a.stats.Load() > 1 || a.manifests.Load() != int64(revisions) || a.opens.Load() > int64(revisions)+2 {
		t.Errorf("%d stats, %d manifests of %d, %d reads", a.stats.Load(), a.manifests.Load(), revisions, a.opens.Load())
	}
	if s.Tags.All != s.Tags.Proved || s.Revisions.Proved != int64(revisions) {
		t.Errorf("%+v", s)
	}
}

// A sound registry is sound at every level, alone, compared with itself, and in
// part; in part the source's other repositories do not matter.
func TestSound(t *testing.T) {
	dir, made, _ := damaged(t, "")
	for _, level := range []verify.Level{verify.Presence, verify.Checksum, verify.Content} {
		for _, globs := range []verify.Globs{nil, {"**"}, {made.Repositories[1].Name}} {
			for _, two := range []bool{false, true} {
				o := verify.Options{Source: open(t, dir), Level: level, Repositories: globs}
				if two {
					o.Destination = memory(t, dir)
				}
				s, n := run(t, o)
				if len(n.findings) != 0 || s.Tags.Proved != s.Tags.All || s.Tags.All == 0 || s.Database {
					t.Errorf("%s %q: %s %+v", level, globs, words(n.findings), s)
				}
				tags := len(made.TagNames())
				if len(globs) == 1 && globs[0] != "**" {
					tags = len(made.Repositories[1].Tags)
				}
				if s.Tags.All != int64(tags) {
					t.Errorf("%d tags of %d", s.Tags.All, tags)
				}
				var blobs int64
				for _, p := range s.Proof {
					blobs += p.Blobs
				}
				if globs == nil && blobs != int64(len(made.Blobs)) {
					t.Errorf("%d blobs of %d: %+v", blobs, len(made.Blobs), s.Proof)
				}
			}
		}
	}
}

// A choice of repositories finds the damage in them, and no other.
func TestChosenDamage(t *testing.T) {
	for _, name := range []string{"blob-corrupt", "blob-missing", "tag-link-empty", "layer-link-wrong"} {
		dir, made, hurt := damaged(t, name)
		repo, _, _ := strings.Cut(hurt.Tags[0], ":")
		for _, r := range made.Repositories {
			s, n := run(t, verify.Options{Source: open(t, dir), Level: verify.Content, Repositories: verify.Globs{r.Name}})
			if (s.SourceDamage() > 0) != (r.Name == repo) {
				t.Errorf("%s in %s, chosen %s: %s", name, repo, r.Name, words(n.findings))
			}
		}
	}
}

// kept is a Journal.
type kept struct {
	mu  sync.Mutex
	all map[string]map[digest.Digest]bool

	reads atomic.Int64 // of a shard
}

type keptSet map[digest.Digest]bool

func (k keptSet) Has(d digest.Digest) bool { return k[d] }

func (k *kept) Proved(shard string) (verify.ProvedSet, error) {
	k.reads.Add(1)
	k.mu.Lock()
	defer k.mu.Unlock()
	set := keptSet{}
	for d := range k.all[shard] {
		set[d] = true
	}
	return set, nil
}

func (k *kept) Prove(shard string, d digest.Digest) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.all[shard] == nil {
		k.all[shard] = map[digest.Digest]bool{}
	}
	k.all[shard][d] = true
}

// stopping is a store after whose 40th reading the run is stopped.
type stopping struct {
	backends.ReadStore
	opens atomic.Int64
	stop  chan struct{}
}

func (s *stopping) Open(ctx context.Context, key string, offset int64) (backends.Body, error) {
	if s.opens.Add(1) == 40 {
		close(s.stop)
	}
	return s.ReadStore.Open(ctx, key, offset)
}

// An audit that was stopped is partial, says what it has seen, and goes on
// without reading again what it had proved; what was wrong is said again.
func TestStopAndGoOn(t *testing.T) {
	dir, made, _ := damaged(t, "blob-corrupt")
	journal := &kept{all: map[string]map[digest.Digest]bool{}}
	late := &stopping{ReadStore: open(t, dir), stop: make(chan struct{})}
	s, err := verify.Run(t.Context(), verify.Quick(verify.Options{Source: late, Level: verify.Content, Workers: 2, Journal: journal, Stop: late.stop}))
	if !errors.Is(err, verify.ErrStopped) || !errors.Is(err, context.Canceled) || s.Complete {
		t.Fatalf("%v, %+v", err, s)
	}
	proved := 0
	for _, set := range journal.all {
		proved += len(set)
	}
	a := &asked{ReadStore: open(t, dir)}
	again, found := run(t, verify.Options{Source: a, Level: verify.Content, SkipReferences: true, Journal: journal})
	if proved == 0 || again.Resumed != int64(proved) || a.opens.Load() > int64(len(made.Blobs)-proved)+1 {
		t.Errorf("%d proved, %d taken over, %d read", proved, again.Resumed, a.opens.Load())
	}
	if got := words(found.findings); got != "source content-corrupt damage" {
		t.Error(got)
	}
}

// A choice of repositories goes on as well, and reads what was proved once.
func TestGoOnWithAChoice(t *testing.T) {
	dir, _, _ := damaged(t, "")
	journal := &kept{all: map[string]map[digest.Digest]bool{}}
	o := verify.Options{Level: verify.Content, Journal: journal, Repositories: verify.Globs{"**"}}
	o.Source = open(t, dir)
	first, _ := run(t, o)
	if n := journal.reads.Load(); n != 1 {
		t.Errorf("it was read %d times", n)
	}
	again, n := run(t, o)
	if len(n.findings) != 0 || again.Resumed == 0 || first.Proof[0].Blobs != again.Resumed {
		t.Errorf("%+v, then %d were taken over; %s", first.Proof, again.Resumed, words(n.findings))
	}
}

// What fails is no finding but an error that names its side; what cannot be
// read is a finding.
func TestFailures(t *testing.T) {
	dir, made, _ := damaged(t, "")
	f := backendtest.NewFaults(t)
	f.On("list", nil, backendtest.FailAfter(7, backends.Denied).Always())
	_, err := verify.Run(t.Context(), verify.Quick(verify.Options{Source: open(t, dir), Destination: f.WrapRead(open(t, dir))}))
	if backends.SideOf(err) != backends.Destination || !errors.Is(err, backends.Denied) {
		t.Errorf("%v", err)
	}
	f = backendtest.NewFaults(t)
	repo := made.Repositories[0]
	config := layout.BlobKey(made.Needs[repo.Tags["1.0"]][0])
	f.On("open", func(key string) bool { return key == config }, backendtest.Fail(backends.Denied).Always())
	s, n := run(t, verify.Options{Source: f.WrapRead(open(t, dir)), Level: verify.Content})
	if got := words(n.findings); got != "source unproved damage" || s.SourceDamage() != 1 {
		t.Error(got)
	}
	f = backendtest.NewFaults(t)
	f.On("open", nil, backendtest.Fail(backends.Denied).Always())
	_, err = verify.Run(t.Context(), verify.Quick(verify.Options{Source: f.WrapRead(open(t, dir)), Level: verify.Content}))
	if backends.SideOf(err) != backends.Source || !errors.Is(err, backends.Denied) {
		t.Errorf("nothing can be read: %v", err)
	}
	_, err = verify.Run(t.Context(), verify.Options{})
	if err == nil {
		t.Error("no store, no error")
	}
}

// keeper is a service that keeps digests of some objects.
type keeper struct {
	backends.ReadStore
	keeps func(key string) digest.Digest
}

func (k keeper) StoredDigest(ctx context.Context, key string) (digest.Digest, int64, error) {
	o, err := k.Stat(ctx, key)
	return k.keeps(key), o.Size, err
}

// A blob is proved by the digest that the service keeps; one of which it keeps
// none is present, and one of which it keeps another is corrupt.
func TestChecksum(t *testing.T) {
	dir, made, _ := damaged(t, "")
	wrong := made.Needs[made.Repositories[0].Tags["1.0"]][0]
	keeps := func(key string) digest.Digest {
		d, _ := layout.DigestOf(key)
		switch {
		case d == wrong:
			return digest.FromString("other")
		case d.Algorithm() != digest.SHA256 || d.Encoded()[63] < '8':
			return ""
		}
		return d
	}
	var want int64
	for d := range made.Blobs {
		if d != wrong && keeps(layout.BlobKey(d)) != "" {
			want++
		}
	}
	s, n := run(t, verify.Options{Source: keeper{open(t, dir), keeps}, Level: verify.Checksum})
	got := map[string]int64{}
	for _, p := range s.Proof {
		got[p.How] = p.Blobs
	}
	if got["checksum"] != want || got["presence"] != int64(len(made.Blobs))-want-1 || s.Of(report.ContentCorrupt) != 1 {
		t.Errorf("%v, want %d; %s", got, want, words(n.findings))
	}
}

// mute is a service that cannot say what digests it keeps.
type mute struct {
	backends.ReadStore
	asked atomic.Int64
}

func (m *mute) StoredDigest(context.Context, string) (digest.Digest, int64, error) {
	m.asked.Add(1)
	return "", -1, &backends.Error{Op: "stat", Class: backends.Unsupported}
}

// That a service cannot say its digests is no failure, and it is not asked of
// every blob.
func TestChecksumThatCannotBeSaid(t *testing.T) {
	dir := tempDir(t)
	made, err := layouttest.WriteDir(dir, layouttest.Shape{Seed: 4, Repositories: 3, Tags: 20, Layers: 3})
	if err != nil {
		t.Fatal(err)
	}
	m := &mute{ReadStore: open(t, dir)}
	s, n := run(t, verify.Options{Source: m, Level: verify.Checksum})
	if len(n.findings) != 0 || len(s.Proof) != 1 || s.Proof[0].How != report.ByPresence || s.Proof[0].Blobs != int64(len(made.Blobs)) {
		t.Errorf("%+v %s", s.Proof, words(n.findings))
	}
	if asked := m.asked.Load(); asked == 0 || asked > 30 || len(made.Blobs) < 100 {
		t.Errorf("asked %d times of %d blobs", asked, len(made.Blobs))
	}
}

// Where the metadata is in a database nothing is called unreferenced, and the
// tags that an API knows are proved.
func TestDatabase(t *testing.T) {
	dir, made, _ := damaged(t, "")
	repo := made.Repositories[0]
	if err := os.RemoveAll(filepath.Join(dir, filepath.FromSlash(layout.Root+"repositories"))); err != nil {
		t.Fatal(err)
	}
	s, n := run(t, verify.Options{Source: open(t, dir)})
	if !s.Database || !s.NothingProved() || words(n.findings) != "source unproved warning" || !strings.Contains(n.findings[0].Advice, "--tags") {
		t.Errorf("%+v %s", s, words(n.findings))
	}
	images := []verify.Image{
		{Repository: repo.Name, Tag: "1.0", Digest: repo.Tags["1.0"]},
		{Repository: repo.Name, Tag: "gone", Digest: digest.FromString("gone")},
	}
	s, n = run(t, verify.Options{Source: open(t, dir), Tags: images})
	if s.NothingProved() || s.Listed != (verify.Proved{All: 2, Proved: 1}) {
		t.Errorf("%+v", s)
	}
	if got := words(n.findings); got != "source missing damage, source tag-incomplete damage" {
		t.Error(got)
	}
	s, n = run(t, verify.Options{Source: open(t, dir), Metadata: verify.MetadataStorage})
	if s.Database || s.Of(report.Unreferenced) != int64(len(made.Blobs)) {
		t.Errorf("%d unreferenced of %d", len(n.findings), len(made.Blobs))
	}
}

// The closure of a tag that only an API knows, in a storage with links.
func TestTagsOfAnAPI(t *testing.T) {
	dir, made, _ := damaged(t, "")
	repo := made.Repositories[0]
	other := made.Repositories[1].Tags["1.0"]
	s, n := run(t, verify.Options{Source: open(t, dir), Tags: []verify.Image{
		{Repository: repo.Name, Tag: "1.0", Digest: repo.Tags["1.0"]},
		{Repository: repo.Name, Tag: "theirs", Digest: other},
	}})
	if s.Listed != (verify.Proved{All: 2, Proved: 1}) || words(n.findings) != "source tag-incomplete damage" || n.findings[0].Tag != "theirs" {
		t.Errorf("%+v %+v", s.Listed, n.findings)
	}
}

// A name of 300 components is a name.
func TestDeepName(t *testing.T) {
	dir, made, _ := damaged(t, "")
	s := memory(t, dir).(backends.Store)
	name := strings.Repeat("a/", 299) + "a"
	top := made.Repositories[0].Tags["1.0"]
	links := map[string]digest.Digest{layout.TagKey(name, "deep"): top}
	for _, d := range made.Closure(top) {
		if made.Needs[d] != nil {
			links[layout.RevisionKey(name, d)] = d
		} else {
			links[layout.LayerKey(name, d)] = made.Stored(d)
		}
	}
	for key, d := range links {
		put(t, s, key, string(d))
	}
	sum, n := run(t, verify.Options{Source: s})
	if len(n.findings) != 0 || sum.Tags.Proved != int64(len(made.TagNames()))+1 {
		t.Errorf("%+v %s", sum, words(n.findings))
	}
}

// A difference of a tag is one of its content, also where all links have one
// size and no listing has an MD5.
func TestTagDiffers(t *testing.T) {
	a, made, _ := damaged(t, "")
	b, _, _ := damaged(t, "")
	repo := made.Repositories[0]
	key := layout.TagKey(repo.Name, "1.0")
	if err := os.WriteFile(filepath.Join(b, filepath.FromSlash(key)), []byte(repo.Tags["latest"]), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]verify.Options{
		"volumes": {Source: open(t, a), Destination: open(t, b)},
		"buckets": {Source: memory(t, a), Destination: memory(t, b)},
		"listed":  {Source: memory(t, a), Destination: memory(t, b), SkipReferences: true},
		"mixed":   {Source: memory(t, a), Destination: open(t, b), SkipReferences: true},
	} {
		s, n := run(t, o)
		if words(n.findings) != "transfer tag-differs warning" || s.Differences() != 1 || n.findings[0].Expected != string(repo.Tags["1.0"]) {
			t.Errorf("%s: %+v", name, n.findings)
		}
	}
}

// A link into nowhere under a blob's name is there and cannot be read, at every level.
func TestDanglingSymlinkForBlob(t *testing.T) {
	dir, made, _ := damaged(t, "")
	path := filepath.Join(dir, filepath.FromSlash(layout.BlobKey(made.Needs[made.Repositories[0].Tags["1.0"]][0])))
	if err := errors.Join(os.Remove(path), os.Symlink("nowhere", path)); err != nil {
		t.Fatal(err)
	}
	for _, level := range []verify.Level{verify.Presence, verify.Content} {
		_, n := run(t, verify.Options{Source: open(t, dir), Level: level})
		if got := words(n.findings); got != "source tag-incomplete damage, source unproved damage" {
			t.Errorf("%s: %s", level, got)
		}
	}
}
