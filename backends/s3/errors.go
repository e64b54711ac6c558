package s3

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/parts"
)

// answer shortens what the SDK says, which names the operation twice and a
// host identifier of 76 characters, to what an operator can use.
type answer struct{ err error }

func (a answer) Unwrap() error { return a.err }

func (a answer) Error() string {
	var (
		api      smithy.APIError
		response *awshttp.ResponseError
		archived *types.InvalidObjectState
	)
	if inFront(a.err) {
		return "Not Found [HTTP 404], without a code of S3: something in front of the service says so, and nobody has looked for the object"
	}
	if !errors.As(a.err, &api) {
		var send *smithyhttp.RequestSendError
		if errors.As(a.err, &send) {
			return send.Err.Error()
		}
		return a.err.Error()
	}
	text := api.ErrorCode()
	if m := api.ErrorMessage(); m != "" {
		text += ": " + strings.TrimSuffix(m, ".")
	}
	if errors.As(a.err, &archived) {
		text = fmt.Sprintf("it is archived (storage class %s) and cannot be read: restore it first, with aws s3api restore-object or by the bucket's batch operations", archived.StorageClass)
	}
	if errors.As(a.err, &response) {
		if region := response.Response.Header.Get("X-Amz-Bucket-Region"); region != "" && response.HTTPStatusCode() >= 300 && response.HTTPStatusCode() < 401 {
			text += "; the bucket is in the region " + region
		}
		text += fmt.Sprintf(" [HTTP %d", response.HTTPStatusCode())
		if response.RequestID != "" {
			text += ", request " + response.RequestID
		}
		text += "]"
	}
	return text
}

// fail makes the error of an operation on a key. What ended because of its
// context stays unclassified.
func fail(op, key string, err error) error {
	class := classOf(err)
	var api smithy.APIError
	var canceled *smithy.CanceledError
	if want := (*credentialsError)(nil); errors.As(err, &want) && !errors.As(err, new(backends.SourceError)) {
		return &backends.Error{Op: op, Key: key, Class: class, Err: want}
	}
	if errors.As(err, new(answer)) {
		return &backends.Error{Op: op, Key: key, Class: class, Err: err}
	}
	if errors.As(err, &api) || errors.As(err, new(*smithy.OperationError)) && !errors.As(err, &canceled) {
		err = answer{err}
	}
	return &backends.Error{Op: op, Key: key, Class: class, Err: err}
}

func classOf(err error) backends.Class {
	if class, ok := backends.OwnClass(err); ok {
		return class
	}
	var (
		want   *credentialsError
		api    smithy.APIError
		status interface{ HTTPStatusCode() int }
		sent   *smithyhttp.RequestSendError
		parse  *smithy.DeserializationError
		onNet  net.Error
	)
	switch {
	case errors.As(err, &want):
		return want.class
	case errors.As(err, &api) && classOfCode(api.ErrorCode()) != backends.Unknown:
		return classOfCode(api.ErrorCode())
	case errors.As(err, &status) && classOfStatus(status.HTTPStatusCode()) != backends.Unknown:
		return classOfStatus(status.HTTPStatusCode())
	case errors.As(err, &sent), errors.As(err, &parse), errors.As(err, &onNet), errors.Is(err, io.ErrUnexpectedEOF):
		return backends.Transient
	}
	return backends.Unknown
}

// inFront says whether a 404 is of a load balancer or a proxy, as Traefik sends
// while MinIO restarts behind it: the service gives a reason. Where there is none
// the SDK makes NotFound of the status.
func inFront(err error) bool {
	var api smithy.APIError
	return hasStatus(err, http.StatusNotFound) && (!errors.As(err, &api) || hasCode(err, "NotFound", "UnknownError"))
}

