package parts

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// The patience of a driver's connections. A service may think for minutes before
// it answers that an upload is complete, but not for ever: a connection that a
// firewall dropped says nothing. A stall is longer, since whoever waits for an
// answer to begin gets no byte either.
const (
	answerMost = 5 * time.Minute
	stall      = answerMost + time.Minute
)

// Tune lets each worker keep its connection, and none wait for ever.
func Tune(t *http.Transport) {
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 256, 256
	t.ResponseHeaderTimeout = answerMost
	t.WriteBufferSize, t.ReadBufferSize = 64<<10, 64<<10
	t.DialContext = Dial(t.DialContext).Within(stall)
}

// Dial makes connections, as http.Transport's DialContext does.
type Dial func(ctx context.Context, network, addr string) (net.Conn, error)

// Within fails connections on which a Read waits, or a Write, and for the given
// time no byte comes or goes: a proxy may keep one open and say nothing more of an
// answer that has begun. HTTP knows no limit for that but one of the whole body.
func (dial Dial) Within(limit time.Duration) Dial {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &conn{Conn: c, limit: limit}, nil
	}
}

// conn moves its deadlines on, until somebody sets one.
type conn struct {
	net.Conn
	limit time.Duration
	taken atomic.Bool // by TLS when it takes leave, or a proxy's greeting
	over  atomic.Bool // it has stalled
}

// stalled is a net.Error, and unlike a context's end no decision of anybody.
type stalled struct {
	limit time.Duration
	err   error
}

func (s *stalled) Error() string   { return fmt.Sprintf("no byte came or went for %v", s.limit) }
func (s *stalled) Unwrap() error   { return s.err }
func (s *stalled) Timeout() bool   { return true }
func (s *stalled) Temporary() bool { return true }

// Read has its time from now on: who reads slowly is not at fault.
func (c *conn) Read(p []byte) (int, error) {
	c.extend(c.Conn.SetReadDeadline)
	n, err := c.Conn.Read(p)
	return n, c.failed(err)
}

// writeMost is how many bytes have to go within the limit: those of a whole part
// do not on a slow line.
const writeMost = 64 << 10

// Write gives a Read that waits for the answer its time as well.
func (c *conn) Write(p []byte) (n int, err error) {
	for err == nil && n < len(p) {
		c.extend(c.Conn.SetDeadline)
		var some int
		some, err = c.Conn.Write(p[n:min(len(p), n+writeMost)])
		n += some
	}
	c.extend(c.Conn.SetReadDeadline)
	return n, c.failed(err)
}

func (c *conn) extend(set func(time.Time) error) {
	if !c.taken.Load() {
		_ = set(time.Now().Add(c.limit)) // fails where the connection is closed, as what follows will say
	}
}

// failed: after a Read that had to wait too long, HTTP closes the connection under
// the Write that waits as well.
func (c *conn) failed(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) && !c.taken.Load() {
		c.over.Store(true)
	}
	if err != nil && c.over.Load() {
		return &stalled{c.limit, err}
	}
	return err
}

// SetDeadline and those below have what they set respected; no time gives it back.
func (c *conn) SetDeadline(t time.Time) error {
	c.taken.Store(!t.IsZero())
	return c.Conn.SetDeadline(t)
}

// SetReadDeadline is as SetDeadline.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.taken.Store(!t.IsZero())
	return c.Conn.SetReadDeadline(t)
}

// SetWriteDeadline is as SetDeadline.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.taken.Store(!t.IsZero())
	return c.Conn.SetWriteDeadline(t)
}
