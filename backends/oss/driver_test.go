package oss

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	sdk "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
	"gocloud.dev/blob"
	"gocloud.dev/blob/driver"
	"gocloud.dev/blob/drivertest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest/servers"
)

// TestDriver is gocloud's own suite. What it has and this driver has not is
// skipped by it: signed URLs.
func TestDriver(t *testing.T) {
	for _, prefix := range []string{"", "a root/of"} {
		t.Run("below "+prefix, func(t *testing.T) {
			drivertest.RunConformanceTests(t, func(_ context.Context, t *testing.T) (drivertest.Harness, error) {
				server := servers.OSS(t)
				server.Bucket(t, "driver")
				return &harness{t, Options{
					Bucket: "driver", Prefix: prefix, Endpoint: server.Endpoint, Region: server.Region,
					AccessKeyID: server.AccessKeyID, AccessKeySecret: backends.Secret(server.AccessKeySecret),
				}}, nil
			}, []drivertest.AsTest{asTest{}})
		})
	}
}

type harness struct {
	t *testing.T
	o Options
}

func (h *harness) MakeDriver(context.Context) (driver.Bucket, error) { return newDrive(h.o) }

func (h *harness) MakeDriverForNonexistentBucket(context.Context) (driver.Bucket, error) {
	o := h.o
	o.Bucket = "no-such-bucket"
	return newDrive(o)
}

func newDrive(o Options) (*drive, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	client, conns, err := newClient(o)
	return &drive{client: client, conns: conns, o: o}, err
}

func (h *harness) HTTPClient() *http.Client         { return nil }
func (h *harness) SupportsCopy() bool               { return true }
func (h *harness) SupportsNonSlashDelimiters() bool { return true }
func (h *harness) Close()                           {}

// asTest asks for the SDK's types, and writes a storage class by one.
type asTest struct{}

func (asTest) Name() string { return "the SDK's types" }

func (asTest) BucketCheck(b *blob.Bucket) error {
	var c *sdk.Client
	return found(b.As(&c) && c != nil, "client")
}

func (asTest) ErrorCheck(b *blob.Bucket, err error) error {
	var s *sdk.ServiceError
	return found(b.ErrorAs(err, &s) && s.Code == "NoSuchKey", "error")
}

func (asTest) BeforeRead(as func(any) bool) error {
	var in *sdk.GetObjectRequest
	return found(as(&in) && in != nil, "request to get")
}

func (asTest) BeforeWrite(as func(any) bool) error {
	var in *sdk.PutObjectRequest
	if !as(&in) {
		return errors.New("no request to put")
	}
	in.StorageClass = sdk.StorageClassIA
	return nil
}

func (asTest) BeforeCopy(as func(any) bool) error {
	var in *sdk.CopyObjectRequest
	return found(as(&in) && in != nil, "request to copy")
}

func (asTest) BeforeDelete(as func(any) bool) error {
	var in *sdk.DeleteObjectRequest
	return found(as(&in) && in != nil, "request to delete")
}

func (asTest) BeforeList(as func(any) bool) error {
	var in *sdk.ListObjectsV2Request
	return found(as(&in) && in != nil, "request to list")
}

func (asTest) BeforeSign(func(any) bool) error { return nil }

func (asTest) AttributesCheck(a *blob.Attributes) error {
	var out sdk.HeadObjectResult
	return found(a.As(&out) && sdk.ToString(out.StorageClass) == "IA", "storage class")
}

func (asTest) ReaderCheck(r *blob.Reader) error {
	var out sdk.GetObjectResult
	return found(r.As(&out) && sdk.ToString(out.ETag) != "", "answer")
}

func (asTest) ListObjectCheck(o *blob.ListObject) error {
	var p sdk.CommonPrefix
	var l sdk.ObjectProperties
	if o.IsDir {
		return found(o.As(&p) && strings.HasSuffix(sdk.ToString(p.Prefix), o.Key), "prefix")
	}
	return found(o.As(&l) && strings.HasSuffix(sdk.ToString(l.Key), o.Key), "object")
}

func found(ok bool, what string) error {
	if ok {
		return nil
	}
	return fmt.Errorf("no %s of the SDK", what)
}
