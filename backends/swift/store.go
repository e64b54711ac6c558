package swift

import (
	"context"
	"crypto/rand"
	"hash/fnv"
	"net/http"
	"strings"
	"time"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/parts"
)

// Store writes a container as a store. It is safe for concurrent use.
type Store struct {
	*Reader
	buffers *parts.Buffers
	dlo     bool // how large objects are written

	manifestMost time.Duration // how long the PUT of a manifest may take, with its retries

	// swaps make one change of a large object at a time, for all keys with the
	// same hash: each removes the segments of the one before.
	swaps [64]chan struct{}

	notices backends.Notices

	held parts.Held // uploads that this process works on
}

var (
	_ backends.Store   = (*Store)(nil)
	_ backends.Cleaner = (*Store)(nil)
	_ backends.Prover  = (*Store)(nil)
	_ backends.Deleter = (*Store)(nil)
)

// Open opens a container for writing, and asks whether the service compares
// MD5s by writing a tiny object with a wrong one, which it must refuse.
func Open(ctx context.Context, o Options) (*Store, error) {
	r, err := OpenReader(ctx, o)
	if err != nil {
		return nil, err
	}
	l := r.files.limits
	s := &Store{
		Reader: r, notices: backends.Notices{Tell: o.Notice}, manifestMost: 5 * time.Minute,
		dlo: r.o.LargeObjects == "dlo" || r.o.LargeObjects == "" && !(l.slo && l.exact),
	}
	for i := range s.swaps {
		s.swaps[i] = make(chan struct{}, 1)
	}
	r.o.PartSize = min(r.o.PartSize, l.maxFile)
	s.buffers = parts.NewBuffers(r.o.PartSize, r.o.Memory)
	if !s.dlo && !l.slo {
		err = backends.Refuse(backends.Unsupported, "the service does not say that it has static large objects: use dlo")
	}
	op := "open"
	if err == nil {
		op, err = "write a scratch object", s.probe(ctx)
	}
	if err != nil {
		r.Close()
		return nil, fail(op, "", err)
	}
	return s, nil
}

// probePrefix is of the object that tests the store, beside docker/.
const probePrefix = ".regferry/probe-"

func (s *Store) probe(ctx context.Context) error {
	name := s.files.root + probePrefix + strings.ToLower(rand.Text())
	content := []byte("regferry asks here whether the store refuses a wrong checksum\n")
	_, err := s.files.done(ctx, request{method: http.MethodPut, object: name, body: content, header: map[string]string{
		"Content-Type": contentType, "Etag": strings.Repeat("0", 32),
	}})
	switch {
	case statusOf(err) == http.StatusUnprocessableEntity:
		return nil
	case err != nil:
		return s.missing(err)
	}
	if err := s.files.removeAll(ctx, []string{name}); err != nil {
		return err
	}
	return backends.Refuse(backends.Unsupported, "the service stores an object whose MD5 is not the one that was sent with it, so nothing proves what it stores")
}

// Proof names what the service compares with the bytes that it gets.
func (s *Store) Proof() string { return "ETag (MD5) of each object and segment" }

// notice tells of something once.
func (s *Store) notice(text string) { s.notices.Say(s.Location() + ": " + text) }

// lock waits for the turn of a key.
func (s *Store) lock(ctx context.Context, key string) (unlock func(), err error) {
	h := fnv.New32a()
	_, _ = h.Write([]byte(key))
	turn := s.swaps[h.Sum32()%uint32(len(s.swaps))]
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
