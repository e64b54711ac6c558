package fakeoss_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"fmt"
	"hash/crc64"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	sdk "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/credentials"
	"github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss/retry"

	"github.com/regferry/regferry/backends/backendtest/fakeoss"
)

var bucket = sdk.Ptr("bucket")

// start starts a server with one key, "id" and "secret".
func start(t *testing.T) (*fakeoss.Server, *httptest.Server) {
	t.Helper()
	s := &fakeoss.Server{Region: "cn-hangzhou", Dir: t.TempDir(), Keys: map[string]fakeoss.Key{"id": {Secret: "secret"}}}
	s.Bucket("bucket")
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	return s, h
}

// client is the vendor's, without retries.
func client(endpoint string, change ...func(*sdk.Config)) *sdk.Client {
	cfg := sdk.LoadDefaultConfig().WithRegion("cn-hangzhou").WithEndpoint(endpoint).
		WithCredentialsProvider(credentials.NewStaticCredentialsProvider("id", "secret")).WithRetryer(retry.NopRetryer{})
	for _, c := range change {
		c(cfg)
	}
	return sdk.NewClient(cfg)
}

func put(t *testing.T, c *sdk.Client, key, content string) *sdk.PutObjectResult {
	t.Helper()
	out, err := c.PutObject(t.Context(), &sdk.PutObjectRequest{Bucket: bucket, Key: &key, Body: strings.NewReader(content)})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func get(t *testing.T, c *sdk.Client, key, ranged, behaviour string) (int, string) {
	t.Helper()
	in := &sdk.GetObjectRequest{Bucket: bucket, Key: &key}
	if ranged != "" {
		in.Range = &ranged
	}
	if behaviour != "" {
		in.RangeBehavior = &behaviour
	}
	out, err := c.GetObject(t.Context(), in)
	if err != nil {
		return 0, code(err)
	}
	defer out.Body.Close()
	all, err := io.ReadAll(out.Body)
	if err != nil {
		t.Fatal(err)
	}
	return out.StatusCode, string(all)
}

func code(err error) string {
	for ; err != nil; err = unwrapped(err) {
		if s, ok := err.(*sdk.ServiceError); ok {
			return s.Code
		}
	}
	return ""
}

func unwrapped(err error) error {
	if u, ok := err.(interface{ Unwrap() error }); ok {
		return u.Unwrap()
	}
	return nil
}

// TestAddresses: path, host, and a domain of the bucket's own, with both
// signatures.
func TestAddresses(t *testing.T) {
	s, h := start(t)
	domain := httptest.NewServer(s.Domain("bucket"))
	defer domain.Close()
	anywhere := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, h.Listener.Addr().String())
	}}}
	for name, change := range map[string]func(*sdk.Config){
		"path": func(*sdk.Config) {},
		"host": func(c *sdk.Config) { c.WithEndpoint("http://oss-cn-hangzhou.aliyuncs.com").WithHttpClient(anywhere) },
		"domain": func(c *sdk.Config) {
			c.WithEndpoint(strings.Replace(domain.URL, "127.0.0.1", "localhost", 1)).WithUseCName(true)
		},
	} {
		for _, version := range []sdk.SignatureVersionType{sdk.SignatureVersionV1, sdk.SignatureVersionV4} {
			c := client(h.URL, change, func(c *sdk.Config) { c.WithSignatureVersion(version) })
			key := "a b/ü+%25&=/" + name
			put(t, c, key, name)
			if status, got := get(t, c, key, "", ""); status != 200 || got != name {
				t.Errorf("%s: %d %q", name, status, got)
			}
		}
	}
}

