package s3_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"log"
	"net/http"
	"os"
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
	h.Objects = 1100 // a page has 1,000
	h.Leftovers = func(t *testing.T, s backends.Store) []string { return uploadsOf(t, server, bucketOf(s)) }
	h.Sometimes = map[string]string{
		"D6 what is put beside a deletion is there afterwards": "it removes a directory that a Put is about to write into; the Put is then refused, as ExistingObjectIsDirectory",
	}
	backendtest.Run(t, h)
}

func TestConformanceMinIO(t *testing.T) {
	server := servers.MinIO(t)
	h := harness(t, server)
	h.LongSegments, h.Objects = false, 1100
	h.Violates = map[string]string{
		"Keys in each other's way": "MinIO takes a key below another one and then does not list it; a registry has none such",
	}
	// It lists uploads of exact keys only, but keeps all in one place.
	h.Leftovers = func(t *testing.T, s backends.Store) []string { return minioUploads(t, server) }
	backendtest.Run(t, h)
}

// TestConformanceSwift is on Swift's s3api. Each request is one to three
// Python servers, so there are few objects, and pages are tested elsewhere.
func TestConformanceSwift(t *testing.T) {
	server := servers.Swift(t).S3
	h := harness(t, server)
	h.FileUnderFile, h.LongSegments, h.Objects = true, true, 60
	h.Unconditional = true
	h.Leftovers = func(t *testing.T, s backends.Store) []string { return uploadsOf(t, server, bucketOf(s)) }
	var logged bytes.Buffer
	log.SetOutput(&logged)
	defer log.SetOutput(os.Stderr)
	backendtest.Run(t, h)
	t.Run("Parts are proved", func(t *testing.T) { provedByPayload(t, server) })
	if logged.Len() > 0 {
		t.Errorf("package net/http found something wrong: %.500s", &logged)
	}
}

// TestConformanceCeph is on RADOS Gateway, and runs by make test-ceph only.
func TestConformanceCeph(t *testing.T) {
	server := servers.Ceph(t)
	h := harness(t, server)
	h.FileUnderFile, h.LongSegments = true, true
	h.Unconditional = true // of 16.2
	h.Leftovers = func(t *testing.T, s backends.Store) []string { return uploadsOf(t, server, bucketOf(s)) }
	backendtest.Run(t, h)
	t.Run("Parts are proved", func(t *testing.T) { provedByPayload(t, server) })
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
		Deletes:  true, Replaces: true,
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

// uploadsOf leaves no connection behind that a case would be charged with.
func uploadsOf(t *testing.T, server *servers.S3Server, bucket string) []string {
	conns := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	out, err := server.Client.ListMultipartUploads(t.Context(), &awss3.ListMultipartUploadsInput{Bucket: &bucket},
		func(o *awss3.Options) { o.HTTPClient = conns })
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
