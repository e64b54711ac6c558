package s3_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"

	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/backends/s3"
)

// provedByPayload is for the services that accept a wrong x-amz-checksum-sha256:
// the store has to rely on the signature's hash, which is asked for with one
// object, and must hold for parts as well. What such a service accepts is shown
// too: once it refuses it, the documentation is to be changed.
func provedByPayload(t *testing.T, server *servers.S3Server) {
	store := open(t, s3.Options{Bucket: "conformance", Prefix: "proof", Endpoint: server.Endpoint, PathStyle: true}).(*s3.Store)
	defer store.Close()
	if got := store.Proof(); got != "signed payload" {
		t.Errorf("proved by %q, want the signed payload only", got)
	}
	bucket, key := aws.String("conformance"), aws.String("proof/parts")
	upload, err := server.Client.CreateMultipartUpload(t.Context(), &awss3.CreateMultipartUploadInput{Bucket: bucket, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Client.AbortMultipartUpload(context.WithoutCancel(t.Context()), &awss3.AbortMultipartUploadInput{Bucket: bucket, Key: key, UploadId: upload.UploadId})
	content := bytes.Repeat([]byte("part"), 1<<18)
	right := sha256.Sum256(content)
	wrong := sha256.Sum256(right[:])
	part := func(payload, sum [32]byte) error {
		in := &awss3.UploadPartInput{
			Bucket: bucket, Key: key, UploadId: upload.UploadId, PartNumber: aws.Int32(1), Body: bytes.NewReader(content),
			ChecksumSHA256: aws.String(base64.StdEncoding.EncodeToString(sum[:])),
		}
		_, err := server.Client.UploadPart(t.Context(), in, func(o *awss3.Options) {
			o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
				return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("hash",
					func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
						return next.HandleInitialize(v4.SetPayloadHash(ctx, hex.EncodeToString(payload[:])), in)
					}), middleware.After)
			})
		})
		return err
	}
	if err := part(right, wrong); err != nil {
		t.Errorf("a part with a wrong x-amz-checksum-sha256 is refused now: %v", err)
	}
	if err := part(wrong, right); err == nil {
		t.Error("a part with another hash in its signature is accepted")
	}
}
