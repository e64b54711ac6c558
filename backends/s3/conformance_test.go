package s3_test

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest"
	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/backends/s3"
)

const partSize = 5 << 20

func TestConformanceVersityGW(t *testing.T) {
	server := servers.VersityGW(t)
	h := harness(t, server)
	h.Leftovers = func(t *testing.T, s backends.Store) []string { return uploadsOf(t, server, bucketOf(s)) }
	backendtest.Run(t, h)
}

func TestConformanceMinIO(t *testing.T) {
	server := servers.MinIO(t)
	h := harness(t, server)
	h.LongSegments = false
	h.Violates = map[string]string{
		"Keys in each other's way": "MinIO takes a key below another one and then does not list it; a registry has none such",
	}
	// It lists uploads of exact keys only, but keeps all in one place.
	h.Leftovers = func(t *testing.T, s backends.Store) []string { return minioUploads(t, server) }
	backendtest.Run(t, h)
}

// harness gives each store a prefix of its own in one bucket. Parts go one
// after the other, so that an upload that is to be interrupted cannot be over
// before.
func harness(t *testing.T, server *servers.S3Server) backendtest.Harness {
	server.Credentials(t)
	server.Bucket(t, "conformance")
	var n atomic.Int64
	return backendtest.Harness{
		Open: func(t *testing.T) backends.Store {
			return open(t, s3.Options{Bucket: "conformance", Prefix: fmt.Sprintf("store %d/of", n.Add(1)), Endpoint: server.Endpoint, PathStyle: true, PartSize: partSize, Parallel: 1})
		},
		Reopen: func(t *testing.T, s backends.Store) backends.Store {
			o := s3.Options{Bucket: "conformance", Endpoint: server.Endpoint, PathStyle: true, PartSize: partSize, Parallel: 1}
			_, rest, _ := strings.Cut(s.Location(), "conformance/")
			o.Prefix, _, _ = strings.Cut(strings.ReplaceAll(rest, "%20", " "), "?")
			return open(t, o)
		},
		PartSize: partSize,
		Resumes:  true,
	}
}

func open(t *testing.T, o s3.Options) backends.Store {
	t.Helper()
	s, err := s3.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func bucketOf(s backends.Store) string {
	rest, _ := strings.CutPrefix(s.Location(), "s3://")
	name, _, _ := strings.Cut(rest, "/")
	return name
}

func uploadsOf(t *testing.T, server *servers.S3Server, bucket string) []string {
	out, err := server.Client.ListMultipartUploads(t.Context(), &awss3.ListMultipartUploadsInput{Bucket: &bucket})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, u := range out.Uploads {
		all = append(all, aws.ToString(u.Key)+" "+aws.ToString(u.UploadId))
	}
	return all
}

func minioUploads(t *testing.T, server *servers.S3Server) []string {
	var all []string
	root := filepath.Join(server.Dir, ".minio.sys", "multipart")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "xl.meta" {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
