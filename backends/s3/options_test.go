package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/regferry/regferry/backends"
)

func TestLocation(t *testing.T) {
	for _, c := range []struct {
		o        Options
		endpoint string
		want     string
	}{
		{Options{Bucket: "b"}, "", "s3://b"},
		{Options{Bucket: "b", Prefix: "/a b/c/", Region: "eu-west-1"}, "", "s3://b/a%20b/c"},
		{Options{Bucket: "b", Region: "eu-west-1"}, "https://s3.dualstack.eu-west-1.amazonaws.com", "s3://b"},
		{Options{Bucket: "b", Region: "cn-north-1"}, "", "s3://b?region=cn-north-1"},
		{Options{Bucket: "b", Region: "cn-north-1"}, "https://MinIO.example.com:443/", "s3://b?endpoint=https://minio.example.com"},
		{Options{Bucket: "b", Prefix: "p"}, "http://127.0.0.1:17070", "s3://b/p?endpoint=http://127.0.0.1:17070"},
		{Options{Bucket: "b"}, "https://h:80", "s3://b?endpoint=https://h:80"},
	} {
		o, err := c.o.withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		if got := o.location(c.endpoint); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		o    Options
		want string // in the refusal; empty for none
	}{
		{Options{Bucket: "b"}, ""},
		{Options{Bucket: "b", Encrypt: true, KeyID: "k", ACL: "private", PartSize: 5 << 30}, ""},
		{Options{}, "no bucket"},
		{Options{Bucket: "b--use1-az4--x-s3"}, "directory bucket"},
		{Options{Bucket: "b", Prefix: "a/../b"}, "no path"},
		{Options{Bucket: "b", PartSize: 1 << 20}, "5 MiB"},
		{Options{Bucket: "b", PartSize: 6 << 30}, "5 MiB"},
		{Options{Bucket: "b", KeyID: "k"}, "encryption"},
		{Options{Bucket: "b", ACL: "everybody"}, "bucket-owner-full-control"},
		{Options{Bucket: "b", Endpoint: "minio:9000"}, "an endpoint is"},
		{Options{Bucket: "b", Endpoint: "https://user:secret@minio:9000"}, "nothing else"},
		{Options{Bucket: "b", Endpoint: "https://minio", Accelerate: true}, "acceleration"},
	} {
		_, err := c.o.withDefaults()
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%+v: %v", c.o, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret")):
			t.Errorf("%+v: %v, want %q", c.o, err, c.want)
		}
	}
}

func TestPartSize(t *testing.T) {
	o := Options{PartSize: 16 << 20}
	for _, size := range []int64{1, 16<<20 + 1, 10_000 * (16 << 20), 10_000*(16<<20) + 1, 1 << 40, maxSize} {
		part := o.partSize(size)
		if part < o.PartSize || part > maxPart || (size+part-1)/part > maxParts {
			t.Errorf("%d bytes in parts of %d", size, part)
		}
	}
	if got := o.partSize(10_000 * (16 << 20)); got != 16<<20 {
		t.Errorf("a part grows to %d before it has to", got)
	}
}

// TestContinued looks at what ListParts can say that must not be used.
func TestContinued(t *testing.T) {
	const part = 8 << 20 // that of the run before, not of this one
	s := &Store{Reader: &Reader{o: Options{PartSize: 5 << 20}}}
	parts := func(sizes ...int64) (list []types.Part) {
		for i, size := range sizes {
			list = append(list, types.Part{PartNumber: aws.Int32(int32(i + 1)), Size: &size, ETag: aws.String("x")})
		}
		return list
	}
	gap := parts(part, part, part)
	gap[1].PartNumber = aws.Int32(3)
	for _, c := range []struct {
		name   string
		offset int64
		parts  []types.Part
		want   int // parts used, -1 for none
	}{
		{"all of it", 2 * part, parts(part, part), 2},
		{"less than is there", part, parts(part, part), 1},
		{"up to the end", 2*part + 100, parts(part, part, 100), 3},
		{"nothing there", part, nil, -1},
		{"more than is there", 2 * part, parts(part), -1},
		{"not where a part ends", part + 1, parts(part, part), -1},
		{"a gap", 2 * part, gap, -1},
		{"a short part", 2 * part, parts(part, part-1), -1},
		{"a short last one", 2*part + 100, parts(part, part, 99), -1},
		{"no size", part, parts(0), -1},
	} {
		u := s.continued("k", backends.Content{Size: 2*part + 100, From: backends.Upload{Token: "t", Offset: c.offset}}, c.parts)
		switch {
		case (u == nil) != (c.want < 0):
			t.Errorf("%s: used: %v", c.name, u != nil)
		case u != nil && (u.Start != c.want || u.Part != part || u.Token != "t" || len(u.parts) != 3):
			t.Errorf("%s: %d parts of %d", c.name, u.Start, u.Part)
		}
	}
}

func TestClasses(t *testing.T) {
	status := func(code int) error {
		return &awshttp.ResponseError{ResponseError: &smithyhttp.ResponseError{
			Response: &smithyhttp.Response{Response: &http.Response{StatusCode: code}}, Err: errors.New("x")}}
	}
	api := func(code string) error { return &smithy.GenericAPIError{Code: code} }
	for _, c := range []struct {
		err  error
		want backends.Class
	}{
		{api("NoSuchKey"), backends.NotFound}, {api("NoSuchBucket"), backends.Denied}, {api("ExpiredToken"), backends.Denied},
		{api("ThrottlingException"), backends.Throttled}, {api("KMS.DisabledException"), backends.Denied}, {api("BadDigest"), backends.Corrupt},
		{api("QuotaExceeded"), backends.Full}, {api("ObjectParentIsFile"), backends.Unsupported}, {api("FromTheFuture"), backends.Unknown},
		{status(404), backends.Transient}, {api("NotFound"), backends.Unknown}, {status(403), backends.Denied}, {status(429), backends.Throttled}, {status(503), backends.Throttled},
		{status(500), backends.Transient}, {status(502), backends.Transient}, {status(507), backends.Full}, {status(501), backends.Unsupported}, {status(400), backends.Unknown},
		{&smithyhttp.RequestSendError{Err: io.EOF}, backends.Transient}, {&smithy.DeserializationError{Err: io.EOF}, backends.Transient},
		{&smithyhttp.RequestSendError{Err: context.Canceled}, backends.Unknown}, {backends.SizeError{Got: 1, Want: 2}, backends.Changed},
		{backends.SourceError{Err: api("NoSuchKey")}, backends.Unknown}, {errors.New("x"), backends.Unknown},
	} {
		if got := classOf(fmt.Errorf("above: %w", c.err)); got != c.want {
			t.Errorf("%v is %v, want %v", c.err, got, c.want)
		}
	}
}

func TestKeys(t *testing.T) {
	for key, ok := range map[string]bool{
		"docker/registry/v2/x": true, "a b/é": true, "...": true, ".x/x.": true, strings.Repeat("k", 1024): true,
		"": false, "/a": false, "a/": false, "a//b": false, ".": false, "a/..": false, "./a": false,
		"a\x00": false, "a\n": false, "\xff": false, strings.Repeat("k", 1025): false,
	} {
		if err := backends.CheckKey(key, maxKey); (err == nil) != ok || err != nil && classOf(err) != backends.Unsupported {
			t.Errorf("%.40q: %v", key, err)
		}
	}
}