func TestSignatures(t *testing.T) {
	s, h := start(t)
	s.Know("sts", fakeoss.Key{Secret: "secret", Token: "token"})
	s.Know("old", fakeoss.Key{Secret: "secret", Token: "token", Expires: time.Now().Add(-time.Second)})
	for _, version := range []sdk.SignatureVersionType{sdk.SignatureVersionV1, sdk.SignatureVersionV4} {
		for _, c := range []struct{ id, secret, token, want string }{
			{"id", "secret", "", ""},
			{"sts", "secret", "token", ""},
			{"id", "wrong", "", "SignatureDoesNotMatch"},
			{"nobody", "secret", "", "InvalidAccessKeyId"},
			{"sts", "secret", "", "InvalidSecurityToken"},
			{"sts", "secret", "other", "InvalidSecurityToken"},
			{"id", "secret", "token", "InvalidSecurityToken"},
			{"old", "secret", "token", "SecurityTokenExpired"},
		} {
			cl := client(h.URL, func(cfg *sdk.Config) {
				cfg.WithSignatureVersion(version).WithCredentialsProvider(credentials.NewStaticCredentialsProvider(c.id, c.secret, c.token))
			})
			_, err := cl.PutObject(t.Context(), &sdk.PutObjectRequest{Bucket: bucket, Key: sdk.Ptr("k"), Body: strings.NewReader("x")})
			if (err == nil) != (c.want == "") || code(err) != c.want {
				t.Errorf("%v %+v: %v", version, c, err)
			}
		}
	}
	_, err := client(h.URL, func(c *sdk.Config) { c.WithRegion("cn-beijing") }).ListObjectsV2(t.Context(), &sdk.ListObjectsV2Request{Bucket: bucket})
	if code(err) != "InvalidArgument" {
		t.Errorf("another region: %v", err)
	}
	resp, err := http.Get(h.URL + "/bucket/k")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("not signed: %s", resp.Status)
	}
}

