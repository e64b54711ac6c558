package swift

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/ncw/swift/v2"
)

// attempts of one request. With the delays between them that is about 6 s of a
// service that is away; beyond that it is the caller who knows whether to go on.
const attempts = 7

// request is one to the container, or to an object in it.
type request struct {
	method string
	object string // name in the container; empty: the container itself
	query  url.Values
	header map[string]string
	body   []byte // not used any more once the request is answered
}

// do makes a request until it is answered by more than an excuse. A token that
// was refused is renewed once. The caller closes the body of an answer.
func (s *service) do(ctx context.Context, r request) (*http.Response, error) {
	renewed, unclear := false, false
	for try := 1; ; try++ {
		resp, err := s.once(ctx, r)
		if err == nil {
			return resp, nil
		}
		if statusOf(err) == http.StatusUnauthorized && !renewed {
			renewed = true
			s.conn.UnAuthenticate()
			continue
		}
		if try >= attempts || !again(err) {
			if unclear {
				err = &unsure{err}
			}
			return nil, err
		}
		unclear = unclear || !refused(err)
		if err := pause(ctx, try); err != nil {
			return nil, err
		}
	}
}

// done is do for a request of which only the headers count.
func (s *service) done(ctx context.Context, r request) (http.Header, error) {
	resp, err := s.do(ctx, r)
	if err != nil {
		return nil, err
	}
	return drained(resp)
}

func drained(resp *http.Response) (http.Header, error) {
	_, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	return resp.Header, errors.Join(err, resp.Body.Close())
}

func (s *service) once(ctx context.Context, r request) (*http.Response, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	storage, err := s.conn.GetStorageUrl(ctx)
	if err != nil {
		return nil, s.notLoggedIn(shorten(err, nil))
	}
	opts := swift.RequestOpts{
		Container: s.container, ObjectName: r.object, Operation: r.method, Parameters: r.query,
		Headers: swift.Headers{"Content-Length": strconv.Itoa(len(r.body))},
		Retries: -1, // none of its own: it would send the rest of a body that was read already
		OnReAuth: func() (string, error) { // called with the lock of these held
			return s.conn.StorageUrl, nil
		},
	}
	for name, value := range r.header {
		opts.Headers[name] = value
	}
	if len(r.body) > 0 {
		lent := &loan{b: r.body}
		defer lent.end()
		opts.Body = lent
	}
	resp, headers, err := s.conn.Call(ctx, storage, opts)
	if err != nil {
		return nil, s.failed(shorten(err, headers), headers != nil)
	}
	if requestName(headers) != "" {
		s.named.Store(true)
	}
	return resp, nil
}

// failed says whose answer an error is. The library logs in again by itself, and
// then what it returns has no headers. A 404 without the name that other answers
// have is that of a load balancer or the like.
func (s *service) failed(err error, answered bool) error {
	var said *answer
	if !errors.As(err, &said) {
		return err
	}
	if !answered {
		return s.notLoggedIn(err)
	}
	said.front = said.status == http.StatusNotFound && said.request == "" && s.named.Load()
	return err
}

// loan lets a transport read a buffer until the request is answered. It may go
// on reading after that, when the buffer has the bytes of another object.
type loan struct {
	mu sync.Mutex
	b  []byte
	at int
	no bool
}

var errLoan = errors.New("the request is over")

func (l *loan) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.no {
		return 0, errLoan
	}
	n := copy(p, l.b[l.at:])
	if l.at += n; n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (l *loan) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.no, l.b = true, nil
}

// pause doubles from 0.1 s on, the second half of it at random, so that
// workers that were turned away together do not come back together.
func pause(ctx context.Context, try int) error {
	full := min(50*time.Millisecond<<min(try, 10), 5*time.Second)
	t := time.NewTimer(full/2 + rand.N(full/2))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
