package swift

import (
	"context"
	"errors"
	"io"
	"iter"
	"strings"
	"unicode/utf8"

	"gocloud.dev/blob"

	"github.com/regferry/regferry/backends"
	portable "github.com/regferry/regferry/backends/bucket"
)

// Reader reads a container, or what lies below a prefix of it, as a store. It
// is safe for concurrent use.
type Reader struct {
	files *bucket
	b     *portable.Store
	o     Options // without secrets
}

var _ backends.ReadStore = (*Reader)(nil)

// OpenReader opens a container that is only read. It logs in and asks for one
// name, so that wrong credentials, a container that is not there or a missing
// right is said here and now.
func OpenReader(ctx context.Context, o Options) (*Reader, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fail("open", "", err)
	}
	s, err := connect(ctx, o)
	if err != nil {
		return nil, fail("open", "", err)
	}
	o.Password, o.ApplicationCredentialSecret = "", ""
	files := &bucket{service: s, root: o.Prefix + filesDir}
	r := &Reader{files: files, o: o}
	r.b = portable.With(blob.NewBucket(files), o.location(), portable.Hooks{Class: classOf, StartAt: startAt})
	if _, err := s.page(ctx, files.root, "", "", 1); err != nil {
		r.Close()
		return nil, fail("open", "", err)
	}
	return r, nil
}

func startAt(as func(any) bool, key string) error {
	var s *start
	if as(&s) {
		s.after = key
	}
	return nil
}

// Location is swift://container/prefix with the identity service and the
// project, or account, as the options name them.
func (r *Reader) Location() string { return r.b.Location() }

// Close ends idle connections.
func (r *Reader) Close() error { return r.b.Close() }

// List costs a request per 1,000 objects, and one that says that it is over.
func (r *Reader) List(ctx context.Context, prefix, after string) iter.Seq2[backends.Object, error] {
	return func(yield func(backends.Object, error) bool) {
		if askable(prefix) != prefix {
			yield(backends.Object{}, fail("list", prefix, backends.Refuse(backends.Unsupported, "a prefix is UTF-8 without control characters")))
			return
		}
		if after != "" && after > prefix && !strings.HasPrefix(after, prefix) {
			return // behind all that has the prefix
		}
		for o, err := range r.b.List(ctx, prefix, askable(after)) {
			if err == nil && o.Key <= after && after != "" {
				continue // what lies between the start that could be asked for and after
			}
			if !yield(o, r.brief(err)) {
				return
			}
		}
	}
}

// askable is the start of a name, up to what Swift refuses to be asked for. It
// sorts before the name.
func askable(name string) string {
	for i, c := range name {
		if c < ' ' || c == utf8.RuneError {
			return name[:i]
		}
	}
	return name
}

// Stat asks all copies of the object, so that one just written is not missing.
func (r *Reader) Stat(ctx context.Context, key string) (backends.Object, error) {
	if err := r.check(key); err != nil {
		return backends.Object{}, fail("stat", key, err)
	}
	o, err := r.b.Stat(ctx, key)
	return o, r.brief(err)
}

// Open is one GET; the service joins the segments of what is large.
func (r *Reader) Open(ctx context.Context, key string, offset int64) (backends.Body, error) {
	if err := r.check(key); err != nil {
		return backends.Body{}, fail("open", key, err)
	}
	b, err := r.b.Open(ctx, key, offset)
	if err == nil {
		b.ReadCloser = &body{ReadCloser: b.ReadCloser, ctx: ctx, r: r, o: b.Object}
	}
	return b, r.brief(err)
}

// body finds out why it ended early: the segments of an object that is replaced
// go while it is read.
type body struct {
	io.ReadCloser
	ctx context.Context
	r   *Reader
	o   backends.Object
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == nil || err == io.EOF {
		return n, err
	}
	err = b.r.brief(err)
	if backends.ClassOf(err) != backends.Transient || b.ctx.Err() != nil {
		return n, err
	}
	now, e := b.r.Stat(b.ctx, b.o.Key)
	if e == nil && now.Size == b.o.Size && now.ModTime.Equal(b.o.ModTime) || e != nil && !errors.Is(e, backends.NotFound) {
		return n, err
	}
	return n, &backends.Error{Op: "read", Key: b.o.Key, Class: backends.Changed, Err: errReplaced}
}

var errReplaced = errors.New("another object was put in its place")

func (r *Reader) check(key string) error { return backends.CheckKey(key, maxKey-len(r.files.root)) }

// brief takes out what gocloud puts around each error of a driver: the key and
// a code, both of which are said already.
func (r *Reader) brief(err error) error {
	var e *backends.Error
	if err == nil || !errors.As(err, &e) || e.Err == nil {
		return err
	}
	var (
		said  *answer
		gone  *broken
		login *loginError
	)
	c := *e
	switch {
	case errors.As(e.Err, &login):
		c.Err = login
	case errors.As(e.Err, &gone):
		c.Err = gone
	case errors.As(e.Err, &said) && classOf(said) == e.Class:
		c.Err = said
	default:
		return err
	}
	return &c
}
