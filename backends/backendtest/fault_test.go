package backendtest

import (
	"bytes"
	"context"
	"encoding"
	"errors"
	"io"
	"io/fs"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
)

var errTest = errors.New("test")

// filled is a model with some objects of 100 bytes.
func filled(t *testing.T, keys ...string) *model {
	m := newModel(t, "")
	for i, k := range keys {
		if _, err := m.Put(t.Context(), k, contentOf(pattern{uint64(i), 100})); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	return m
}

func contentOf(p pattern) backends.Content {
	return backends.Content{Size: p.size, Open: func(_ context.Context, off int64) (io.ReadCloser, error) {
		return io.NopCloser(p.reader(off)), nil
	}}
}

func get(ctx context.Context, s backends.ReadStore, key string, off int64) ([]byte, error) {
	b, err := s.Open(ctx, key, off)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(b)
	return raw, errors.Join(err, b.Close())
}

func TestFaultsOfABody(t *testing.T) {
	want := pattern{0, 100}.bytes()
	flipped := slices.Clone(want)
	flipped[50] ^= 1
	for _, c := range []struct {
		name  string
		fault Fault
		off   int64
		want  []byte
		err   error
	}{
		{"fail", Fail(errTest), 0, nil, errTest},
		{"a class", Fail(backends.Throttled), 0, nil, backends.Throttled},
		{"fail at once", FailAfter(0, errTest), 0, []byte{}, errTest},
		{"fail in the middle", FailAfter(40, errTest), 0, want[:40], errTest},
		{"fail in the middle of the rest", FailAfter(40, errTest), 10, want[10:50], errTest},
		{"fail at the end", FailAfter(100, errTest), 0, want, errTest},
		{"cut", Truncate(40), 0, want[:40], nil},
		{"cut to nothing", Truncate(0), 0, []byte{}, nil},
		{"more", Extra(3), 0, append(slices.Clone(want), 0, 0, 0), nil},
		{"flip", Flip(50), 0, flipped, nil},
		{"flip in the rest", Flip(50), 30, flipped[30:], nil},
		{"late", Delay(time.Millisecond), 0, want, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := NewFaults(t)
			s := f.WrapRead(filled(t, "k", "other"))
			f.On("open", Key("k"), c.fault)
			if _, err := get(t.Context(), s, "other", 0); err != nil {
				t.Errorf("a key that does not match: %v", err)
			}
			got, err := get(t.Context(), s, "k", c.off)
			if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
				t.Errorf("error %v, want %v", err, c.err)
			}
			var e *backends.Error
			if err != nil && (!errors.As(err, &e) || e.Key != "k") {
				t.Errorf("%v is no error of a store", err)
			}
			if !bytes.Equal(got, c.want) {
				t.Errorf("%d bytes % x\nwant %d % x", len(got), got, len(c.want), c.want)
			}
			if got, err := get(t.Context(), s, "k", c.off); err != nil || !bytes.Equal(got, want[c.off:]) {
				t.Errorf("the second time: %d bytes, %v", len(got), err)
			}
		})
	}
}

func TestFaultsOfAPut(t *testing.T) {
	for _, c := range []struct {
		name   string
		fault  Fault
		err    bool
		stored bool
	}{
		{"fail", Fail(errTest), true, false},
		{"lost answer", Lost(errTest), true, true},
		{"the content fails", FailAfter(5, errTest), true, false},
		{"the content is cut", Truncate(99), true, false},
		{"the content is long", Extra(1), true, false},
		{"a bit flips on the way", Flip(7), false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, m := NewFaults(t), filled(t)
			s := f.Wrap(m)
			f.On("put", nil, c.fault)
			_, err := s.Put(t.Context(), "k", contentOf(pattern{1, 100}))
			if (err != nil) != c.err {
				t.Errorf("Put: %v", err)
			}
			if err := backends.PowersOf(s).Syncer.Sync(t.Context()); err != nil {
				t.Error(err)
			}
			got, err := get(t.Context(), m, "k", 0)
			if (err == nil) != c.stored {
				t.Errorf("stored: %v", err)
			}
			if same := bytes.Equal(got, pattern{1, 100}.bytes()); same != (c.name == "lost answer") {
				t.Errorf("stored as it was: %v", same)
			}
		})
	}
}

