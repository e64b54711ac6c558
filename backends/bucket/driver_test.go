package bucket_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/bucket"
)

// scripted is a driver that misbehaves as told. Only memory and directories
// run in plain tests, and neither fails as a service does.
type scripted struct {
	driver.Bucket // nil: what is not scripted must not be called

	pages   [][]string // keys; the error comes after the last
	listed  int
	listErr error

	err  error
	code gcerrors.ErrorCode

	size    int64 // promised
	body    string
	readErr error

	writer driverWriter
}

func (d *scripted) Close() error                       { return nil }
func (d *scripted) ErrorCode(error) gcerrors.ErrorCode { return d.code }
func (d *scripted) ErrorAs(error, any) bool            { return false }
func (d *scripted) Attributes(context.Context, string) (*driver.Attributes, error) {
	return &driver.Attributes{Size: d.size, MD5: []byte{}}, d.err
}

func (d *scripted) ListPaged(_ context.Context, o *driver.ListOptions) (*driver.ListPage, error) {
	n := len(o.PageToken)
	d.listed++
	if n == len(d.pages) {
		return nil, d.listErr
	}
	p := &driver.ListPage{}
	for _, k := range d.pages[n] {
		p.Objects = append(p.Objects, &driver.ListObject{Key: k, Size: 1, MD5: []byte{}})
	}
	if n+1 < len(d.pages) || d.listErr != nil {
		p.NextPageToken = make([]byte, n+1)
	}
	return p, nil
}

func (d *scripted) NewRangeReader(_ context.Context, _ string, off, _ int64, _ *driver.ReaderOptions) (driver.Reader, error) {
	return &driverReader{Reader: strings.NewReader(d.body[off:]), d: d}, d.err
}

type driverReader struct {
	io.Reader
	d *scripted
}

func (r *driverReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err == io.EOF && r.d.readErr != nil {
		err = r.d.readErr
	}
	return n, err
}
func (r *driverReader) Close() error { return nil }
func (r *driverReader) As(any) bool  { return false }
func (r *driverReader) Attributes() *driver.ReaderAttributes {
	return &driver.ReaderAttributes{Size: r.d.size, ModTime: time.Unix(1, 0)}
}

func (d *scripted) NewTypedWriter(ctx context.Context, _, contentType string, o *driver.WriterOptions) (driver.Writer, error) {
	d.writer.ctx, d.writer.contentType, d.writer.part = ctx, contentType, o.BufferSize
	return &d.writer, d.err
}

type driverWriter struct {
	ctx         context.Context
	contentType string
	part        int
	took        int64
	writeErr    error
	closeErr    error
	abandoned   bool
	closed      int
}

func (w *driverWriter) Write(p []byte) (int, error) {
	w.took += int64(len(p))
	return len(p), w.writeErr
}

func (w *driverWriter) Close() error {
	w.closed++
	w.abandoned = w.ctx.Err() != nil
	return w.closeErr
}

func open(d *scripted) *bucket.Store { return bucket.New(blob.NewBucket(d), "scripted") }

func content(s string) backends.Content {
	return backends.Content{Size: int64(len(s)), Open: func(context.Context, int64) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(s)), nil
	}}
}

