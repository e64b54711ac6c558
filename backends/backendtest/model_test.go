package backendtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/regferry/regferry/backends"
)

// modelPart is the size of a part: an upload is saved after each.
const modelPart = 64 << 10

// model is a store with all powers that keeps every rule, and breaks the one
// that bug names. Contents are files, so that its memory is small.
type model struct {
	*modelDisk
	bug string

	mu      sync.Mutex
	pending map[string]modelObject // put and not synced
}

// modelDisk is what the clients share.
type modelDisk struct {
	dir     string
	syncing sync.Mutex // one Sync at a time: who waited finds its objects shown
	mu      sync.Mutex
	objects map[string]modelObject
	uploads map[string]string // token: file
	serial  int
	leak    chan struct{} // what bugs leak waits for this
}

type modelObject struct {
	file string
	size int64
	time time.Time
}

func newModel(t *testing.T, bug string) *model {
	d := &modelDisk{dir: t.TempDir(), objects: map[string]modelObject{}, uploads: map[string]string{}, leak: make(chan struct{})}
	t.Cleanup(func() { close(d.leak) })
	return &model{modelDisk: d, bug: bug, pending: map[string]modelObject{}}
}

func (m *model) is(bug string) bool { return m.bug == bug }

func (m *model) client() *model {
	if m.is("seen by its own client only") {
		d := &modelDisk{dir: m.dir, objects: map[string]modelObject{}, uploads: m.uploads, leak: m.leak}
		return &model{modelDisk: d, pending: map[string]modelObject{}}
	}
	return &model{modelDisk: m.modelDisk, bug: m.bug, pending: map[string]modelObject{}}
}

func (m *model) Location() string {
	if m.is("location changes") {
		return fmt.Sprintf("model:%s#%d", m.dir, len(m.snapshot()))
	}
	return "model:" + m.dir
}

func (m *model) Close() error { return nil }

func (m *model) snapshot() map[string]modelObject {
	m.modelDisk.mu.Lock()
	defer m.modelDisk.mu.Unlock()
	return maps.Clone(m.objects)
}

func (m *model) fails(op, key string, class backends.Class, err error) error {
	if m.is("an unclassified error") {
		return err
	}
	return &backends.Error{Op: op, Key: key, Class: class, Err: err}
}

// valid refuses what a path in a bucket cannot be, and a key under a key.
func (m *model) valid(op string, key string) error {
	segment := slices.ContainsFunc(strings.Split(key, "/"), func(s string) bool { return len(s) > 255 })
	if !fs.ValidPath(key) || key == "." || segment && !m.is("keeps names that are too long") {
		return m.fails(op, key, backends.Unsupported, errors.New("not a key"))
	}
	return nil
}

func (m *model) inTheWay(key string) bool {
	for k := range m.snapshot() {
		if strings.HasPrefix(k, key+"/") || strings.HasPrefix(key, k+"/") {
			return !m.is("a key under a key")
		}
	}
	return false
}

func (m *model) key(key string) string {
	switch {
	case m.is("cleans keys"):
		return strings.TrimPrefix(path.Clean("/"+key), "/")
	case m.is("folds case"):
		return strings.ToLower(key)
	}
	return key
}

