package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
)

var errEmpty = errors.New("it is empty")

// buffers are as large as helps a disk or a network, and small enough to stay
// in the cache of a core until they are hashed.
var buffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}

// hash reads a blob and proves it. size -1 stands for any.
func (r *run) hash(ctx context.Context, s *side, key string, size int64, d digest.Digest) error {
	err := r.retry(ctx, func() error {
		if err := r.requests.Acquire(ctx, 1); err != nil {
			return err
		}
		defer r.requests.Release(1)
		return r.hashOnce(ctx, s, key, size, d)
	})
	if !r.ended(ctx, err) {
		r.went(s, err)
	}
	return s.at(err)
}

func (r *run) hashOnce(ctx context.Context, s *side, key string, size int64, d digest.Digest) error {
	b, err := s.Open(ctx, key, 0)
	if err != nil {
		return err
	}
	if size < 0 || b.Object.Size >= 0 && b.Object.Size != size {
		size = b.Object.Size // of a list that is old; the digest decides
	}
	body := Paced(ctx, b, r.rate)
	if size < 0 {
		err := &backends.Error{Op: "open", Key: key, Class: backends.Unsupported, Err: errors.New("the store does not say how long it is")}
		return errors.Join(err, body.Close())
	}
	v := NewReader(body, key, size, d)
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for {
		n, err := v.Read(*buf)
		r.Progress.read.Add(int64(n))
		if err == io.EOF { //nolint:errorlint // io.Reader's contract is the bare value
			return v.Close()
		}
		if err != nil {
			return errors.Join(err, v.Close())
		}
	}
}

// maxUnsaid is how many times in a row a service may answer that it cannot say
// what digest it keeps, before it is not asked any more: each is a request.
const maxUnsaid = 20

// checksum proves a blob by the digest that the service keeps; what it keeps
// none of, or cannot say, is only present.
func (r *run) checksum(ctx context.Context, s *side, o backends.Object, d digest.Digest) (Level, error) {
	reporter := backends.PowersOf(s.ReadStore).ChecksumReporter
	if reporter == nil || s.unsaid.Load() >= maxUnsaid {
		return Presence, nil
	}
	var sum digest.Digest
	var size int64
	err := r.retry(ctx, func() (err error) {
		if err := r.requests.Acquire(ctx, 1); err != nil {
			return err
		}
		defer r.requests.Release(1)
		sum, size, err = reporter.StoredDigest(ctx, o.Key)
		return err
	})
	if backends.ClassOf(err) == backends.Unsupported {
		s.unsaid.Add(1)
		r.went(s, nil) // an answer, and no failure of the store
		return Presence, nil
	}
	if !r.ended(ctx, err) {
		r.went(s, err)
	}
	s.unsaid.Store(0)
	switch {
	case err != nil:
		return "", s.at(err)
	case sum == "" || sum.Algorithm() != d.Algorithm():
		return Presence, nil
	case sum != d || o.Size >= 0 && size != o.Size:
		err := fmt.Errorf("the service says that it has the digest %s and %d bytes", sum, size)
		return "", s.at(&backends.Error{Op: "stat", Key: o.Key, Class: backends.Corrupt, Err: err})
	}
	return Checksum, nil
}

// small reads a whole object of at most limit bytes.
func (r *run) small(ctx context.Context, s *side, key string, limit int64) (data []byte, err error) {
	err = r.retry(ctx, func() (err error) {
		if err := r.requests.Acquire(ctx, 1); err != nil {
			return err
		}
		defer r.requests.Release(1)
		data, err = read(ctx, s, key, limit)
		return err
	})
	if !r.ended(ctx, err) {
		r.went(s, err)
	}
	return data, s.at(err)
}

// stat asks for one object.
func (r *run) stat(ctx context.Context, s *side, key string) (o backends.Object, err error) {
	err = r.retry(ctx, func() (err error) {
		if err := r.requests.Acquire(ctx, 1); err != nil {
			return err
		}
		defer r.requests.Release(1)
		o, err = s.Stat(ctx, key)
		return err
	})
	if !r.ended(ctx, err) {
		r.went(s, err)
	}
	return o, s.at(err)
}
