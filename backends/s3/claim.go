package s3

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go/middleware"
)

// claim is what a request says of its bytes, for the service to compare.
type claim struct {
	payload []byte // SHA-256, part of the signature
	sum     []byte // SHA-256, which the service may keep; nil for none
	md5     []byte // nil for none
}

// claim makes all the claims that the store compares, and the signature's in
// any case: it costs nothing, where the bytes' SHA-256 is known.
func (p proof) claim(b, sum []byte) claim {
	c := claim{payload: sum}
	if p.sum {
		c.sum = sum
	}
	if p.md5 && !p.sum && !p.payload {
		m := md5.Sum(b)
		c.md5 = m[:]
	}
	return c
}

func (c claim) checksum() *string   { return encoded(c.sum) }
func (c claim) contentMD5() *string { return encoded(c.md5) }

func encoded(sum []byte) *string {
	if sum == nil {
		return nil
	}
	return aws.String(base64.StdEncoding.EncodeToString(sum))
}

// signed puts the payload's SHA-256 into the signature, over HTTPS as well,
// where the SDK would write UNSIGNED-PAYLOAD.
func (c claim) signed(o *s3.Options) {
	hash := hex.EncodeToString(c.payload)
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("PayloadHash",
			func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
				return next.HandleInitialize(v4.SetPayloadHash(ctx, hash), in)
			}), middleware.After)
	})
}

func hashOf(b []byte) []byte {
	sum := sha256.Sum256(b)
	return sum[:]
}
