package mirror

import (
	"context"
	"crypto/md5"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/migrate"
	"github.com/regferry/regferry/verify/layout"
)

// Two writes of a tag that failed after they were noted do not make what it
// holds another's.
func TestTwoFailedWrites(t *testing.T) {
	p := newPair(t)
	p.must()
	repo, tag, old := p.some()
	var revs []string
	for k := range p.keys(p.src) {
		if x := layout.Parse(k); x.Kind == layout.RevisionLink && x.Repository == repo && string(x.Digest) != old {
			revs = append(revs, string(x.Digest))
		}
	}
	p.session(func(ctx context.Context, m *Mirror) {
		for i, d := range revs {
			// the engine asks, and then its Put fails
			err := m.mayWriteTag(ctx, repo, tag, "", digest.Digest(d))
			t.Log(i, err)
			if err != nil {
				t.Error(err)
			}
		}
	})
}

// A choice of repositories has complete rounds, too.
func TestRepository(t *testing.T) {
	p := newPair(t)
	repo, _, _ := p.some()
	if _, err := p.once(func(o *Options) { o.Migrate.Repositories = []string{repo} }); err != nil {
		t.Error(err)
	}
}

// What a power cut leaves at the end of the tags is forgotten.
func TestZeroTail(t *testing.T) {
	p := newPair(t)
	p.must()
	f, err := os.OpenFile(filepath.Join(p.dir, "tags"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(make([]byte, 3*tagRecordSize)); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if _, err := p.once(); err != nil {
		t.Error(err)
	}
}

// What else is copied may change.
func TestAlso(t *testing.T) {
	p := newPair(t)
	p.must()
	_, err := p.once(func(o *Options) { o.Migrate.Also = []string{"docker/trust/"} })
	t.Logf("%v; CheckpointError %v StateError %v", err, errors.As(err, new(*migrate.CheckpointError)), errors.As(err, new(*StateError)))
	if err != nil {
		t.Error("backs off for ever")
	}
}

// A checkpoint that is damaged is begun anew.
func TestCheckpointDamaged(t *testing.T) {
	p := newPair(t)
	p.must()
	os.WriteFile(filepath.Join(p.dir, "checkpoint"), []byte(strings.Repeat("x", 40000)), 0o600)
	_, err := p.once()
	t.Logf("%v; CheckpointError %v StateError %v", err, errors.As(err, new(*migrate.CheckpointError)), errors.As(err, new(*StateError)))
	if err != nil {
		t.Error("backs off for ever")
	}
}

type unsynced struct {
	backends.Store
	fail bool
}

func (u *unsynced) Powers() backends.Powers {
	p := backends.PowersOf(u.Store)
	p.Syncer = u
	return p
}

func (u *unsynced) Sync(ctx context.Context) error {
	if u.fail {
		return &backends.Error{Op: "sync", Class: backends.Transient, Err: errors.New("input/output error")}
	}
	return backends.PowersOf(u.Store).Syncer.Sync(ctx)
}

// A destination whose Sync fails for a while is backed off from.
func TestSyncFails(t *testing.T) {
	p := newPair(t)
	open := p.o.Open
	p.o.Open = func(ctx context.Context) (backends.ReadStore, backends.Store, error) {
		s, d, err := open(ctx)
		return s, &unsynced{d, true}, err
	}
	p.o.Once = false
	stop := make(chan struct{})
	p.o.Stop = stop
	m, err := New(p.o)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	ended := make(chan error, 1)
	go func() { ended <- m.Run(t.Context()) }()
	until(t, func() bool { return m.Status().State == BackOff })
	close(stop)
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// An approval is for once, also where something of the plan stays for ever.
func TestApprovedForEver(t *testing.T) {
	p := newPair(t)
	p.deleting()
	p.rounds(1)
	p.o.MaxDelete, _ = ParseLimit("0")
	lost := p.collect()
	p.rounds(3)
	plan, found, err := WaitingPlan(p.dir)
	if err != nil || !found {
		t.Fatal(err, found)
	}
	// one blob is still referenced at the destination, by somebody's link
	var blob digest.Digest
	for _, k := range lost {
		if x := layout.Parse(k); x.Kind == layout.Blob {
			blob = x.Digest
		}
	}
	p.write(p.dst, layout.LayerKey("stays/here", blob), string(blob))
	if err := Approve(p.dir, plan.ID); err != nil {
		t.Fatal(err)
	}
	s := p.rounds(3)
	t.Log(s.Deleted, len(lost))
	if p.exists(p.dir, approvedFile) {
		t.Error("the plan is still let through")
	}
}

// A source that was cleaned up thoroughly is known again after an approval.
func TestApproveChanged(t *testing.T) {
	p := newPair(t)
	p.deleting()
	p.rounds(1)
	for i := 0; i < 11; i++ {
		if repo, _, _ := p.some(); repo == "" {
			break
		}
		func() {
			defer func() { recover() }()
			p.collect()
		}()
	}
	p.rounds(3)
	plan, found, err := WaitingPlan(p.dir)
	if err != nil || !found {
		t.Fatal(err, found)
	}
	t.Log(plan.Reason, plan.Objects)
	if err := Approve(p.dir, plan.ID); err != nil {
		t.Fatal(err)
	}
	if s := p.rounds(3); s.Deleted == 0 || s.Refused != nil {
		t.Errorf("%d deleted, refused %+v", s.Deleted, s.Refused)
	}
	if p.exists(p.dir, planFile) {
		t.Error("still refused after it was let through")
	}
}

var _ = md5.Size

// the marker comes while a second mirror stands by.
func TestFinishedWhileStandingBy(t *testing.T) {
	p := newPair(t)
	p.must()
	p.o.Lease = 2 * time.Second
	second := p.o
	second.State = filepath.Join(tempDir(t), "second")
	m2, err := New(second)
	if err != nil {
		t.Fatal(err)
	}
	defer m2.Close()
	ended := make(chan error, 1)
	p.session(func(ctx context.Context, m *Mirror) {
		go func() { ended <- m2.Run(t.Context()) }()
		until(t, func() bool { return m2.Status().State == Standby })
		if err := Mark(ctx, m.dst, "x", "y"); err != nil {
			t.Error(err)
		}
	})
	if err := <-ended; !errors.Is(err, ErrFinished) {
		t.Errorf("it wrote a finished destination: %v, %+v", err, m2.Status().Rounds[0])
	}
}

type flaky struct {
	backends.Store
	left *int
}

func (f flaky) Powers() backends.Powers {
	p := backends.PowersOf(f.Store)
	p.ConditionalPutter = flakyPut{p.ConditionalPutter, f.left}
	return p
}

type flakyPut struct {
	backends.ConditionalPutter
	left *int
}

func (f flakyPut) PutIf(ctx context.Context, key string, c []byte, v string) (string, error) {
	if *f.left--; *f.left == 0 {
		return "", &backends.Error{Op: "replace", Key: key, Class: backends.Transient, Err: errors.New("503")}
	}
	return f.ConditionalPutter.PutIf(ctx, key, c, v)
}

// one renewal fails.
func TestOneRenewalFails(t *testing.T) {
	p := newPair(t)
	p.o.Lease = 2 * time.Second
	open, left := p.o.Open, 2
	p.o.Open = func(ctx context.Context) (backends.ReadStore, backends.Store, error) {
		s, d, err := open(ctx)
		return s, flaky{d, &left}, err
	}
	m, err := New(p.o)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	err = m.session(t.Context(), func(ctx context.Context) error { return sleep(ctx, 3*time.Second) })
	if err != nil {
		t.Error(err)
	}
}

// What came and went between two full rounds goes, too.
func TestBriefly(t *testing.T) {
	p := newPair(t)
	p.deleting()
	repo, tag, _ := p.some()
	other := p.otherRevision(repo, tag)
	key := layout.TagKey(repo, "briefly")
	p.session(func(ctx context.Context, m *Mirror) {
		if err := p.full(ctx, m); err != nil {
			t.Fatal(err)
		}
		p.write(p.src, key, other)
		if err := m.round(ctx, false); err != nil {
			t.Fatal(err)
		}
		if !p.exists(p.dst, key) {
			t.Error("it did not come")
		}
		p.remove(p.src, filepath.Dir(filepath.Dir(key)))
		for range 3 {
			if err := p.full(ctx, m); err != nil {
				t.Fatal(err)
			}
		}
	})
	p.equal()
}
