package backendtest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/regferry/regferry/backends"
)

var resumeCases = []testcase{
	{"Resume goes on from what was saved", resumeLast},
	{"Resume from an earlier state than the last", resumeEarlier},
	{"Resume after a failing source", resumeFailed},
	{"Resume with a token of nobody starts at 0", resumeUnknown},
	{"Resume ends when Saved fails", resumeRefused},
}

// resumeSize has three parts; a store that resumes and does not say how large a
// part is gets enough to save in any case.
func (r *run) resumeSize() int64 {
	if r.h.PartSize == 0 && r.h.Resumes {
		return 24<<20 + 7
	}
	return r.large() + r.h.PartSize
}

// interrupted puts p and ends it, by cancelling or by a failing source, after
// the store saved twice or near the end. It returns what was saved and skips
// the case when nothing was.
func (r *run) interrupted(key string, p pattern, cut error) []backends.Upload {
	r.Helper()
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	var mu sync.Mutex
	var saved []backends.Upload
	src := r.source(p.seed, p.size)
	src.hashed, src.chunk = true, min(256<<10, p.size/16)
	src.end = cut
	src.before = func(pos int64) {
		mu.Lock()
		defer mu.Unlock()
		if len(saved) > 1 || len(saved) > 0 && pos > p.size-src.chunk {
			if cut == io.EOF {
				cancel()
				return
			}
			src.yields = pos
		}
	}
	c := src.content()
	c.Saved = func(u backends.Upload) error {
		mu.Lock()
		defer mu.Unlock()
		u.Hash = slices.Clone(u.Hash)
		saved = append(saved, u)
		return nil
	}
	err := r.putContent(ctx, key, src, c)
	if len(saved) == 0 {
		if r.h.Resumes {
			r.Fatalf("Put of %d bytes saved nothing", p.size)
		}
		r.Skip("the store saves nothing")
	}
	if cut == io.EOF && !errors.Is(err, context.Canceled) || cut != io.EOF && !errors.Is(err, cut) {
		r.Fatalf("Put, interrupted: %v", err)
	}
	for i, u := range saved {
		if u.Token == "" || u.Offset <= 0 || u.Offset > p.size || i > 0 && u.Offset <= saved[i-1].Offset {
			r.Errorf("saved %d: token %q at %d of %d", i, u.Token, u.Offset, p.size)
		}
		if !bytes.Equal(stateSum(u.Hash), pattern{p.seed, u.Offset}.sum()) {
			r.Errorf("saved %d: the hash is not that of the first %d bytes", i, u.Offset)
		}
	}
	return saved
}

// stateSum finishes a marshalled SHA-256, nil if it is none.
func stateSum(state []byte) []byte {
	h := sha256.New()
	if err := h.(encoding.BinaryUnmarshaler).UnmarshalBinary(state); err != nil {
		return nil
	}
	return h.Sum(nil)
}

func (p pattern) sum() []byte {
	h := sha256.New()
	_, _ = io.Copy(h, p.reader(0))
	return h.Sum(nil)
}

// resumed goes on as another client, like the process after the one that was
// killed, and returns the offsets at which the source was opened.
func (r *run) resumed(key string, p pattern, from backends.Upload) []int64 {
	r.Helper()
	src := r.source(p.seed, p.size)
	src.hashed = true
	c := src.content()
	c.From = from
	var mu sync.Mutex
	last := int64(-1)
	c.Saved = func(u backends.Upload) error {
		mu.Lock()
		defer mu.Unlock()
		if !bytes.Equal(stateSum(u.Hash), pattern{p.seed, u.Offset}.sum()) {
			r.Errorf("saved after resuming: the hash is not that of the first %d bytes", u.Offset)
		}
		if u.Offset <= last {
			r.Errorf("saved %d after %d", u.Offset, last)
		}
		last = u.Offset
		return nil
	}
	s := r.other()
	if err := r.within("Put", func() error { return r.putOn(r.ctx, s, key, src, c) }); err != nil {
		r.Fatalf("Put, resumed at %d: %v", from.Offset, err)
	}
	r.holds(s, key, p)
	return src.offsets()
}