func (m *model) List(ctx context.Context, prefix, after string) iter.Seq2[backends.Object, error] {
	return func(yield func(backends.Object, error) bool) {
		objects := m.snapshot()
		keys := slices.Sorted(maps.Keys(objects))
		if m.is("lists a walk") {
			slices.SortFunc(keys, func(a, b string) int { return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/")) })
		}
		if m.is("drops what is written meanwhile") && len(keys) > 210 {
			keys = keys[5:]
		}
		if m.is("one page only") && len(keys) > 1000 {
			keys = keys[:1000]
		}
		if m.is("leaks when broken off") {
			go func() { <-m.leak }()
		}
		if m.is("a directory is a prefix") && prefix != "" && !strings.HasSuffix(prefix, "/") {
			prefix += "/"
		}
		if m.is("cleans prefixes") && prefix != "" {
			prefix = strings.TrimPrefix(path.Clean("/"+prefix), "/")
		}
		for _, k := range keys {
			if err := ctx.Err(); err != nil && !m.is("swallows the listing's error") {
				yield(backends.Object{}, m.fails("list", prefix, backends.Unknown, err))
				return
			} else if err != nil {
				return
			}
			past := k > after || m.is("after is inclusive") && k == after
			if _, ok := objects[after]; m.is("after must exist") && !ok {
				past = true
			}
			if !past || !strings.HasPrefix(k, prefix) {
				continue
			}
			o := m.object(k, objects[k])
			if m.is("lists another size") {
				o.Size++
			}
			if !yield(o, nil) {
				return
			}
		}
		if err := ctx.Err(); err != nil && !m.is("swallows the listing's error") {
			yield(backends.Object{}, m.fails("list", prefix, backends.Unknown, err))
		}
	}
}

func (m *model) object(key string, o modelObject) backends.Object {
	return backends.Object{Key: key, Size: o.size, ModTime: o.time}
}

func (m *model) find(ctx context.Context, op, key string) (modelObject, error) {
	if err := ctx.Err(); err != nil && !m.is("ignores a cancelled context") {
		return modelObject{}, m.fails(op, key, backends.Unknown, err)
	}
	if err := m.valid(op, m.key(key)); err != nil {
		return modelObject{}, err
	}
	o, ok := m.snapshot()[m.key(key)]
	if !ok {
		class := backends.NotFound
		if m.is("absent is unknown") {
			class = backends.Unknown
		}
		return o, m.fails(op, key, class, errors.New("no such object"))
	}
	return o, nil
}

func (m *model) Stat(ctx context.Context, key string) (backends.Object, error) {
	o, err := m.find(ctx, "stat", key)
	if err != nil {
		return backends.Object{}, err
	}
	return m.object(key, o), nil
}

func (m *model) Open(ctx context.Context, key string, offset int64) (backends.Body, error) {
	o, err := m.find(ctx, "open", key)
	if err != nil {
		return backends.Body{}, err
	}
	if m.is("any offset will do") {
		offset = max(0, min(offset, o.size))
	}
	if m.is("an offset too small") && offset > 0 {
		offset--
	}
	if offset < 0 || offset > o.size {
		return backends.Body{}, m.fails("open", key, backends.Changed, fmt.Errorf("offset %d of %d", offset, o.size))
	}
	f, err := os.Open(o.file)
	if errors.Is(err, fs.ErrNotExist) && m.snapshot()[m.key(key)].file != o.file { // overwritten since
		return m.Open(ctx, key, offset)
	}
	if err != nil {
		return backends.Body{}, m.fails("open", key, backends.Unknown, err)
	}
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return backends.Body{}, errors.Join(err, f.Close())
	}
	b := &modelBody{File: f, m: m, ctx: ctx, left: o.size - offset}
	if m.is("reads all at once") && o.size > 1<<20 {
		b.held, _ = os.ReadFile(o.file)
	}
	return backends.Body{ReadCloser: b, Object: m.object(key, o)}, nil
}

type modelBody struct {
	*os.File
	m    *model
	ctx  context.Context
	left int64
	held []byte
}

func (b *modelBody) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil && !b.m.is("a body ignores its context") && !b.m.is("ignores a cancelled context") {
		return 0, err
	}
	n, err := b.File.Read(p)
	if b.left -= int64(n); err == io.EOF && b.left > 0 && !b.m.is("a short body ends well") {
		err = fmt.Errorf("%d bytes missing: %w", b.left, io.ErrUnexpectedEOF)
	}
	return n, err
}

