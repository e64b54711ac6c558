package gcs

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/googleapis/gax-go/v2"

	"github.com/regferry/regferry/backends"
)

// attempts of one request. With the delays between them that is up to 12 s of
// a service that is away; beyond that it is the caller who knows whether to go
// on.
const attempts = 8

// backoff is delay as the SDK wants it, which takes a random part of each.
var backoff = gax.Backoff{Initial: 100 * time.Millisecond, Max: 10 * time.Second, Multiplier: 2}

// delay doubles from 0.1 s on, the second half of it at random, so that
// workers that were turned away together do not come back together.
func delay(attempt int) time.Duration {
	full := min(50*time.Millisecond<<min(attempt, 10), 10*time.Second)
	return full/2 + rand.N(full/2)
}

// again says whether the same request may work when it is made once more. A
// certificate that is not trusted, or a proxy's page in the place of an answer,
// will be the same in ten seconds.
func again(err error) bool {
	if errors.As(err, new(*tls.CertificateVerificationError)) || errors.As(err, new(*json.SyntaxError)) {
		return false
	}
	switch classOf(err) {
	case backends.Throttled, backends.Transient:
		return true
	}
	return false
}

// retry is for requests that can be made twice.
func retry(ctx context.Context, f func() error) error {
	for attempt := 1; ; attempt++ {
		err := f()
		if err == nil || attempt == attempts || !again(err) {
			return err
		}
		if wait(ctx, attempt) != nil {
			return errors.Join(ctx.Err(), err)
		}
	}
}

func wait(ctx context.Context, attempt int) error {
	timer := time.NewTimer(delay(attempt))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
