package oss

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	sdk "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/parts"
)

// answer shortens what the SDK says, which is seven lines with the address of
// the request, to what an operator can use.
type answer struct{ err error }

func (a answer) Unwrap() error { return a.err }

func (a answer) Error() string {
	var (
		s    *sdk.ServiceError
		sent *url.Error
	)
	if !errors.As(a.err, &s) {
		if errors.As(a.err, &sent) {
			return sent.Err.Error()
		}
		return a.err.Error()
	}
	text := s.Code
	if s.Code != unreadable && s.Message != "" {
		text += ": " + strings.TrimSuffix(strings.Join(strings.Fields(s.Message), " "), ".")
	}
	hint := hints[s.Code]
	if strings.Contains(s.Message, "signing region") { // the code is that of any argument
		hint = "give the region that the bucket is in"
	}
	if hint != "" {
		text += "; " + hint
	}
	text += fmt.Sprintf(" [HTTP %d", s.StatusCode)
	if s.RequestID != "" {
		text += ", request " + s.RequestID
	}
	return text + "]"
}

// unreadable is the SDK's code for an answer that is not of the service.
const unreadable = "BadErrorResponse"

// hints say what can be done, where the service does not.
var hints = map[string]string{
	"InvalidObjectState":    "it is archived and cannot be read: restore it first, with ossutil restore or the console's batch operations",
	"SignatureDoesNotMatch": "the secret is not that of the access key, or the endpoint is of another kind",
	"InvalidAccessKeyId":    "the access key does not exist or is disabled; a temporary one needs its security token",
	"SecurityTokenExpired":  "get a new security token",
	"RequestTimeTooSkewed":  "set the clock of this machine",
}

// fail makes the error of an operation on a key. What ended because of its
// context stays unclassified.
func fail(op, key string, err error) error {
	return &backends.Error{Op: op, Key: key, Class: classOf(err), Err: shortened(err)}
}

func shortened(err error) error {
	var s *sdk.ServiceError
	var o *sdk.OperationError
	if errors.As(err, new(answer)) || !errors.As(err, &s) && !errors.As(err, &o) {
		return err
	}
	return answer{err}
}

func classOf(err error) backends.Class {
	if class, ok := backends.OwnClass(err); ok {
		return class
	}
	var (
		s     *sdk.ServiceError
		parse *sdk.DeserializationError
		sent  *url.Error
		onNet net.Error
		param sdk.InvalidParamError
	)
	switch {
	case errors.As(err, &s):
		if class, ok := codes[s.Code]; ok {
			return class
		}
		if s.StatusCode == http.StatusNotFound && s.Code == unreadable && s.RequestID == "" {
			return backends.Denied // not of the service, so nobody has looked for the key
		}
		return classOfStatus(s.StatusCode)
	case errors.As(err, &param):
		return backends.Unsupported
	case errors.As(err, &parse), errors.As(err, &sent), errors.As(err, &onNet), errors.Is(err, io.ErrUnexpectedEOF):
		return backends.Transient
	}
	return backends.Unknown
}

// codes are those of the service:
// www.alibabacloud.com/help/en/oss/support/http-status-code and the pages below.
// A bucket that is missing is no key that is missing: it is Denied, so that a
// run ends after some of those and nothing is taken for absent. InvalidArgument
// is what a wrong region is, and nothing that passes by itself.
var codes = map[string]backends.Class{
	"NoSuchKey": backends.NotFound, "NoSuchUpload": backends.NotFound, "SymlinkTargetNotExist": backends.NotFound,

	"NoSuchBucket": backends.Denied, "AccessDenied": backends.Denied, "InvalidAccessKeyId": backends.Denied,
	"SignatureDoesNotMatch": backends.Denied, "SecurityTokenExpired": backends.Denied, "InvalidSecurityToken": backends.Denied,
	"SecurityTokenNotSupported": backends.Denied, "RequestTimeTooSkewed": backends.Denied, "UserDisable": backends.Denied,
	"AccountDisabled": backends.Denied, "KmsServiceNotEnabled": backends.Denied, "InvalidKMSKeyId": backends.Denied,

	"QpsLimitExceeded": backends.Throttled, "BucketQpsLimitExceeded": backends.Throttled, "DownloadTrafficRateLimitExceeded": backends.Throttled,
	"UploadTrafficRateLimitExceeded": backends.Throttled, "TotalQpsLimitExceeded": backends.Throttled, "ServiceBusy": backends.Throttled,
	"Throttling": backends.Throttled, "RequestTimeout": backends.Throttled,

	"InternalError": backends.Transient, "IncompleteBody": backends.Transient, "ServiceUnavailable": backends.Throttled,

	"InvalidDigest": backends.Corrupt, "BadDigest": backends.Corrupt, "CrcMismatch": backends.Corrupt, "InvalidCRC": backends.Corrupt,

	"PreconditionFailed": backends.Changed, "InvalidRange": backends.Changed, "InvalidPart": backends.Changed,
	"InvalidPartOrder": backends.Changed, "FileAlreadyExists": backends.Changed, "ObjectAlreadyExists": backends.Changed,

	"QuotaExceeded": backends.Full, "BucketStorageCapacityExceeded": backends.Full, "InsufficientStorage": backends.Full,

	"InvalidObjectState": backends.Unsupported, "InvalidObjectName": backends.Unsupported, "InvalidBucketName": backends.Unsupported,
	"EntityTooLarge": backends.Unsupported, "EntityTooSmall": backends.Unsupported, "InvalidArgument": backends.Unsupported,
	"NotImplemented": backends.Unsupported, "MethodNotAllowed": backends.Unsupported, "FileImmutable": backends.Unsupported,
	"ObjectNotAppendable": backends.Unsupported, "InvalidEncryptionAlgorithmError": backends.Unsupported, "InvalidStorageClass": backends.Unsupported,
}

func classOfStatus(status int) backends.Class {
	if status == http.StatusRequestTimeout { // as S3
		return backends.Throttled
	}
	return parts.ClassOfStatus(status)
}

// hasCode says whether the service answered with this code.
func hasCode(err error, code string) bool {
	var s *sdk.ServiceError
	return errors.As(err, &s) && s.Code == code
}

// ended joins the context's end, which the SDK leaves out where it comes while
// it waits to send again.
func ended(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil || errors.Is(err, ctx.Err()) {
		return err
	}
	return errors.Join(ctx.Err(), err)
}