func (m *model) file() (*os.File, error) {
	m.modelDisk.mu.Lock()
	defer m.modelDisk.mu.Unlock()
	m.serial++
	return os.Create(filepath.Join(m.dir, fmt.Sprint(m.serial)))
}

func (m *model) Put(ctx context.Context, key string, c backends.Content) (backends.Object, error) {
	o, err := m.put(ctx, m.key(key), c)
	if err != nil {
		if m.is("removes the old object") {
			m.modelDisk.mu.Lock()
			delete(m.objects, key)
			m.modelDisk.mu.Unlock()
		}
		return backends.Object{}, m.fails("put", key, backends.ClassOf(err), err)
	}
	out := m.object(key, o)
	if m.is("returns another object") {
		out.Size++
	}
	return out, nil
}

func (m *model) put(ctx context.Context, key string, c backends.Content) (o modelObject, err error) {
	if err := m.valid("put", key); err != nil {
		return o, err
	}
	if m.inTheWay(key) {
		return o, m.fails("put", key, backends.Unsupported, errors.New("an object is in the way"))
	}
	if c.Size < 0 || m.is("refuses empty objects") && c.Size == 0 {
		return o, fmt.Errorf("size %d", c.Size)
	}
	f, from, err := m.begin(c)
	if err != nil {
		return o, err
	}
	saved := c.From.Token
	if from == 0 {
		saved = ""
	}
	defer func() {
		broke := err != nil && ctx.Err() == nil && m.is("forgets its uploads when a source fails")
		if broke { // and yet goes on with them
			_ = f.Truncate(c.Size / 4)
		}
		if err = errors.Join(err, f.Close()); err != nil && saved == "" && !m.is("leaves its temporary files") {
			_ = os.Remove(f.Name())
		}
	}()
	err = m.copy(ctx, key, f, from, c, func(u backends.Upload) error {
		saved = f.Name()
		m.modelDisk.mu.Lock()
		m.uploads[f.Name()] = f.Name()
		m.modelDisk.mu.Unlock()
		if err := c.Saved(u); !m.is("ignores the error of Saved") {
			return err
		}
		return nil
	})
	if err != nil {
		return o, err
	}
	o = modelObject{file: f.Name(), size: c.Size, time: time.Now()}
	m.modelDisk.mu.Lock()
	delete(m.uploads, f.Name())
	m.modelDisk.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	earlier, ok := m.pending[key]
	if ok && m.is("keeps the earlier of two") {
		return o, nil
	}
	if m.pending[key] = o; ok {
		_ = os.Remove(earlier.file)
	}
	return o, nil
}