// codes are those of AWS, and what versitygw and MinIO add. A bucket that is
// missing is no key that is missing: it is Denied, so that a run ends after
// some of those and nothing is taken for absent. KMS refuses with codes of its
// own, all for want of a right or a key. NotFound is of no service, see inFront.
var codes = map[string]backends.Class{
	"NoSuchKey": backends.NotFound, "NoSuchUpload": backends.NotFound,

	"XAdminUserNotFound": backends.Denied, // versitygw says so, with 404, of a key that it does not know
	"AccessDenied":       backends.Denied, "SignatureDoesNotMatch": backends.Denied, "InvalidAccessKeyId": backends.Denied,
	"ExpiredToken": backends.Denied, "ExpiredTokenException": backends.Denied, "InvalidToken": backends.Denied,
	"TokenRefreshRequired": backends.Denied, "RequestTimeTooSkewed": backends.Denied, "AllAccessDisabled": backends.Denied,
	"AccountProblem": backends.Denied, "InvalidSecurity": backends.Denied, "NoSuchBucket": backends.Denied,
	"PermanentRedirect": backends.Denied, "AuthorizationHeaderMalformed": backends.Denied, "IllegalLocationConstraintException": backends.Denied,

	"SlowDown": backends.Throttled, "SlowDownRead": backends.Throttled, "SlowDownWrite": backends.Throttled,
	"ServiceUnavailable": backends.Throttled, "RequestTimeout": backends.Throttled, "RequestLimitExceeded": backends.Throttled,
	"TooManyRequests": backends.Throttled, "TooManyRequestsException": backends.Throttled, "BandwidthLimitExceeded": backends.Throttled,

	"InternalError": backends.Transient, "IncompleteBody": backends.Transient, "OperationAborted": backends.Transient,

	"BadDigest": backends.Corrupt, "InvalidDigest": backends.Corrupt,
	"XAmzContentSHA256Mismatch": backends.Corrupt, "XAmzContentChecksumMismatch": backends.Corrupt,

	"PreconditionFailed": backends.Changed, "ConditionalRequestConflict": backends.Changed, "InvalidRange": backends.Changed,
	"InvalidPart": backends.Changed, "InvalidPartOrder": backends.Changed,

	"QuotaExceeded": backends.Full, "InsufficientStorage": backends.Full, "XMinioStorageFull": backends.Full,
	"XMinioAdminBucketQuotaExceeded": backends.Full, "InsufficientCapacity": backends.Full,

	"KeyTooLongError": backends.Unsupported, "KeyTooLong": backends.Unsupported, "ObjectParentIsFile": backends.Unsupported,
	"ExistingObjectIsDirectory": backends.Unsupported, "DirectoryObjectContainsData": backends.Unsupported,
	"XMinioInvalidObjectName": backends.Unsupported, "XMinioInvalidResourceName": backends.Unsupported, "XMinioObjectExistsAsDirectory": backends.Unsupported,
	"XMinioParentIsObject": backends.Unsupported, "NotImplemented": backends.Unsupported, "MethodNotAllowed": backends.Unsupported,
	"EntityTooLarge": backends.Unsupported, "InvalidObjectState": backends.Unsupported, "InvalidStorageClass": backends.Unsupported,
	"InvalidBucketName": backends.Unsupported, "AccessControlListNotSupported": backends.Unsupported, "InvalidURI": backends.Unsupported,
}

func classOfCode(code string) backends.Class {
	if strings.HasPrefix(code, "Throttl") {
		return backends.Throttled
	}
	if strings.HasPrefix(code, "KMS.") {
		return backends.Denied
	}
	return codes[code]
}

// classOfStatus takes nothing for absent: only a code says that a key is.
func classOfStatus(status int) backends.Class {
	switch status {
	case http.StatusRequestTimeout: // S3 says so of clients that are too slow for it
		return backends.Throttled
	case http.StatusNotFound:
		return backends.Transient
	}
	return parts.ClassOfStatus(status)
}

// hasCode says whether a service answered with one of these codes.
func hasCode(err error, codes ...string) bool {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return false
	}
	for _, c := range codes {
		if api.ErrorCode() == c {
			return true
		}
	}
	return false
}

// hasStatus says whether a service answered with one of these.
func hasStatus(err error, codes ...int) bool {
	var status interface{ HTTPStatusCode() int }
	if !errors.As(err, &status) {
		return false
	}
	for _, c := range codes {
		if status.HTTPStatusCode() == c {
			return true
		}
	}
	return false
}
