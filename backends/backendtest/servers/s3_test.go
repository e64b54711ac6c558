package servers

import (
	"bytes"
	"io"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// TestS3 starts each service, stores and reads an object, and stops it.
func TestS3(t *testing.T) {
	for name, start := range map[string]func(testing.TB) *S3Server{
		"versitygw": VersityGW, "minio": MinIO,
		"swift": func(t testing.TB) *S3Server { return Swift(t).S3 },
		"ceph":  Ceph,
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			s.Bucket(t, "registry")
			at, key := aws.String("registry"), aws.String("docker/registry/v2/x")
			_, err := s.Client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: at, Key: key, Body: bytes.NewReader([]byte("content"))})
			if err != nil {
				t.Fatal(err)
			}
			out := must(s.Client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: at, Key: key}))
			if got := string(must(io.ReadAll(out.Body))); got != "content" {
				t.Errorf("read %q", got)
			}
			s.Stop()
			s.Stop()
			if _, err := s.Client.ListBuckets(t.Context(), &s3.ListBucketsInput{}); err == nil {
				t.Error("it answers after Stop")
			}
		})
	}
}
