package s3

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/regferry/regferry/backends"
)

// newClient makes the SDK's client, and the connections under it, which the
// caller closes. It asks for credentials, so that their want is one clear
// error and not one of each request.
func newClient(ctx context.Context, o Options) (*s3.Client, *http.Client, error) {
	base := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { tune(t, o.SkipVerify) })
	load := []func(*config.LoadOptions) error{
		config.WithHTTPClient(base),
		config.WithRetryer(newRetryer),
		config.WithAppID("regferry"),
		// The SDK's default would add a CRC32 in a trailer to each upload, which
		// other services refuse or store as content, and check one of each
		// download. What is written here has its SHA-256 instead, and who reads
		// has the digest.
		config.WithRequestChecksumCalculation(aws.RequestChecksumCalculationWhenRequired),
		config.WithResponseChecksumValidation(aws.ResponseChecksumValidationWhenRequired),
	}
	if o.Region != "" {
		load = append(load, config.WithRegion(o.Region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, nil, fmt.Errorf("AWS configuration: %w", err)
	}
	// The configuration's own CA bundle (AWS_CA_BUNDLE) is in the transport now.
	conns := &http.Client{Transport: base.GetTransport(), CheckRedirect: noRedirect}
	if b, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok {
		conns.Transport = b.GetTransport()
	}
	cfg.HTTPClient = conns
	if cfg.Region == "" && (o.Endpoint != "" || cfg.BaseEndpoint != nil) {
		cfg.Region = "us-east-1" // only a part of the signature there
	}
	if cfg.Region == "" {
		return nil, nil, &refusal{backends.Unsupported, "the region is not known: add ?region=eu-central-1, or set AWS_REGION"}
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		return nil, nil, &credentialsError{err}
	}
	return s3.NewFromConfig(cfg, func(c *s3.Options) { adjust(c, o) }), conns, nil
}

func adjust(c *s3.Options, o Options) {
	if o.Endpoint != "" {
		c.BaseEndpoint = &o.Endpoint
	}
	c.UsePathStyle = o.PathStyle
	c.UseAccelerate = o.Accelerate
	if o.DualStack {
		c.EndpointOptions.UseDualStackEndpoint = aws.DualStackEndpointStateEnabled
	}
	if o.FIPS {
		c.EndpointOptions.UseFIPSEndpoint = aws.FIPSEndpointStateEnabled
	}
}

// tune lets each worker keep its connection; the SDK keeps 10 in all. A service
// may think for minutes before it answers that an upload is complete, but not
// for ever: a connection that a firewall dropped says nothing.
func tune(t *http.Transport, skipVerify bool) {
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 256, 256
	t.ResponseHeaderTimeout = 5 * time.Minute
	t.WriteBufferSize, t.ReadBufferSize = 64<<10, 64<<10
	t.TLSClientConfig.InsecureSkipVerify = skipVerify
}

// noRedirect: a redirect means that the region or the endpoint is wrong, and
// following it would pay for that with each request.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

type credentialsError struct{ err error }

func (e *credentialsError) Error() string {
	return "no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE, or run where a role is attached: " + e.err.Error()
}
func (e *credentialsError) Unwrap() []error { return []error{backends.Denied, e.err} }

// endpointOf is where the client talks to, empty for AWS itself.
func endpointOf(c *s3.Client, o Options) string {
	return cmp.Or(o.Endpoint, aws.ToString(c.Options().BaseEndpoint))
}
