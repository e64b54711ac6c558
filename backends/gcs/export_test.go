package gcs

import (
	"context"
	"net/http"

	"cloud.google.com/go/storage"
	"google.golang.org/api/option"
)

// Forget has the store ask for its bucket again when an object is missing.
func (r *Reader) Forget() { r.seen.Store(0) }

// Around has what the SDK asks go through wrap.
func (r *Reader) Around(ctx context.Context, wrap func(http.RoundTripper) http.RoundTripper) error {
	sdk, err := storage.NewClient(ctx, option.WithHTTPClient(&http.Client{Transport: wrap(r.http.Transport)}), option.WithEndpoint(r.o.endpoint()+"/storage/v1/"),
		option.WithoutAuthentication(), option.WithTelemetryDisabled(), storage.WithJSONReads())
	if err == nil {
		r.bucket = sdk.Bucket(r.o.Bucket)
	}
	return err
}
