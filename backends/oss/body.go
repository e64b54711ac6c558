package oss

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	sdk "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
)

// body is what one request sends. A transport may go on reading after the
// service has answered, or the request was cancelled; when the request is over
// its buffer has another owner.
type body struct {
	mu sync.Mutex
	r  *bytes.Reader // nil when it is over
}

var errOver = errors.New("the request is over")

// Read reads, or says that the request is over.
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.r == nil {
		return 0, errOver
	}
	return b.r.Read(p)
}

func (b *body) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.r = nil
}

// sending makes a request with a body, and again where that may help. The SDK
// would rewind one reader while the transport still reads from it, and so send
// something else; it leaves alone what cannot be rewound, as this.
func sending(ctx context.Context, content []byte, send func(io.Reader) error) error {
	return again(ctx, func() error {
		b := &body{r: bytes.NewReader(content)}
		defer b.end()
		return send(b)
	})
}

// once has the SDK make a request whose body it makes itself, and so would
// rewind, only once: again does the rest.
func once(o *sdk.Options) { o.RetryMaxAttempts = sdk.Ptr(1) }

// again makes a request, and again where that may help.
func again(ctx context.Context, send func() error) error {
	for try := 1; ; try++ {
		err := send()
		if err == nil || try == attempts || ctx.Err() != nil || !(retryer{}).IsErrorRetryable(err) {
			return ended(ctx, err)
		}
		delay, _ := retryer{}.RetryDelay(try+1, err)
		select {
		case <-ctx.Done():
			return ended(ctx, err)
		case <-time.After(delay):
		}
	}
}