func TestFaultsOfAListing(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault Fault
		want  []string
		err   error
	}{
		{"fail", Fail(errTest), nil, errTest},
		{"fail after 0", FailAfter(0, errTest), nil, errTest},
		{"fail after 2", FailAfter(2, errTest), []string{"a", "b"}, errTest},
		{"fail at the end", FailAfter(4, errTest), []string{"a", "b", "c", "d"}, errTest},
		{"swap", Swap(1), []string{"a", "c", "b", "d"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := NewFaults(t)
			s := f.WrapRead(filled(t, "a", "b", "c", "d"))
			f.On("list", nil, c.fault)
			var got []string
			var failed error
			for o, err := range s.List(t.Context(), "", "") {
				if failed = err; err == nil {
					got = append(got, o.Key)
				}
			}
			if !slices.Equal(got, c.want) || !errors.Is(failed, c.err) {
				t.Errorf("%q, %v; want %q, %v", got, failed, c.want, c.err)
			}
			if all, err := collect(t.Context(), s, "", ""); len(all) != 4 || err != nil {
				t.Errorf("the second time: %d, %v", len(all), err)
			}
		})
	}
}

func TestVanish(t *testing.T) {
	f := NewFaults(t)
	s := f.Wrap(filled(t, "a", "b", "c"))
	f.On("list", Key("b"), Vanish())
	if _, err := s.Stat(t.Context(), "b"); err != nil {
		t.Errorf("before it is listed: %v", err)
	}
	if all, err := collect(t.Context(), s, "", ""); len(all) != 3 || err != nil {
		t.Errorf("listed %d, %v", len(all), err)
	}
	if _, err := s.Stat(t.Context(), "b"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Stat: %v", err)
	}
	if _, err := get(t.Context(), s, "b", 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open: %v", err)
	}
	if all, _ := collect(t.Context(), s, "", ""); len(all) != 2 {
		t.Errorf("listed again: %d", len(all))
	}
	if _, err := s.Put(t.Context(), "b", contentOf(pattern{1, 1})); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stat(t.Context(), "b"); err != nil {
		t.Errorf("put again: %v", err)
	}
}

func TestBlock(t *testing.T) {
	for _, c := range []struct {
		op    string
		fault Fault
	}{{"stat", Block()}, {"open", Block()}, {"open", BlockAfter(10)}, {"put", BlockAfter(10)}, {"sync", Block()}, {"list", BlockAfter(1)}, {"list", Block()}, {"open", Delay(time.Hour)}} {
		f := NewFaults(t)
		s := f.Wrap(filled(t, "k"))
		f.On(c.op, nil, c.fault)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		var err error
		switch c.op {
		case "stat":
			_, err = s.Stat(ctx, "k")
		case "open":
			_, err = get(ctx, s, "k", 0)
		case "put":
			_, err = s.Put(ctx, "k", contentOf(pattern{1, 100}))
		case "sync":
			err = backends.PowersOf(s).Syncer.Sync(ctx)
		case "list":
			_, err = collect(ctx, s, "", "")
		}
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s of %s: %v", c.fault.kind, c.op, err)
		}
	}
}

func TestTimes(t *testing.T) {
	f := NewFaults(t)
	s := f.WrapRead(filled(t, "k"))
	f.On("stat", nil, Fail(errTest).Times(2))
	f.On("stat", nil, Fail(backends.Denied))
	f.On("open", nil, Fail(errTest).Always())
	for i, want := range []error{errTest, errTest, backends.Denied, nil} {
		if _, err := s.Stat(t.Context(), "k"); !errors.Is(err, want) {
			t.Errorf("call %d: %v, want %v", i, err, want)
		}
		if _, err := s.Open(t.Context(), "k", 0); !errors.Is(err, errTest) {
			t.Errorf("call %d: %v", i, err)
		}
	}
}

