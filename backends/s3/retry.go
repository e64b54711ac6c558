package s3

import (
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
)

// attempts of one request. With the delays between them that is up to 12 s of
// a service that is away; beyond that it is the caller who knows whether to go
// on. AWS_MAX_ATTEMPTS, which the SDK ignores beside a retryer of one's own,
// says otherwise.
const attempts = 8

// delay doubles from 0.1 s on, the second half of it at random, so that
// workers that were turned away together do not come back together. The SDK's
// own begins with up to 2 s, for one SlowDown among thousands of requests.
func delay(attempt int, _ error) (time.Duration, error) {
	full := min(50*time.Millisecond<<min(attempt, 10), 10*time.Second)
	return full/2 + rand.N(full/2), nil
}

// hopelessTLS: a certificate that is not trusted will not be in ten seconds.
func hopelessTLS(err error) aws.Ternary {
	if errors.As(err, new(*tls.CertificateVerificationError)) {
		return aws.FalseTernary
	}
	return aws.UnknownTernary
}

// newRetryer has no token bucket: the SDK's own, of 500 tokens for a client,
// is empty after 100 retries, so that with 32 workers an outage of seconds
// turns into errors that are not tried again at all.
//
// It also retries answers that cannot be parsed: a listing that was cut is one.
func newRetryer(attempts int) aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = attempts
		o.Backoff = retry.BackoffDelayerFunc(delay)
		o.RateLimiter = ratelimit.None
		o.Retryables = append([]retry.IsErrorRetryable{retry.IsErrorRetryableFunc(hopelessTLS)}, o.Retryables...)
		o.Retryables = append(o.Retryables, retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
			var parse *smithy.DeserializationError
			if errors.As(err, &parse) || errors.Is(err, io.ErrUnexpectedEOF) {
				return aws.TrueTernary
			}
			return aws.UnknownTernary
		}), retry.RetryableHTTPStatusCode{Codes: map[int]struct{}{408: {}, 429: {}}},
			retry.RetryableErrorCode{Codes: map[string]struct{}{
				"InternalError": {}, "ServiceUnavailable": {}, "SlowDownRead": {}, "SlowDownWrite": {}, "OperationAborted": {},
			}})
	})
}