func TestClasses(t *testing.T) {
	cause := errors.New("cause")
	for code, want := range map[gcerrors.ErrorCode]backends.Class{
		gcerrors.NotFound: backends.NotFound, gcerrors.PermissionDenied: backends.Denied, gcerrors.ResourceExhausted: backends.Throttled,
		gcerrors.Unimplemented: backends.Unsupported, gcerrors.DeadlineExceeded: backends.Transient, gcerrors.Unknown: backends.Unknown,
		gcerrors.Internal: backends.Unknown, gcerrors.FailedPrecondition: backends.Unknown,
	} {
		s := open(&scripted{err: cause, code: code, listErr: cause})
		_, stat := s.Stat(t.Context(), "k")
		_, read := s.Open(t.Context(), "k", 0)
		_, at := s.Open(t.Context(), "k", 7)
		_, put := s.Put(t.Context(), "k", content("x"))
		var list error
		for _, list = range s.List(t.Context(), "", "") {
		}
		for op, err := range map[string]error{"stat": stat, "open": read, "open at": at, "put": put, "list": list} {
			if backends.ClassOf(err) != want || !errors.Is(err, cause) {
				t.Errorf("%s: code %v is class %v, want %v: %v", op, code, backends.ClassOf(err), want, err)
			}
			var e *backends.Error
			if !errors.As(err, &e) || e.Op != strings.Fields(op)[0] || e.Side != "" {
				t.Errorf("%s: %+v", op, e)
			}
		}
	}
	for _, own := range []error{context.Canceled, fmt.Errorf("request: %w", context.Canceled)} {
		_, err := open(&scripted{err: own}).Stat(t.Context(), "k")
		if !errors.Is(err, context.Canceled) || backends.ClassOf(err) != backends.Unknown || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("cancelled: %v, class %v", err, backends.ClassOf(err))
		}
	}
}

func TestListing(t *testing.T) {
	broken := errors.New("the line broke")
	for _, c := range []struct {
		name  string
		d     scripted
		after string
		want  []string
		err   error
	}{
		{"pages", scripted{pages: [][]string{{"a", "b"}, {"c"}, {}, {"d"}}}, "", []string{"a", "b", "c", "d"}, nil},
		{"after", scripted{pages: [][]string{{"a", "b"}, {"c"}}}, "b", []string{"c"}, nil},
		{"after is gone", scripted{pages: [][]string{{"a", "b"}, {"c"}}}, "aa", []string{"b", "c"}, nil},
		{"fails at once", scripted{listErr: broken}, "", nil, broken},
		// The keys of the first page are lost with it: gocloud fills a page of
		// ours with several of the driver's.
		{"fails later", scripted{pages: [][]string{{"a", "b"}, {"c"}}, listErr: broken}, "", nil, broken},
		{"a page out of order", scripted{pages: [][]string{{"b", "a"}}}, "", []string{"b"}, backends.Unsupported},
		{"pages out of order", scripted{pages: [][]string{{"b"}, {"a"}}}, "", []string{"b"}, backends.Unsupported},
		{"twice, over pages", scripted{pages: [][]string{{"a"}, {"a"}}}, "", []string{"a"}, backends.Unsupported},
		{"out of order before after", scripted{pages: [][]string{{"b", "a", "d"}}}, "c", nil, backends.Unsupported},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			var failed error
			for o, err := range open(&c.d).List(t.Context(), "", c.after) {
				if failed != nil {
					t.Fatalf("%q follows %v", o.Key, failed)
				}
				if failed = err; err == nil {
					got = append(got, o.Key)
					if o.MD5 != nil {
						t.Errorf("%q has an MD5 that is empty and not unknown", o.Key)
					}
				}
			}
			if !slices.Equal(got, c.want) || !errors.Is(failed, c.err) || (failed == nil) != (c.err == nil) {
				t.Errorf("%q, %v; want %q, %v", got, failed, c.want, c.err)
			}
		})
	}
}

func TestListingHoldsOnePage(t *testing.T) {
	d := &scripted{}
	for p := range 5 {
		keys := make([]string, 1000)
		for i := range keys {
			keys[i] = fmt.Sprintf("%d/%03d", p, i)
		}
		d.pages = append(d.pages, keys)
	}
	n := 0
	for range open(d).List(t.Context(), "", "") {
		if n++; n == 1001 {
			break
		}
	}
	if d.listed != 2 {
		t.Errorf("%d pages were asked for, want 2", d.listed)
	}
}

