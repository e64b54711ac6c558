package s3

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/regferry/regferry/backends"
)

// TestNoAnswer: what is not given up half way ends by its own limit, and then it
// is the service that is away, also for who counts how long it has been.
func TestNoAnswer(t *testing.T) {
	for what, ask := range map[string]func(context.Context, *Store) error{
		"delete": func(ctx context.Context, s *Store) error { return s.Delete(ctx, "k") },
		"begin": func(ctx context.Context, s *Store) error {
			_, err := s.newUpload("k", backends.Content{Size: 1}, minPart).begin(ctx)
			return fail("put", "k", err)
		},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				silent := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
					near, far := net.Pipe()
					go io.Copy(io.Discard, far)
					return near, nil
				}}
				defer silent.CloseIdleConnections()
				s := &Store{Reader: &Reader{o: Options{Bucket: "b"}, client: s3.New(s3.Options{
					Region: "r", BaseEndpoint: aws.String("http://silent"), UsePathStyle: true, HTTPClient: &http.Client{Transport: silent},
					Credentials: credentials.NewStaticCredentialsProvider("k", "s", ""),
				})}}
				err := ask(t.Context(), s)
				if backends.ClassOf(err) != backends.Transient || backends.Ended(err) {
					t.Errorf("%v: class %v, ended %v", err, backends.ClassOf(err), backends.Ended(err))
				}
			})
		})
	}
}