// TestNeverFired: a fault that was armed and did not fire fails the test.
func TestNeverFired(t *testing.T) {
	for _, c := range []struct {
		name  string
		op    string
		fault Fault
		fires bool
	}{
		{"another operation", "put", Fail(errTest), false},
		{"behind the end", "open", FailAfter(101, errTest), false},
		{"nothing to cut", "open", Truncate(100), false},
		{"no such byte", "open", Flip(100), false},
		{"no such object", "list", FailAfter(2, errTest), false},
		{"no neighbour", "list", Swap(0), false},
		{"vanished unseen", "list", Vanish(), false},
		{"it fired", "open", Flip(99), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			lines := failed(t, func(tb testing.TB) {
				f := NewFaults(tb)
				s := f.WrapRead(filled(t, "k"))
				f.On(c.op, nil, c.fault)
				_, _ = get(t.Context(), s, "k", 0)
				if all, err := collect(t.Context(), s, "", ""); len(all) != 1 || err != nil {
					t.Errorf("listed %d, %v", len(all), err)
				}
			})
			if (lines == nil) != c.fires {
				t.Errorf("complaints: %q", lines)
			}
		})
	}
	if failed(t, func(tb testing.TB) { NewFaults(tb).On("stat", nil, Flip(0)) }) == nil {
		t.Error("a fault that can never fire is armed")
	}
}

// able has all powers.
type able struct{ backends.Store }

func (able) Sync(context.Context) error                          { return nil }
func (able) Space(context.Context) (backends.Space, error)       { return backends.Space{}, nil }
func (able) Clean(context.Context, map[string]bool) (int, error) { return 0, nil }
func (able) Proof() string                                       { return "all" }
func (able) CopiesFrom(backends.ReadStore) bool                  { return true }
func (able) CopyFrom(context.Context, backends.ReadStore, backends.Object, digest.Digest) error {
	return nil
}
func (able) Try(context.Context) (backends.Trial, error)                        { return backends.Trial{}, nil }
func (able) Cautions(context.Context) []string                                  { return nil }
func (able) InPlace(context.Context) error                                      { return nil }
func (able) Delete(context.Context, string) error                               { return nil }
func (able) Get(context.Context, string) ([]byte, string, error)                { return nil, "", nil }
func (able) PutIf(context.Context, string, []byte, string) (string, error)      { return "", nil }
func (able) StoredDigest(context.Context, string) (digest.Digest, int64, error) { return "", -1, nil }

// TestPowersAreKept tries all combinations of powers.
func TestPowersAreKept(t *testing.T) {
	n := reflect.TypeFor[backends.Powers]().NumField()
	for bits := range 1 << n {
		var p backends.Powers
		for i := range n {
			if bits&(1<<i) != 0 {
				reflect.ValueOf(&p).Elem().Field(i).Set(reflect.ValueOf(able{}))
			}
		}
		f, c := NewFaults(t), &Counter{}
		inner := powered{able{newModel(t, "")}, p}
		for name, got := range map[string]backends.ReadStore{
			"itself": inner, "faults": f.Wrap(inner), "faults, read": f.WrapRead(inner),
			"counter": c.Wrap(inner), "counter, read": c.WrapRead(inner), "both": c.Wrap(f.Wrap(inner)),
		} {
			if had, has := p.String(), backends.PowersOf(got).String(); had != has {
				t.Errorf("%s: a store with %q has %q", name, had, has)
			}
			if _, ok := got.(backends.Store); ok && (name == "faults, read" || name == "counter, read") {
				t.Errorf("%s: a store that is only read has Put", name)
			}
		}
	}
}

