package s3

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// Configured is o with the endpoint that it is opened with: where it names
// none, that of the AWS configuration (AWS_ENDPOINT_URL, AWS_ENDPOINT_URL_S3,
// the profile), if that has one. Files are read, and nothing is asked.
func (o Options) Configured(ctx context.Context) (Options, error) {
	if o.Endpoint != "" || o.OnlyAWS || o.AccessKeyID != "" {
		return o, nil
	}
	var load []func(*config.LoadOptions) error
	if o.Profile != "" {
		load = append(load, config.WithSharedConfigProfile(o.Profile))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return o, fmt.Errorf("AWS configuration: %w", err)
	}
	o.Endpoint = endpointOf(s3.NewFromConfig(cfg), o)
	return o, nil
}

// AddressOf is the address of AWS in a region, for a client that knows no
// region of that name: https://s3.eu-south-2.amazonaws.com.
func AddressOf(region string) (string, error) {
	// The context is for resolvers that ask somebody.
	e, err := s3.NewDefaultEndpointResolverV2().ResolveEndpoint(context.Background(), s3.EndpointParameters{Region: &region})
	if err != nil {
		return "", fmt.Errorf("the region %q has no address: %w", region, err)
	}
	return e.URI.String(), nil
}