// begin opens a new file, or the one that From names when it holds enough.
func (m *model) begin(c backends.Content) (*os.File, int64, error) {
	m.modelDisk.mu.Lock()
	name, ok := m.uploads[c.From.Token]
	m.modelDisk.mu.Unlock()
	if m.is("trusts any token") && c.From.Offset > 0 && c.From.Offset <= c.Size {
		f, err := m.file()
		return f, c.From.Offset, errors.Join(err, f.Truncate(c.From.Offset))
	}
	if !ok || c.From.Offset <= 0 || c.From.Offset > c.Size || m.is("never resumes") {
		f, err := m.file()
		return f, 0, err
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil || m.is("resumes at the end of the file") {
		return f, c.From.Offset, err
	}
	return f, c.From.Offset, f.Truncate(c.From.Offset)
}

func (m *model) copy(ctx context.Context, key string, f *os.File, from int64, c backends.Content, save func(backends.Upload) error) error {
	at := io.SeekStart
	pos := from
	if m.is("resumes at the end of the file") {
		at, pos = io.SeekEnd, 0
	}
	if _, err := f.Seek(pos, at); err != nil {
		return err
	}
	open := ctx
	if m.is("opens the source without its context") {
		open = context.WithoutCancel(ctx)
	}
	src, err := c.Open(open, from)
	if err != nil {
		if m.is("drops the source's error") {
			err = errors.New("the source failed")
		}
		return err
	}
	if !m.is("does not close readers") && !m.is("reads after closing") {
		defer func() { _ = src.Close() }()
	}
	if m.is("reads after closing") {
		defer func() { _, _ = src.Read(make([]byte, 1)) }()
		defer func() { _ = src.Close() }()
	}
	if m.is("opens two readers at once") {
		if second, err := c.Open(ctx, 0); err == nil {
			defer func() { _ = second.Close() }()
		}
	}
	n, err := m.stream(ctx, key, f, src, from, c, save)
	if ended := ctx.Err(); ended != nil && m.is("leaks when cancelled") {
		go func() { <-m.leak }()
	}
	switch {
	case err != nil && m.is("stores what came before an error"):
		return nil
	case err != nil && m.is("drops the source's error"):
		return errors.New("the source failed")
	case err != nil && m.is("calls every error transient"):
		return &backends.Error{Op: "put", Class: backends.Transient, Err: err}
	case err != nil:
		return err
	case n < c.Size && m.is("stores short content"), n > c.Size && m.is("stores long content"):
		return f.Truncate(c.Size)
	case n != c.Size:
		return fmt.Errorf("%d bytes, want %d", n, c.Size)
	}
	if want := c.Digest; want != "" && m.is("calls a wrong digest transient") {
		got := sha256.New()
		_, _ = f.Seek(0, io.SeekStart)
		_, _ = io.Copy(got, f)
		if fmt.Sprintf("sha256:%x", got.Sum(nil)) != want.String() {
			return &backends.Error{Op: "put", Class: backends.Transient, Err: errors.New("wrong digest")}
		}
	}
	return nil
}

// stream copies to the end of the source, at most a byte too much, and saves
// after each part.
func (m *model) stream(ctx context.Context, key string, f *os.File, src io.Reader, pos int64, c backends.Content, save func(backends.Upload) error) (int64, error) {
	buf := make([]byte, 32<<10)
	if m.is("holds all in memory") && c.Size > 1<<20 {
		buf = make([]byte, c.Size+1)
		n, err := io.ReadFull(src, buf)
		defer bytes.Clone(buf)
		if err == io.ErrUnexpectedEOF {
			_, err = f.Write(buf[:n])
		}
		return int64(n), err
	}
	next := pos - pos%modelPart + modelPart
	for {
		if err := ctx.Err(); err != nil && !m.is("does not look at its context") {
			return pos, err
		}
		if m.is("takes an empty read for the end") {
			n, err := src.Read(buf)
			src = io.MultiReader(bytes.NewReader(buf[:n]), &then{src, err})
			if n == 0 {
				return pos, nil
			}
		}
		if m.is("does not look behind the last byte") && pos == c.Size {
			return pos, nil
		}
		n, err := src.Read(buf)
		if n > 1 && pos < modelPart && pos+int64(n) >= modelPart && m.is("loses the last byte of a part") {
			buf[n-1] = 0
		}
		if _, err := f.Write(buf[:n]); err != nil {
			return pos, err
		}
		pos += int64(n)
		if m.is("drops bytes that come with the end") && err == io.EOF {
			pos -= int64(n)
		}
		if m.is("shows an object before its end") && n > 0 || m.is("shows half an object to everybody") && pos > c.Size/2 {
			m.show(key, modelObject{file: f.Name(), size: pos})
		}
		if err == io.EOF {
			return pos, nil
		}
		if err != nil {
			return pos, err
		}
		if pos > c.Size {
			return pos, nil
		}
		if c.Saved != nil && pos >= next && pos < c.Size {
			next = pos + modelPart
			if err := save(m.upload(f.Name(), pos, src)); err != nil {
				return pos, err
			}
		}
	}
}

type then struct {
	io.Reader
	err error
}

func (t *then) Read(p []byte) (int, error) {
	if t.err != nil {
		return 0, t.err
	}
	return t.Reader.Read(p)
}

func (m *model) upload(token string, pos int64, src io.Reader) backends.Upload {
	u := backends.Upload{Token: token, Offset: pos}
	if h, ok := src.(encoding.BinaryMarshaler); ok {
		u.Hash, _ = h.MarshalBinary()
	}
	if m.is("saves an offset before its bytes") {
		u.Offset -= 100
	}
	return u
}

func (m *model) show(key string, o modelObject) {
	m.modelDisk.mu.Lock()
	defer m.modelDisk.mu.Unlock()
	m.objects[key] = o
}

func (m *model) Sync(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		if m.is("sync claims success") {
			return nil
		}
		return m.fails("sync", "", backends.Unknown, err)
	}
	m.syncing.Lock()
	defer m.syncing.Unlock()
	m.mu.Lock()
	pending := m.pending
	m.pending = map[string]modelObject{}
	m.mu.Unlock()
	for i, key := range slices.Sorted(maps.Keys(pending)) {
		if i == 7 && m.is("sync forgets one of many") || len(pending) > 1 && i == 0 && m.is("sync loses a neighbour") {
			continue
		}
		m.modelDisk.mu.Lock()
		old, ok := m.objects[key]
		m.modelDisk.mu.Unlock()
		if ok && m.is("overwrites in place") {
			raw, _ := os.ReadFile(pending[key].file)
			_ = os.WriteFile(old.file, raw, 0o600)
			_ = os.Remove(pending[key].file)
			m.show(key, modelObject{file: old.file, size: pending[key].size})
			continue
		}
		m.show(key, pending[key])
		if ok && old.file != pending[key].file {
			_ = os.Remove(old.file)
		}
	}
	return nil
}

