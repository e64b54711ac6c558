package meter_test

import (
	"context"
	"encoding"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest"
	"github.com/regferry/regferry/backends/filesystem"
	"github.com/regferry/regferry/migrate/mirror/meter"
)

func open(t *testing.T, dir string) backends.Store {
	t.Helper()
	s, err := filesystem.Open(dir, filesystem.Options{Fsync: filesystem.FsyncEach})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func content(s string) backends.Content {
	return backends.Content{Size: int64(len(s)), Open: func(_ context.Context, offset int64) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(s[offset:])), nil
	}}
}

// is compares the series of one name.
func is(t *testing.T, m *meter.Meter, name string, want ...string) {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(m)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range families {
		for _, s := range f.GetMetric() {
			if f.GetName() != name {
				continue
			}
			var labels []string
			for _, l := range s.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			got = append(got, fmt.Sprintf("{%s} %v", strings.Join(labels, ","), s.GetCounter().GetValue()+s.GetGauge().GetValue()))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s is\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestCounts(t *testing.T) {
	ctx := t.Context()
	faults := backendtest.NewFaults(t)
	m := meter.New()
	dir := t.TempDir()
	dst := m.Write(faults.Wrap(open(t, dir)), "eu", backends.Destination)
	src := m.Read(faults.WrapRead(open(t, dir)), "eu", backends.Source)
	for _, key := range []string{"docker/a", "docker/b"} {
		if _, err := dst.Put(ctx, key, content("12345")); err != nil {
			t.Fatal(err)
		}
	}
	broken := backends.Content{Size: 5, Open: func(context.Context, int64) (io.ReadCloser, error) {
		return nil, &backends.Error{Side: backends.Source, Op: "open", Key: "docker/c", Class: backends.Denied}
	}}
	if _, err := dst.Put(ctx, "docker/c", broken); !errors.Is(err, backends.Denied) {
		t.Fatal(err)
	}
	faults.On("put", backendtest.Key("docker/d"), backendtest.Fail(&backends.Error{Op: "put", Class: backends.Full}))
	if _, err := dst.Put(ctx, "docker/d", content("1")); !errors.Is(err, backends.Full) {
		t.Fatal(err)
	}
	for _, err := range src.List(ctx, "docker/", "") {
		if err != nil {
			t.Fatal(err)
		}
	}
	for range src.List(ctx, "docker/", "") {
		break
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	for _, err := range src.List(cancelled, "docker/", "") {
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	if _, err := src.Stat(ctx, "docker/none"); !errors.Is(err, backends.NotFound) {
		t.Fatal(err)
	}
	if _, err := src.Open(ctx, "docker/none", 0); !errors.Is(err, backends.NotFound) {
		t.Fatal(err)
	}
	b, err := src.Open(ctx, "docker/a", 2)
	if err != nil {
		t.Fatal(err)
	}
	is(t, m, "regferry_store_requests_in_flight", `{pair="eu",side="destination"} 0`, `{pair="eu",side="source"} 1`)
	if got, err := io.ReadAll(b); err != nil || string(got) != "345" {
		t.Fatalf("%q, %v", got, err)
	}
	for range 2 {
		_ = b.Close() // the second is the store's to judge
	}
	faults.On("open", backendtest.Key("docker/b"), backendtest.FailAfter(1, &backends.Error{Op: "read", Class: backends.Transient}))
	b, err = src.Open(ctx, "docker/b", 0)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := io.ReadAll(b); !errors.Is(err, backends.Transient) {
			t.Fatal(err)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if n, objects := m.Written("eu"); n != 10 || objects != 2 {
		t.Errorf("%d bytes in %d objects were written", n, objects)
	}
	m.Retried("eu", &backends.Error{Side: backends.Source, Op: "read", Class: backends.Transient})

	is(t, m, "regferry_store_requests_total",
		`{class="aborted",op="list",pair="eu",side="source"} 1`,
		`{class="aborted",op="put",pair="eu",side="destination"} 1`,
		`{class="full",op="put",pair="eu",side="destination"} 1`,
		`{class="not found",op="open",pair="eu",side="source"} 1`,
		`{class="not found",op="stat",pair="eu",side="source"} 1`,
		`{class="ok",op="list",pair="eu",side="source"} 2`,
		`{class="ok",op="open",pair="eu",side="source"} 2`,
		`{class="ok",op="put",pair="eu",side="destination"} 2`,
		`{class="transient",op="read",pair="eu",side="source"} 1`,
	)
	is(t, m, "regferry_store_requests_in_flight", `{pair="eu",side="destination"} 0`, `{pair="eu",side="source"} 0`)
	is(t, m, "regferry_store_listed_objects_total", `{pair="eu",side="destination"} 0`, `{pair="eu",side="source"} 3`)
	is(t, m, "regferry_store_written_bytes_total", `{pair="eu",side="destination"} 10`, `{pair="eu",side="source"} 0`)
	is(t, m, "regferry_store_read_bytes_total", `{pair="eu",side="destination"} 0`, `{pair="eu",side="source"} 4`)
	is(t, m, "regferry_retries_total", `{class="transient",pair="eu",side="source"} 1`)
}

// A store that is counted keeps every rule of the contract.
func TestConformance(t *testing.T) {
	if testing.Short() {
		t.Skip("the suite takes seconds")
	}
	m := meter.New()
	path := func(s backends.Store) string { return strings.TrimPrefix(s.Location(), "file://") }
	backendtest.Run(t, backendtest.Harness{
		Open: func(t *testing.T) backends.Store {
			return m.Write(unclosed(t, memoryDir(t)), "p", backends.Destination)
		},
		Reopen: func(t *testing.T, s backends.Store) backends.Store {
			return m.Write(unclosed(t, path(s)), "p", backends.Destination)
		},
		Resumes: true, Deletes: true, Replaces: true,
	})
	is(t, m, "regferry_store_requests_in_flight", `{pair="p",side="destination"} 0`)
}

// memoryDir is a directory that costs no disk, where there is such.
func memoryDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "regferry")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// unclosed is a store that the suite closes.
func unclosed(t *testing.T, dir string) backends.Store {
	s, err := filesystem.Open(dir, filesystem.Options{Fsync: filesystem.FsyncGroup})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A side that is only read has no method that writes, however it is wrapped.
func TestReadsCannotWrite(t *testing.T) {
	s := meter.New().Read(open(t, t.TempDir()), "p", backends.Source)
	if _, ok := s.(backends.Store); ok {
		t.Error("it has Put")
	}
}

// able has every power there is, and more methods than that for powers to come.
type able struct {
	backends.Store
	from backends.ReadStore // what CopyFrom was given
}

var errAble = &backends.Error{Class: backends.Throttled}

func (*able) Sync(context.Context) error                                         { return errAble }
func (*able) Space(context.Context) (backends.Space, error)                      { return backends.Space{Free: 7}, nil }
func (*able) Clean(context.Context, map[string]bool) (int, error)                { return 7, nil }
func (*able) Proof() string                                                      { return "sums" }
func (*able) StoredDigest(context.Context, string) (digest.Digest, int64, error) { return "d", 7, nil }
func (*able) Try(context.Context) (backends.Trial, error)                        { return backends.Trial{}, nil }
func (*able) Cautions(context.Context) []string                                  { return []string{"c"} }
func (*able) Delete(context.Context, string) error                               { return nil }
func (*able) InPlace(context.Context) error                                      { return nil }
func (*able) Get(context.Context, string) ([]byte, string, error)                { return []byte("lease"), "1", nil }
func (*able) PutIf(context.Context, string, []byte, string) (string, error)      { return "2", nil }
func (a *able) CopiesFrom(src backends.ReadStore) bool                           { a.from = src; return true }
func (a *able) CopyFrom(_ context.Context, src backends.ReadStore, _ backends.Object, _ digest.Digest) error {
	a.from = src
	return nil
}

// A power that package backends gets is lost here, or not counted, unless
// powers.go names it.
func TestEveryPowerIsKeptAndCounted(t *testing.T) {
	inner := &able{Store: open(t, t.TempDir())}
	m := meter.New()
	had := reflect.ValueOf(backends.PowersOf(inner))
	has := reflect.ValueOf(backends.PowersOf(m.Write(inner, "p", backends.Destination)))
	for i := range had.NumField() {
		name := had.Type().Field(i).Name
		switch {
		case had.Field(i).IsNil():
			t.Errorf("the store of this test has not the power %s: give it its methods", name)
		case has.Field(i).IsNil():
			t.Errorf("the power %s is lost", name)
		case name != "Prover" && has.Field(i).Elem().Type() == had.Field(i).Elem().Type():
			t.Errorf("the power %s is not counted: add it to powers.go", name)
		}
	}
	bare := m.Read(struct{ backends.ReadStore }{inner}, "p", backends.Source)
	if p := reflect.ValueOf(backends.PowersOf(bare)); !p.IsZero() {
		t.Errorf("a store without powers has %v", backends.PowersOf(bare))
	}
}

func TestPowersAreCounted(t *testing.T) {
	ctx := t.Context()
	inner := &able{Store: open(t, t.TempDir())}
	m := meter.New()
	p := backends.PowersOf(m.Write(inner, "p", backends.Destination))
	if err := p.Syncer.Sync(ctx); err != errAble {
		t.Error(err)
	}
	if s, err := p.Spacer.Space(ctx); err != nil || s.Free != 7 {
		t.Error(s, err)
	}
	if n, err := p.Cleaner.Clean(ctx, nil); err != nil || n != 7 {
		t.Error(n, err)
	}
	if d, n, err := p.ChecksumReporter.StoredDigest(ctx, "k"); err != nil || d != "d" || n != 7 {
		t.Error(d, n, err)
	}
	if _, err := p.Trier.Try(ctx); err != nil {
		t.Error(err)
	}
	if c := p.Cautioner.Cautions(ctx); len(c) != 1 {
		t.Error(c)
	}
	if err := p.Placer.InPlace(ctx); err != nil {
		t.Error(err)
	}
	if err := p.Deleter.Delete(ctx, "k"); err != nil {
		t.Error(err)
	}
	if c, v, err := p.ConditionalPutter.Get(ctx, "k"); err != nil || string(c) != "lease" || v != "1" {
		t.Error(c, v, err)
	}
	if v, err := p.ConditionalPutter.PutIf(ctx, "k", []byte("x"), "1"); v != "2" || err != nil {
		t.Error(v, err)
	}
	if p.Prover.Proof() != "sums" {
		t.Error(p.Prover.Proof())
	}

	// A driver is shown its own type, however often it was wrapped.
	raw := open(t, t.TempDir())
	src := m.Read(m.Write(raw, "q", backends.Source), "p", backends.Source)
	if !p.ServerSideCopier.CopiesFrom(src) || inner.from != backends.ReadStore(raw) {
		t.Errorf("CopiesFrom was given a %T", inner.from)
	}
	inner.from = nil
	if err := p.ServerSideCopier.CopyFrom(ctx, src, backends.Object{Size: 42}, ""); err != nil || inner.from != backends.ReadStore(raw) {
		t.Errorf("CopyFrom was given a %T, %v", inner.from, err)
	}
	is(t, m, "regferry_store_requests_total",
		`{class="ok",op="cautions",pair="p",side="destination"} 1`,
		`{class="ok",op="clean",pair="p",side="destination"} 1`,
		`{class="ok",op="copy",pair="p",side="destination"} 1`,
		`{class="ok",op="delete",pair="p",side="destination"} 1`,
		`{class="ok",op="digest",pair="p",side="destination"} 1`,
		`{class="ok",op="get",pair="p",side="destination"} 1`,
		`{class="ok",op="place",pair="p",side="destination"} 1`,
		`{class="ok",op="put if",pair="p",side="destination"} 1`,
		`{class="ok",op="space",pair="p",side="destination"} 1`,
		`{class="ok",op="try",pair="p",side="destination"} 1`,
		`{class="throttled",op="sync",pair="p",side="destination"} 1`,
	)
}

// hashed is content that can give the state of its hash.
type hashed struct{ io.ReadCloser }

func (hashed) MarshalBinary() ([]byte, error) { return []byte("state"), nil }

// seen is a store that keeps what Put read.
type seen struct {
	backends.Store
	marshals bool
}

func (s *seen) Put(ctx context.Context, _ string, c backends.Content) (backends.Object, error) {
	r, err := c.Open(ctx, 0)
	if err != nil {
		return backends.Object{}, err
	}
	_, s.marshals = r.(encoding.BinaryMarshaler)
	return backends.Object{}, r.Close()
}

func TestTheStateOfAHashPasses(t *testing.T) {
	for _, r := range []io.ReadCloser{hashed{io.NopCloser(strings.NewReader(""))}, io.NopCloser(strings.NewReader(""))} {
		_, want := r.(encoding.BinaryMarshaler)
		s := &seen{Store: open(t, t.TempDir())}
		c := backends.Content{Open: func(context.Context, int64) (io.ReadCloser, error) { return r, nil }}
		if _, err := meter.New().Write(s, "p", backends.Destination).Put(t.Context(), "k", c); err != nil || s.marshals != want {
			t.Errorf("%v, %v; want %v", s.marshals, err, want)
		}
	}
}
