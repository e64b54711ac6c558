package parts_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/parts"
)

// source is a content whose reader has a state: how far it is.
type source struct {
	*bytes.Reader
	verdict error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	if err == io.EOF && s.verdict != nil {
		err = s.verdict
	}
	return n, err
}
func (s *source) Close() error { return nil }
func (s *source) MarshalBinary() ([]byte, error) {
	return fmt.Append(nil, s.Size()-int64(s.Len())), nil
}

func content(data []byte, verdict error) backends.Content {
	return backends.Content{Size: int64(len(data)), Open: func(_ context.Context, offset int64) (io.ReadCloser, error) {
		r := bytes.NewReader(data)
		_, err := r.Seek(offset, io.SeekStart)
		return &source{r, verdict}, err
	}}
}

// upload is a service that keeps parts.
type upload struct {
	mu    sync.Mutex
	parts map[int][]byte
	begun int
	fails map[int]error
}

func (u *upload) sender(c backends.Content, part int64) *parts.Sender {
	return &parts.Sender{
		Content: c, Part: part, Parallel: 3, Buffers: parts.NewBuffers(part, 3*part),
		Begin: func(context.Context) (string, error) { u.begun++; return "token", nil },
		Send: func(_ context.Context, n int, b []byte) error {
			time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond) // they end in any order
			u.mu.Lock()
			defer u.mu.Unlock()
			if err := u.fails[n]; err != nil {
				return err
			}
			u.parts[n] = bytes.Clone(b)
			return nil
		},
	}
}

func (u *upload) whole() (all []byte) {
	for n := range len(u.parts) {
		all = append(all, u.parts[n]...)
	}
	return all
}

func random(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

func TestSender(t *testing.T) {
	const part = 1000
	for _, size := range []int{1, part - 1, part, part + 1, 10*part + 7} {
		data := random(size)
		u := &upload{parts: map[int][]byte{}}
		c := content(data, nil)
		last := int64(0)
		c.Saved = func(at backends.Upload) error {
			if at.Token != "token" || at.Offset <= last || string(at.Hash) != fmt.Sprint(at.Offset) {
				t.Errorf("%d bytes: saved %+v after %d", size, at, last)
			}
			last = at.Offset
			return nil
		}
		if err := u.sender(c, part).Run(t.Context()); err != nil || !bytes.Equal(u.whole(), data) || last != int64(size) || u.begun != 1 {
			t.Errorf("%d bytes: %v, %d are there, saved %d, begun %d times", size, err, len(u.whole()), last, u.begun)
		}
	}
}

// A resumed one begins where it was told, also where only the verdict is left.
func TestSenderGoesOn(t *testing.T) {
	data := random(3500)
	for _, start := range []int{1, 3, 4} {
		u := &upload{parts: map[int][]byte{}}
		for n := range start {
			u.parts[n] = data[n*1000 : min(len(data), (n+1)*1000)]
		}
		s := u.sender(content(data, nil), 1000)
		s.Token, s.Start = "token", start
		if err := s.Run(t.Context()); err != nil || !bytes.Equal(u.whole(), data) || u.begun != 0 {
			t.Errorf("from part %d: %v, %d bytes, begun %d times", start, err, len(u.whole()), u.begun)
		}
	}
}

var errBad = &backends.Error{Op: "read", Class: backends.Corrupt, Err: errors.New("not the digest")}

// What is wrong ends it with that, and says whether the upload is worth keeping.
func TestSenderFails(t *testing.T) {
	data := random(3500)
	broken := errors.New("the line broke")
	short, long := content(data, nil), content(data, nil)
	short.Size, long.Size = 4000, 3000
	for name, c := range map[string]struct {
		content backends.Content
		fails   map[int]error
		want    error
		keep    bool
	}{
		"a part fails":            {content(data, nil), map[int]error{2: broken}, broken, true},
		"the first part fails":    {content(data, nil), map[int]error{0: broken}, broken, false}, // nobody was told of anything
		"the verdict is bad":      {content(data, errBad), nil, errBad, false},
		"it is short":             {short, nil, io.ErrUnexpectedEOF, false},
		"it is long":              {long, nil, backends.SizeError{Got: 3001, Want: 3000}, false},
		"the source is gone":      {content(data, &backends.Error{Op: "open", Class: backends.NotFound}), nil, backends.NotFound, false},
		"the source may be back":  {content(data[:3000], &backends.Error{Op: "read", Class: backends.Transient}), nil, backends.Transient, false},
		"somebody else's verdict": {content(data, nil), map[int]error{3: &backends.Error{Op: "put", Class: backends.Corrupt}}, backends.Corrupt, false},
	} {
		u := &upload{parts: map[int][]byte{}, fails: c.fails}
		told := false
		c.content.Saved = func(backends.Upload) error { told = true; return nil }
		s := u.sender(c.content, 1000)
		err := s.Run(t.Context())
		class, _ := backends.OwnClass(err)
		if !errors.Is(err, c.want) || s.Keep(err, class) != (c.keep && told) {
			t.Errorf("%s: %v, kept %v", name, err, s.Keep(err, class))
		}
	}
}

func TestSenderIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	u := &upload{parts: map[int][]byte{}}
	c := content(random(100_000), nil)
	c.Saved = func(backends.Upload) error { cancel(); return nil }
	s := u.sender(c, 1000)
	if err := s.Run(ctx); !errors.Is(err, context.Canceled) || !s.Keep(err, backends.Unknown) {
		t.Errorf("%v", err)
	}
}