// TestTampered: what is signed cannot be changed on the way.
func TestTampered(t *testing.T) {
	_, h := start(t)
	for what, tamper := range map[string]func(*http.Request){
		"the method":    func(r *http.Request) { r.Method = http.MethodDelete },
		"the key":       func(r *http.Request) { r.URL.Path += "x" },
		"a header":      func(r *http.Request) { r.Header.Set("x-oss-object-acl", "public-read") },
		"the type":      func(r *http.Request) { r.Header.Set("Content-Type", "text/html") },
		"the MD5":       func(r *http.Request) { r.Header.Set("Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA==") },
		"the operation": func(r *http.Request) { r.URL.RawQuery = "uploads" },
	} {
		for _, version := range []sdk.SignatureVersionType{sdk.SignatureVersionV1, sdk.SignatureVersionV4} {
			cl := client(h.URL, func(c *sdk.Config) {
				c.WithSignatureVersion(version).WithHttpClient(&http.Client{Transport: tampering{tamper}})
			})
			_, err := cl.PutObject(t.Context(), &sdk.PutObjectRequest{Bucket: bucket, Key: sdk.Ptr("k"), Body: strings.NewReader("x")})
			if code(err) != "SignatureDoesNotMatch" {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}

type tampering struct{ tamper func(*http.Request) }

func (t tampering) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	t.tamper(r)
	return http.DefaultTransport.RoundTrip(r)
}

func TestObjects(t *testing.T) {
	s, h := start(t)
	c := client(h.URL)
	out := put(t, c, "k", "0123456789")
	sum := md5.Sum([]byte("0123456789"))
	if crc := strconv.FormatUint(crc64.Checksum([]byte("0123456789"), crc64.MakeTable(crc64.ECMA)), 10); sdk.ToString(out.HashCRC64) != crc {
		t.Errorf("CRC64 %s, want %s", sdk.ToString(out.HashCRC64), crc)
	}
	if want := fmt.Sprintf(`"%X"`, sum); sdk.ToString(out.ETag) != want {
		t.Errorf("ETag %s, want %s", sdk.ToString(out.ETag), want)
	}
	for _, r := range []struct {
		ranged, behaviour string
		status            int
		want              string
	}{
		{"", "", 200, "0123456789"},
		{"bytes=0-", "", 206, "0123456789"},
		{"bytes=3-5", "", 206, "345"},
		{"bytes=-2", "", 206, "89"},
		{"bytes=10-", "", 200, "0123456789"}, // as no other service has it
		{"bytes=5-20", "", 200, "0123456789"},
		{"bytes=10-", "standard", 0, "InvalidRange"},
		{"lines=1-2", "", 200, "0123456789"},
	} {
		if status, got := get(t, c, "k", r.ranged, r.behaviour); status != r.status || got != r.want {
			t.Errorf("%+v: %d %q", r, status, got)
		}
	}
	_, err := c.PutObject(t.Context(), &sdk.PutObjectRequest{Bucket: bucket, Key: sdk.Ptr("bad"), Body: strings.NewReader("x"), ContentMD5: sdk.Ptr(base64.StdEncoding.EncodeToString(sum[:]))})
	if code(err) != "InvalidDigest" {
		t.Errorf("a wrong MD5: %v", err)
	}
	if _, got := get(t, c, "bad", "", ""); got != "NoSuchKey" {
		t.Errorf("stored: %q", got)
	}
	_, err = c.HeadObject(t.Context(), &sdk.HeadObjectRequest{Bucket: bucket, Key: sdk.Ptr("none")})
	if code(err) != "NoSuchKey" {
		t.Errorf("HEAD: %v", err)
	}
	_, err = c.PutObject(t.Context(), &sdk.PutObjectRequest{Bucket: bucket, Key: sdk.Ptr("k"), Body: strings.NewReader("x"), ForbidOverwrite: sdk.Ptr("true")})
	if code(err) != "FileAlreadyExists" {
		t.Errorf("overwriting: %v", err)
	}
	_, err = c.PutObject(t.Context(), &sdk.PutObjectRequest{Bucket: bucket, Key: sdk.Ptr("/k"), Body: strings.NewReader("x")})
	if code(err) != "InvalidObjectName" {
		t.Errorf("a slash first: %v", err)
	}
	if _, err = c.CopyObject(t.Context(), &sdk.CopyObjectRequest{Bucket: bucket, Key: sdk.Ptr("copy of"), SourceKey: sdk.Ptr("k")}); err != nil {
		t.Error(err)
	}
	if _, err = c.DeleteMultipleObjects(t.Context(), &sdk.DeleteMultipleObjectsRequest{Bucket: bucket, Objects: []sdk.DeleteObject{{Key: sdk.Ptr("k")}, {Key: sdk.Ptr("none")}}}); err != nil {
		t.Error(err)
	}
	if _, got := get(t, c, "copy of", "", ""); got != "0123456789" {
		t.Errorf("copied: %q", got)
	}
	if files, _ := os.ReadDir(s.Dir); len(files) != 1 {
		t.Errorf("%d files for one object", len(files))
	}
	s.Deny("GetObject")
	if _, got := get(t, c, "copy of", "", ""); got != "AccessDenied" {
		t.Errorf("denied: %q", got)
	}
}

func TestListings(t *testing.T) {
	_, h := start(t)
	c := client(h.URL)
	for _, key := range []string{"a/1", "a/2", "a-1", "b/x/1", "b/x/2", "b/y", "c", "d\x01"} {
		put(t, c, key, key)
	}
	for _, l := range []struct{ prefix, delimiter, after, want string }{
		{"", "", "", "a-1 a/1 a/2 b/x/1 b/x/2 b/y c d\x01"},
		{"", "/", "", "a-1 a/ b/ c d\x01"},
		{"b/", "/", "", "b/x/ b/y"},
		{"a", "", "", "a-1 a/1 a/2"},
		{"", "", "a/1", "a/2 b/x/1 b/x/2 b/y c d\x01"},
		{"", "", "a/11", "a/2 b/x/1 b/x/2 b/y c d\x01"},
		{"b/", "", "b/x/1", "b/x/2 b/y"},
		{"nothing", "", "", ""},
	} {
		for _, size := range []int32{1, 2, 1000} {
			if got := listV2(t, c, l.prefix, l.delimiter, l.after, size); got != l.want {
				t.Errorf("v2 %+v by %d: %q", l, size, got)
			}
			if got := listV1(t, c, l.prefix, l.delimiter, l.after, size); got != l.want {
				t.Errorf("v1 %+v by %d: %q", l, size, got)
			}
		}
	}
	_, err := c.ListObjectsV2(t.Context(), &sdk.ListObjectsV2Request{Bucket: bucket, MaxKeys: 1001})
	if code(err) != "InvalidArgument" {
		t.Errorf("1001 keys: %v", err)
	}
}

func listV2(t *testing.T, c *sdk.Client, prefix, delimiter, after string, size int32) string {
	in := &sdk.ListObjectsV2Request{Bucket: bucket, Prefix: &prefix, MaxKeys: size, Delimiter: &delimiter, StartAfter: &after, EncodingType: sdk.Ptr("url")}
	var names []string
	for {
		out, err := c.ListObjectsV2(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, merged(out.Contents, out.CommonPrefixes)...)
		if !out.IsTruncated {
			return strings.Join(names, " ")
		}
		in.ContinuationToken, in.StartAfter = out.NextContinuationToken, nil
	}
}

func listV1(t *testing.T, c *sdk.Client, prefix, delimiter, after string, size int32) string {
	in := &sdk.ListObjectsRequest{Bucket: bucket, Prefix: &prefix, MaxKeys: size, Delimiter: &delimiter, Marker: &after, EncodingType: sdk.Ptr("url")}
	var names []string
	for {
		out, err := c.ListObjects(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, merged(out.Contents, out.CommonPrefixes)...)
		if !out.IsTruncated {
			return strings.Join(names, " ")
		}
		in.Marker = out.NextMarker
	}
}

// merged puts objects and prefixes, which come apart, into one order.
func merged(objects []sdk.ObjectProperties, prefixes []sdk.CommonPrefix) (names []string) {
	for len(objects)+len(prefixes) > 0 {
		if len(prefixes) == 0 || len(objects) > 0 && *objects[0].Key < *prefixes[0].Prefix {
			names, objects = append(names, *objects[0].Key), objects[1:]
			continue
		}
		names, prefixes = append(names, *prefixes[0].Prefix), prefixes[1:]
	}
	return names
}

func TestParts(t *testing.T) {
	s, h := start(t)
	c := client(h.URL)
	begin := func() *string {
		out, err := c.InitiateMultipartUpload(t.Context(), &sdk.InitiateMultipartUploadRequest{Bucket: bucket, Key: sdk.Ptr("k")})
		if err != nil {
			t.Fatal(err)
		}
		return out.UploadId
	}
	send := func(id *string, n int32, b []byte) sdk.UploadPart {
		out, err := c.UploadPart(t.Context(), &sdk.UploadPartRequest{Bucket: bucket, Key: sdk.Ptr("k"), UploadId: id, PartNumber: n, Body: bytes.NewReader(b)})
		if err != nil {
			t.Fatal(err)
		}
		return sdk.UploadPart{PartNumber: n, ETag: out.ETag}
	}
	complete := func(id *string, parts ...sdk.UploadPart) (*sdk.CompleteMultipartUploadResult, error) {
		return c.CompleteMultipartUpload(t.Context(), &sdk.CompleteMultipartUploadRequest{
			Bucket: bucket, Key: sdk.Ptr("k"), UploadId: id, CompleteMultipartUpload: &sdk.CompleteMultipartUpload{Parts: parts}})
	}
	first, last := bytes.Repeat([]byte("a"), 100<<10), []byte("the end")
	id := begin()
	one, two, unused := send(id, 1, first), send(id, 5, last), send(id, 7, last)
	tiny := send(id, 3, last)
	other := one
	other.ETag = two.ETag
	for want, parts := range map[string][]sdk.UploadPart{
		"InvalidPartOrder": {one, one}, // the SDK sorts them
		"InvalidPart":      {other, two},
		"EntityTooSmall":   {tiny, two},
	} {
		if _, err := complete(id, parts...); code(err) != want {
			t.Errorf("want %s: %v", want, err)
		}
	}
	in := &sdk.ListPartsRequest{Bucket: bucket, Key: sdk.Ptr("k"), UploadId: id, MaxParts: 3}
	listed, err := c.ListParts(t.Context(), in)
	if err != nil || len(listed.Parts) != 3 || !listed.IsTruncated || listed.NextPartNumberMarker != 5 || sdk.ToString(listed.Parts[0].HashCRC64) == "" {
		t.Errorf("%+v, %v", listed, err)
	}
	out, err := complete(id, one, two)
	if err != nil {
		t.Fatal(err)
	}
	whole := append(bytes.Clone(first), last...)
	if want := strconv.FormatUint(crc64.Checksum(whole, crc64.MakeTable(crc64.ECMA)), 10); sdk.ToString(out.HashCRC64) != want {
		t.Errorf("CRC64 %s, want %s", sdk.ToString(out.HashCRC64), want)
	}
	if !strings.HasSuffix(sdk.ToString(out.ETag), `-2"`) {
		t.Errorf("ETag %s", sdk.ToString(out.ETag))
	}
	if status, got := get(t, c, "k", "bytes=102398-102402", ""); status != 206 || got != "aathe" {
		t.Errorf("%d %q", status, got)
	}
	if _, err := complete(id, one, two, unused); code(err) != "NoSuchUpload" {
		t.Errorf("completed twice: %v", err)
	}
	id = begin()
	send(id, 1, first)
	if got := s.Uploads("bucket"); len(got) != 1 {
		t.Errorf("%q", got)
	}
	if _, err := c.AbortMultipartUpload(t.Context(), &sdk.AbortMultipartUploadRequest{Bucket: bucket, Key: sdk.Ptr("k"), UploadId: id}); err != nil {
		t.Error(err)
	}
	if files, _ := os.ReadDir(s.Dir); len(files) != 2 || s.Uploads("bucket") != nil {
		t.Errorf("%d files for one object of two parts", len(files))
	}
	for range 3 {
		begin()
	}
	uploads, err := c.ListMultipartUploads(t.Context(), &sdk.ListMultipartUploadsRequest{Bucket: bucket, MaxUploads: 2})
	if err != nil || len(uploads.Uploads) != 2 || !uploads.IsTruncated {
		t.Fatalf("%+v, %v", uploads, err)
	}
	uploads, err = c.ListMultipartUploads(t.Context(), &sdk.ListMultipartUploadsRequest{Bucket: bucket, KeyMarker: uploads.NextKeyMarker, UploadIdMarker: uploads.NextUploadIdMarker})
	if err != nil || len(uploads.Uploads) != 1 {
		t.Errorf("%+v, %v", uploads, err)
	}
}

func TestPartsOfCopies(t *testing.T) {
	_, h := start(t)
	c := client(h.URL)
	put(t, c, "from", strings.Repeat("b", 200<<10))
	up, err := c.InitiateMultipartUpload(t.Context(), &sdk.InitiateMultipartUploadRequest{Bucket: bucket, Key: sdk.Ptr("k")})
	if err != nil {
		t.Fatal(err)
	}
	var parts []sdk.UploadPart
	for n, r := range []string{"bytes=0-102399", "bytes=102400-204799"} {
		out, err := c.UploadPartCopy(t.Context(), &sdk.UploadPartCopyRequest{Bucket: bucket, Key: sdk.Ptr("k"), UploadId: up.UploadId, PartNumber: int32(n + 1), SourceKey: sdk.Ptr("from"), Range: &r})
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, sdk.UploadPart{PartNumber: int32(n + 1), ETag: out.ETag})
	}
	if _, err := c.CompleteMultipartUpload(t.Context(), &sdk.CompleteMultipartUploadRequest{Bucket: bucket, Key: sdk.Ptr("k"), UploadId: up.UploadId, CompleteMultipartUpload: &sdk.CompleteMultipartUpload{Parts: parts}}); err != nil {
		t.Fatal(err)
	}
	if _, got := get(t, c, "k", "", ""); got != strings.Repeat("b", 200<<10) {
		t.Errorf("%d bytes", len(got))
	}
}