func TestPowersCanFail(t *testing.T) {
	f := NewFaults(t)
	p := backends.PowersOf(f.Wrap(newModel(t, "")))
	f.On("sync", nil, Fail(errTest))
	f.On("sync", nil, Lost(errTest))
	f.On("space", nil, Fail(errTest))
	f.On("clean", nil, Fail(errTest))
	f.On("clean", nil, Lost(errTest))
	for i := range 2 {
		if err := p.Syncer.Sync(t.Context()); !errors.Is(err, errTest) {
			t.Errorf("Sync %d: %v", i, err)
		}
		if _, err := p.Cleaner.Clean(t.Context(), nil); !errors.Is(err, errTest) {
			t.Errorf("Clean %d: %v", i, err)
		}
	}
	if _, err := p.Spacer.Space(t.Context()); !errors.Is(err, errTest) {
		t.Errorf("Space: %v", err)
	}
	f.On("delete", Key("k"), Fail(backends.Denied))
	f.On("delete", Key("k"), Lost(errTest))
	f.On("get", nil, Fail(errTest))
	f.On("replace", nil, Fail(backends.Changed))
	f.On("replace", nil, Lost(errTest))
	for i, want := range []error{backends.Denied, errTest, nil} {
		if err := p.Deleter.Delete(t.Context(), "k"); !errors.Is(err, want) {
			t.Errorf("Delete %d: %v, want %v", i, err, want)
		}
	}
	for i, want := range []error{backends.Changed, errTest, backends.Changed} { // the second one has written
		if _, err := p.ConditionalPutter.PutIf(t.Context(), "k", []byte("x"), ""); !errors.Is(err, want) {
			t.Errorf("PutIf %d: %v, want %v", i, err, want)
		}
	}
	if _, _, err := p.ConditionalPutter.Get(t.Context(), "k"); !errors.Is(err, errTest) {
		t.Errorf("Get: %v", err)
	}
	if got, _, err := p.ConditionalPutter.Get(t.Context(), "k"); err != nil || string(got) != "x" {
		t.Errorf("Get: %q, %v", got, err)
	}
}

func TestCounter(t *testing.T) {
	var c Counter
	s := c.Wrap(filled(t, "a", "b", "c"))
	for range s.List(t.Context(), "", "a") {
	}
	_, _ = s.Stat(t.Context(), "a")
	_, _ = s.Stat(t.Context(), "absent")
	_, _ = get(t.Context(), s, "a", 60)
	_, _ = s.Put(t.Context(), "d", contentOf(pattern{1, 70}))
	p := backends.PowersOf(s)
	_ = p.Syncer.Sync(t.Context())
	_ = p.Deleter.Delete(t.Context(), "a")
	_, _, _ = p.ConditionalPutter.Get(t.Context(), "a")
	_, _ = p.ConditionalPutter.PutIf(t.Context(), "a", nil, "stale")
	got := []int64{c.Deletes.Load(), c.Gets.Load(), c.Replaces.Load(), c.Lists.Load(), c.Listed.Load(), c.Stats.Load(), c.Opens.Load(), c.Read.Load(), c.Puts.Load(), c.Written.Load(), c.Syncs.Load()}
	if want := []int64{1, 1, 1, 1, 2, 2, 1, 40, 1, 70, 1}; !slices.Equal(got, want) {
		t.Errorf("counted %d, want %d", got, want)
	}
}

// TestWrappersKeepTheRules: a wrapped store without faults passes the suite,
// resuming with the source's hash included.
func TestWrappersKeepTheRules(t *testing.T) {
	h := modelHarness("")
	open := h.Open
	inner := map[backends.Store]*model{}
	h.Open = func(t *testing.T) backends.Store {
		m := open(t)
		s := new(Counter).Wrap(NewFaults(t).Wrap(m))
		inner[s] = m.(*model)
		return s
	}
	h.Reopen = func(_ *testing.T, s backends.Store) backends.Store { return inner[s].client() }
	h.Leftovers = func(t *testing.T, s backends.Store) []string { return inner[s].leftovers(t) }
	h.Truncate, h.Empty = nil, nil
	h.Objects = 200
	Run(t, h)
}

func TestMarshalingIsKept(t *testing.T) {
	plain := io.NopCloser(bytes.NewReader(nil))
	hashed := &hashedReader{}
	if _, ok := marshaling(plain, plain).(encoding.BinaryMarshaler); ok {
		t.Error("a hash was invented")
	}
	if _, ok := marshaling(plain, hashed).(encoding.BinaryMarshaler); !ok {
		t.Error("the hash was lost")
	}
}