// What is handed out is bounded, and a larger one goes alone.
func TestBuffers(t *testing.T) {
	b := parts.NewBuffers(1<<20, 2<<20)
	one, err := b.Get(t.Context(), 1<<20)
	if err != nil || len(one.B) != 1<<20 {
		t.Fatal(err)
	}
	if _, err := b.Get(t.Context(), 1<<20); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := b.Get(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a third one: %v", err)
	}
	b.Put(one)
	if two, err := b.Get(t.Context(), 71); err != nil || len(two.B) != 71 {
		t.Errorf("after one is back: %v", err)
	}
	if huge, err := parts.NewBuffers(1<<20, 2<<20).Get(t.Context(), 5<<20); err != nil || len(huge.B) != 5<<20 {
		t.Errorf("one beyond the bound: %v", err)
	}
}

func TestWholeAndCheck(t *testing.T) {
	data := random(100)
	buf := make([]byte, 100)
	if err := parts.Whole(t.Context(), content(data, nil), buf); err != nil || !bytes.Equal(buf, data) {
		t.Error(err)
	}
	if err := parts.Whole(t.Context(), content(data, errBad), buf); !errors.Is(err, backends.Corrupt) || !errors.As(err, new(backends.SourceError)) {
		t.Errorf("a bad source: %v", err)
	}
	for size, want := range map[int64]error{-1: backends.Unsupported, 0: nil, 10: nil, 11: backends.Unsupported} {
		if err := parts.Check(t.Context(), backends.Content{Size: size}, 10, "at most 10"); !errors.Is(err, want) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func TestHeld(t *testing.T) {
	var h parts.Held
	if h.Holds("a") {
		t.Error("the zero value holds something")
	}
	h.Hold("a")
	h.Hold("b")
	h.Release("a")
	h.Release("c")
	if h.Holds("a") || !h.Holds("b") {
		t.Error("wrong ones are held")
	}
}

func TestRoots(t *testing.T) {
	for raw, want := range map[string]string{"": "", "/": "", "a": "a/", "/a/b/": "a/b/"} {
		if got := parts.Root(raw); got != want {
			t.Errorf("%q is %q, want %q", raw, got, want)
		}
	}
	for _, c := range []struct {
		a, b   string
		inside []string
		want   bool
	}{
		{"", "", nil, true}, {"a/", "a/", nil, true}, {"", "a/", nil, false}, {"", "docker/x/", nil, true}, {"", ".regferry/x/", nil, true}, {"a/", "ab/", nil, false},
		{"a/", "a/docker/", nil, true}, {"a/", "a/files/x/", []string{"files/"}, true}, {"a/", "a/docker/", []string{"files/"}, false},
	} {
		if parts.NestedRoots(c.a, c.b, c.inside...) != c.want || parts.NestedRoots(c.b, c.a, c.inside...) != c.want {
			t.Errorf("%q and %q, with %q inside: not %v", c.a, c.b, c.inside, c.want)
		}
	}
}

func TestClassOfStatus(t *testing.T) {
	for status, want := range map[int]backends.Class{
		200: backends.Unknown, 302: backends.Denied, 400: backends.Unknown, 401: backends.Denied, 403: backends.Denied, 404: backends.NotFound, 408: backends.Transient,
		409: backends.Changed, 412: backends.Changed, 416: backends.Changed, 429: backends.Throttled, 500: backends.Transient, 501: backends.Unsupported, 503: backends.Throttled,
		507: backends.Full, 599: backends.Transient,
	} {
		if got := parts.ClassOfStatus(status); got != want {
			t.Errorf("%d is %v, want %v", status, got, want)
		}
	}
}

func TestSizes(t *testing.T) {
	if got, want := (parts.Sizes{}).WithDefaults(), (parts.Sizes{PartSize: 16 << 20, Parallel: 4, Memory: 128 << 20, Dead: 24 * time.Hour}); got != want {
		t.Errorf("%+v", got)
	}
	if got, want := (parts.Sizes{PartSize: 1 << 30, Parallel: -1, Memory: 1, Dead: 1}).WithDefaults(), (parts.Sizes{PartSize: 1 << 30, Parallel: 4, Memory: 1 << 30, Dead: 1}); got != want {
		t.Errorf("%+v", got)
	}
}

func TestIsBlob(t *testing.T) {
	for key, want := range map[string]bool{
		parts.Blobs + "sha256/ab/abc/data": true, parts.Blobs + "sha256/ab/abc": false, "docker/registry/v2/repositories/a/_uploads/x/data": false, "data": false,
	} {
		if parts.IsBlob(key) != want {
			t.Errorf("%s: not %v", key, want)
		}
	}
}
