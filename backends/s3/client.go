package s3

import (
	"cmp"
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/logging"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/parts"
)

// newClient makes the SDK's client, and the connections under it, which the
// caller closes. It asks for credentials, so that their want is one clear
// error and not one of each request.
func newClient(ctx context.Context, o Options) (*s3.Client, *http.Client, error) {
	env, err := config.NewEnvConfig()
	if err != nil {
		return nil, nil, fmt.Errorf("AWS configuration: %w", err)
	}
	base := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { tune(t, o.SkipVerify) })
	load := []func(*config.LoadOptions) error{
		config.WithHTTPClient(base),
		config.WithRetryer(func() aws.Retryer { return newRetryer(cmp.Or(env.RetryMaxAttempts, attempts)) }),
		config.WithAppID("regferry"),
		// Its own writes to stderr, such as that a connection cannot be used again.
		config.WithLogger(logging.Nop{}),
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
	if o.Profile != "" {
		load = append(load, config.WithSharedConfigProfile(o.Profile))
	}
	cfg, err := aws.Config{}, error(nil)
	if o.AccessKeyID != "" {
		cfg, err = withKeys(o, env, base)
	} else {
		cfg, err = config.LoadDefaultConfig(ctx, load...)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("AWS configuration: %w", err)
	}
	if o.OnlyAWS {
		cfg.BaseEndpoint = nil
	}
	// The configuration's own CA bundle (AWS_CA_BUNDLE) is in the transport now.
	if b, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok {
		base = b
	}
	conns := &http.Client{Transport: &heads{Transport: base.GetTransport()}, CheckRedirect: noRedirect}
	cfg.HTTPClient = conns
	if cfg.Region == "" && (o.Endpoint != "" || cfg.BaseEndpoint != nil) {
		cfg.Region = "us-east-1" // only a part of the signature there
	}
	if cfg.Region == "" {
		return nil, nil, backends.Refuse(backends.Unsupported, "the region is not known: add ?region=eu-central-1, or set AWS_REGION")
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		return nil, nil, noCredentials(ctx, err)
	}
	cfg.Credentials = provider{cfg.Credentials}
	return s3.NewFromConfig(cfg, func(c *s3.Options) { adjust(c, o) }), conns, nil
}

// withKeys is the configuration for keys that are given. Profile, token and
// endpoint of the environment belong to others, maybe to the other side.
func withKeys(o Options, env config.EnvConfig, base *awshttp.BuildableClient) (cfg aws.Config, err error) {
	if env.CustomCABundle != "" {
		pem, err := os.ReadFile(env.CustomCABundle)
		if err != nil {
			return cfg, fmt.Errorf("AWS_CA_BUNDLE: %w", err)
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(pem) {
			return cfg, fmt.Errorf("AWS_CA_BUNDLE: %s has no certificate", env.CustomCABundle)
		}
		base = base.WithTransportOptions(func(t *http.Transport) { t.TLSClientConfig.RootCAs = roots })
	}
	return aws.Config{
		Region: cmp.Or(o.Region, env.Region), HTTPClient: base, AppID: "regferry", Logger: logging.Nop{},
		Credentials:                credentials.NewStaticCredentialsProvider(string(o.AccessKeyID), string(o.SecretAccessKey), ""),
		Retryer:                    func() aws.Retryer { return newRetryer(cmp.Or(env.RetryMaxAttempts, attempts)) },
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	}, nil
}

func adjust(c *s3.Options, o Options) {
	switch {
	case o.Endpoint != "":
		c.BaseEndpoint = &o.Endpoint
	case o.OnlyAWS:
		c.BaseEndpoint = nil // of AWS_ENDPOINT_URL_S3 or a profile
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

// tune: the SDK keeps 10 connections in all.
func tune(t *http.Transport, skipVerify bool) {
	parts.Tune(t)
	t.TLSClientConfig.InsecureSkipVerify = skipVerify
}

// noRedirect: a redirect means that the region or the endpoint is wrong, and
// following it would pay for that with each request.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// endpointOf is where the client talks to, empty for AWS itself.
func endpointOf(c *s3.Client, o Options) string {
	return cmp.Or(o.Endpoint, aws.ToString(c.Options().BaseEndpoint))
}
