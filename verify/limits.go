package verify

import (
	"context"
	"io"
	"time"

	"golang.org/x/time/rate"
)

// NewRate limits to so many bytes a second, 0 for no limit.
func NewRate(bandwidth int64) *rate.Limiter {
	l := rate.NewLimiter(rate.Inf, 0)
	SetRate(l, bandwidth)
	return l
}

// SetRate changes the limit, for bodies that are being read, too.
func SetRate(l *rate.Limiter, bandwidth int64) {
	if bandwidth <= 0 {
		l.SetLimit(rate.Inf)
		return
	}
	l.SetBurst(int(min(max(bandwidth/8, 64<<10), 8<<20)))
	l.SetLimit(rate.Limit(bandwidth))
}

// Paced is a body that keeps to the bandwidth.
func Paced(ctx context.Context, body io.ReadCloser, bandwidth *rate.Limiter) io.ReadCloser {
	return paced{body, ctx, bandwidth}
}

type paced struct {
	io.ReadCloser
	ctx  context.Context
	rate *rate.Limiter
}

func (p paced) Read(b []byte) (int, error) {
	if p.rate.Limit() == rate.Inf {
		return p.ReadCloser.Read(b)
	}
	if most := p.rate.Burst(); len(b) > most {
		b = b[:most]
	}
	n, err := p.ReadCloser.Read(b)
	if n > 0 {
		// Not WaitN: it fails at once, and with an error of its own, when the
		// context will end before the bytes are due.
		due := p.rate.ReserveN(time.Now(), n)
		if !due.OK() {
			return n, err // the limit was lowered meanwhile; the next read keeps to it
		}
		t := time.NewTimer(due.Delay())
		defer t.Stop()
		select {
		case <-p.ctx.Done():
			return n, p.ctx.Err()
		case <-t.C:
		}
	}
	return n, err
}