func TestBodyKeepsItsPromise(t *testing.T) {
	broken := errors.New("the line broke")
	for _, c := range []struct {
		name   string
		d      scripted
		offset int64
		got    string
		err    error
		class  backends.Class
	}{
		{"whole", scripted{size: 5, body: "12345"}, 0, "12345", nil, 0},
		{"the rest", scripted{size: 5, body: "12345"}, 2, "345", nil, 0},
		{"nothing", scripted{}, 0, "", nil, 0},
		{"short", scripted{size: 6, body: "12345"}, 0, "12345", io.ErrUnexpectedEOF, backends.Transient},
		{"a short rest", scripted{size: 6, body: "12345"}, 2, "345", io.ErrUnexpectedEOF, backends.Transient},
		{"long", scripted{size: 4, body: "12345"}, 0, "", backends.Changed, backends.Changed},
		{"broken", scripted{size: 6, body: "12345", readErr: broken}, 0, "12345", broken, backends.Transient},
		{"broken, and it calls that the end", scripted{size: 6, body: "12345", readErr: fmt.Errorf("reset: %w", io.EOF)}, 0, "12345", io.EOF, backends.Transient},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := open(&c.d).Open(t.Context(), "k", c.offset)
			if err != nil {
				t.Fatal(err)
			}
			if b.Object.Size != c.d.size || b.Object.MD5 != nil {
				t.Errorf("object %+v", b.Object)
			}
			got, err := io.ReadAll(b)
			if string(got) != c.got || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) || backends.ClassOf(err) != c.class {
				t.Errorf("%q, %v of class %v", got, err, backends.ClassOf(err))
			}
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestWriterIsAbandoned: Close alone would store what was written so far.
func TestWriterIsAbandoned(t *testing.T) {
	broken := errors.New("broken")
	short := content("12345")
	short.Size = 6
	long := content("12345")
	long.Size = 4
	for _, c := range []struct {
		name string
		w    driverWriter
		c    backends.Content
		err  error
		kept bool
	}{
		{"good", driverWriter{}, content("12345"), nil, true},
		{"empty", driverWriter{}, content(""), nil, true},
		{"the driver fails to write", driverWriter{writeErr: broken}, content("12345"), broken, false},
		{"the driver fails at the end", driverWriter{closeErr: broken}, content("12345"), broken, true},
		{"the source is short", driverWriter{}, short, io.ErrUnexpectedEOF, false},
		{"the source is long", driverWriter{}, long, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := &scripted{writer: c.w}
			_, err := open(d).Put(t.Context(), "k", c.c)
			if good := c.name == "good" || c.name == "empty"; (err == nil) != good || !errors.Is(err, c.err) && c.err != nil {
				t.Errorf("Put: %v, want %v", err, c.err)
			}
			if d.writer.closed != 1 || d.writer.abandoned == c.kept {
				t.Errorf("closed %d times, cancelled before: %v", d.writer.closed, d.writer.abandoned)
			}
			if d.writer.contentType != "application/octet-stream" {
				t.Errorf("content type %q", d.writer.contentType)
			}
			if d.writer.took > c.c.Size {
				t.Errorf("the driver was given %d bytes of %d", d.writer.took, c.c.Size)
			}
		})
	}
}

// TestPartsFit: gocloud's 5 MiB times 10,000 would end at 50 GB.
func TestPartsFit(t *testing.T) {
	broken := errors.New("broken")
	for size, least := range map[int64]int64{1: 0, 40 << 30: 0, 50 << 30: 5 << 20, 5 << 40: 500 << 20} {
		d := &scripted{}
		_, _ = open(d).Put(t.Context(), "k", backends.Content{Size: size, Open: func(context.Context, int64) (io.ReadCloser, error) {
			return io.NopCloser(errReader{broken}), nil
		}})
		part := int64(d.writer.part)
		if part < least || part > 0 && size/part >= 10_000 || least == 0 && part != 0 {
			t.Errorf("%d bytes in parts of %d", size, part)
		}
	}
}

type errReader struct{ err error }

func (r errReader) Read([]byte) (int, error) { return 0, r.err }
