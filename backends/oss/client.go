package oss

import (
	"context"
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	sdk "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/credentials"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/parts"
)

// newClient makes the SDK's client, and the connections under it, which the
// caller closes.
func newClient(o Options) (*sdk.Client, *http.Client, error) {
	k, err := o.key()
	if err != nil {
		return nil, nil, err
	}
	conns := &http.Client{Transport: bodiless{transport(o.SkipVerify)}, CheckRedirect: noRedirect}
	version := sdk.SignatureVersionV4
	if o.Signature == "v1" {
		version = sdk.SignatureVersionV1
	}
	cfg := sdk.LoadDefaultConfig().WithRegion(o.Region).WithEndpoint(o.Endpoint).WithSignatureVersion(version).
		WithCredentialsProvider(credentials.NewStaticCredentialsProvider(k.id, k.secret, k.token)).
		WithHttpClient(conns).WithUserAgent("regferry").
		WithRetryer(retryer{}).WithRetryMaxAttempts(attempts)
	return sdk.NewClient(cfg, func(c *sdk.Options) {
		switch {
		case o.CNAME:
			c.UrlStyle = sdk.UrlStyleCName
		case o.pathStyle():
			c.UrlStyle = sdk.UrlStylePath
		default:
			c.UrlStyle = sdk.UrlStyleVirtualHosted
		}
		// The checks of the SDK tell a mismatch by an error's text, and send
		// again; here the CRCs are compared where they are known. Its correction
		// of the clock is a data race between requests.
		c.FeatureFlags &^= sdk.FeatureEnableCRC64CheckUpload | sdk.FeatureEnableCRC64CheckDownload | sdk.FeatureCorrectClockSkew
	}), conns, nil
}

func transport(skipVerify bool) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ForceAttemptHTTP2 = false
	parts.Tune(t)
	t.DisableCompression = true // the service packs texts for who accepts that, and then says no length
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: skipVerify}
	return t
}

// bodiless takes the body off requests that have none. The SDK gives them an
// empty reader, which it rewinds before it sends again, while the transport may
// still be reading from it.
type bodiless struct{ *http.Transport }

func (t bodiless) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.ContentLength == 0 && r.Method != http.MethodPut {
		c := *r
		c.Body = http.NoBody
		r = &c
	}
	return t.Transport.RoundTrip(r)
}

// noRedirect: a redirect means that the endpoint is wrong, and following it
// would pay for that with each request.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// attempts of one request; with the delays between them up to 12 s.
const attempts = 8

// retryer decides by the class of an error, where the SDK's own sends again
// what was refused with 401 or for the clock, and goes by texts.
type retryer struct{}

func (retryer) MaxAttempts() int { return attempts }

// IsErrorRetryable leaves out a certificate that is not trusted: it will not be
// in ten seconds.
func (retryer) IsErrorRetryable(err error) bool {
	if errors.As(err, new(*tls.CertificateVerificationError)) || errors.Is(err, context.Canceled) {
		return false
	}
	class := classOf(err)
	return class == backends.Throttled || class == backends.Transient
}

// RetryDelay doubles from 0.1 s on, the second half of it at random, so that
// workers that were turned away together do not come back together. The SDK
// counts the attempts from 2.
func (retryer) RetryDelay(attempt int, _ error) (time.Duration, error) {
	full := min(50*time.Millisecond<<min(max(attempt-1, 0), 10), 10*time.Second)
	return full/2 + rand.N(full/2), nil
}