func resumeLast(r *run) {
	old, p := pattern{1, 1000}, pattern{2, r.resumeSize()}
	r.must("d/old", old)
	var last backends.Upload
	for _, key := range []string{"d/old", "d/new"} {
		saved := r.interrupted(key, p, io.EOF)
		r.holds(r.other(), "d/old", old)
		r.only(r.other(), "d/old")
		last = saved[len(saved)-1]
		if opens := r.resumed(key, p, last); !slices.Equal(opens, []int64{last.Offset}) {
			r.Errorf("the source was opened at %d, want only %d", opens, last.Offset)
		}
		r.clean()
		r.must("d/old", old)
	}
	r.must("d/new", old)
	if opens := r.resumed("d/new", p, last); opens[len(opens)-1] != 0 {
		r.Errorf("with a token that is used up, the source was opened at %d", opens)
	}
	r.clean()
}

func resumeEarlier(r *run) {
	p := pattern{2, r.resumeSize()}
	saved := r.interrupted("d/k", p, io.EOF)
	opens := r.resumed("d/k", p, saved[0])
	if first := opens[0]; first != 0 && first != saved[0].Offset {
		r.Errorf("the source was opened at %d, want %d or 0", opens, saved[0].Offset)
	}
	r.only(r.other(), "d/k")
}

func resumeFailed(r *run) {
	p := pattern{2, r.resumeSize()}
	saved := r.interrupted("d/k", p, errors.New("the source broke"))
	r.absent(r.other(), "d/k")
	r.resumed("d/k", p, saved[len(saved)-1])
	r.only(r.other(), "d/k")
}

func resumeUnknown(r *run) {
	p := pattern{2, r.large()}
	state := sha256.New()
	state.Write([]byte("something else"))
	hash, err := state.(encoding.BinaryMarshaler).MarshalBinary()
	if err != nil {
		r.Fatal(err)
	}
	r.must("d/victim", pattern{3, 5000})
	for _, from := range []backends.Upload{
		{Token: "no-such-upload", Offset: p.size / 2, Hash: hash},
		{Token: "../d/victim", Offset: 5000, Hash: hash},
		{Token: "d/victim", Offset: 5000, Hash: hash},
		{Token: "/etc/passwd", Offset: 1, Hash: hash},
		{Token: strings.Repeat("t", 5000), Offset: 1, Hash: hash},
		{Token: "no-such-upload", Offset: p.size + 1, Hash: hash},
		{Token: "no-such-upload", Offset: -1, Hash: hash},
		{Token: "no-such-upload", Offset: p.size},
		{Token: "", Offset: 10},
	} {
		opens := r.resumed("d/k", p, from)
		if opens[len(opens)-1] != 0 {
			r.Errorf("token %.40q at %d: the source was opened at %d", from.Token, from.Offset, opens)
		}
		r.holds(r.other(), "d/victim", pattern{3, 5000})
	}
	r.only(r.other(), "d/k", "d/victim")
	r.clean()
}

func resumeRefused(r *run) {
	p := pattern{2, r.resumeSize()}
	full := errors.New("the checkpoint is full")
	src := r.source(p.seed, p.size)
	src.hashed = true
	c := src.content()
	var mu sync.Mutex
	calls := 0
	c.Saved = func(backends.Upload) error {
		mu.Lock()
		defer mu.Unlock()
		calls++
		return full
	}
	err := r.putContent(r.ctx, "d/k", src, c)
	if calls == 0 {
		if r.h.Resumes {
			r.Fatalf("Put of %d bytes saved nothing", p.size)
		}
		r.Skip("the store saves nothing")
	}
	if !errors.Is(err, full) {
		r.Errorf("Put: %v, want the error of Saved", err)
	}
	r.absent(r.other(), "d/k")
}