func (m *model) Try(ctx context.Context) (backends.Trial, error) {
	if file := filepath.Join(m.dir, "tried"); m.is("leaves what it tried") {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			return backends.Trial{}, err
		}
		m.show("tried", modelObject{file: file})
	}
	return backends.Trial{Took: 1}, ctx.Err()
}

func (m *model) Space(context.Context) (backends.Space, error) { return backends.Space{}, nil }

func (m *model) Clean(context.Context, map[string]bool) (int, error) {
	m.modelDisk.mu.Lock()
	defer m.modelDisk.mu.Unlock()
	for key := range m.objects {
		if strings.HasPrefix(key, ".regferry/") && m.is("cleans all scratch") {
			m.remove(key)
		}
	}
	return 0, nil
}

// leftovers are files that no object is in.
func (m *model) leftovers(t *testing.T) []string {
	used := map[string]bool{}
	for _, o := range m.snapshot() {
		used[o.file] = true
	}
	entries, err := os.ReadDir(m.dir)
	if err != nil {
		t.Error(err)
	}
	var left []string
	for _, e := range entries {
		if file := filepath.Join(m.dir, e.Name()); !used[file] {
			left = append(left, e.Name())
		}
	}
	return left
}

func modelHarness(bug string) Harness {
	return Harness{
		Open:      func(t *testing.T) backends.Store { return newModel(t, bug) },
		Reopen:    func(_ *testing.T, s backends.Store) backends.Store { return s.(*model).client() },
		Leftovers: func(t *testing.T, s backends.Store) []string { return s.(*model).leftovers(t) },
		Truncate: func(t *testing.T, s backends.Store, key string, size int64) {
			if err := os.Truncate(s.(*model).snapshot()[key].file, size); err != nil {
				t.Fatal(err)
			}
		},
		Deletes: true, Replaces: true, Unconditional: bug == "does not ask whether conditions are kept",
		Empty:   func(_ *testing.T, s backends.Store) []string { return s.(*model).empty() },
		Resumes: true, PartSize: modelPart, Objects: 1500,
		Patience: 10 * time.Second,
	}
}

func TestModel(t *testing.T) { Run(t, modelHarness("")) }
