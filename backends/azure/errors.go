package azure

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/parts"
)

// answer shortens what the SDK says, which is a page with the whole response,
// to what an operator can use. An address in an error of the network may hold a
// shared access signature, so it is left out.
type answer struct{ err error }

func (a answer) Unwrap() error { return a.err }

func (a answer) Error() string {
	var (
		response *azcore.ResponseError
		sent     *url.Error
	)
	if errors.As(a.err, &sent) {
		return sent.Err.Error()
	}
	if !errors.As(a.err, &response) {
		return a.err.Error()
	}
	var parts []string
	if response.ErrorCode != "" {
		parts = append(parts, response.ErrorCode)
	}
	if m := message(response); m != "" {
		parts = append(parts, m)
	}
	if hint := hints[bloberror.Code(response.ErrorCode)]; hint != "" {
		parts = append(parts, hint)
	}
	text := strings.Join(parts, ": ") + fmt.Sprintf(" [HTTP %d", response.StatusCode)
	if r := response.RawResponse; r != nil && r.Header.Get("X-Ms-Request-Id") != "" {
		text += ", request " + r.Header.Get("X-Ms-Request-Id")
	}
	return text + "]"
}

// hints say what to do.
var hints = map[bloberror.Code]string{
	bloberror.AuthenticationFailed:            "the credential is wrong or has expired, or the clock of this machine is",
	bloberror.AuthorizationPermissionMismatch: "the identity needs the role Storage Blob Data Contributor (Reader, for a source), or the signature its rights",
	bloberror.AuthorizationFailure:            "the credential is wrong or has expired, or the network rules of the account exclude this machine",
	"KeyBasedAuthenticationNotPermitted":      "the account takes no keys: use a client secret or an identity",
	bloberror.BlobArchived:                    "bring it back first, with az storage blob set-tier --tier Hot, which takes hours",
	bloberror.BlobBeingRehydrated:             "it is being brought back from the archive, which takes hours",
	bloberror.InvalidBlobOrBlock:              "another program has left unfinished blocks on this blob, with names of another length; the service drops them after a week, or when a small blob is put there and deleted",
	bloberror.BlobImmutableDueToPolicy:        "a retention policy of the container forbids to replace it",
	"BlobImmutableDueToLegalHold":             "a legal hold of the container forbids to replace it",
}

// message is the first line of what the service says, without the code.
func message(response *azcore.ResponseError) string {
	r := response.RawResponse
	if r == nil {
		return ""
	}
	var body struct{ Message string }
	if payload, err := runtime.Payload(r); err == nil && len(payload) > 0 {
		_ = xml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(payload, []byte("\xef\xbb\xbf")))).Decode(&body)
	}
	text := body.Message
	if text == "" {
		_, text, _ = strings.Cut(r.Status, " ") // all that an answer to HEAD has
	}
	text, _, _ = strings.Cut(text, "\n")
	return strings.TrimRight(strings.TrimSpace(text), ".")
}

// fail makes the error of an operation on a key. What ended because of its
// context stays unclassified.
func fail(op, key string, err error) error {
	class := classOf(err)
	if noToken(err) && !errors.As(err, new(*credentialsError)) {
		err = &credentialsError{err}
	}
	if !errors.As(err, new(answer)) && (errors.As(err, new(*azcore.ResponseError)) || errors.As(err, new(*url.Error))) {
		err = answer{err}
	}
	return &backends.Error{Op: op, Key: key, Class: class, Err: err}
}

// noToken says whether a request was not made for want of a token, such as one
// that was to be renewed.
func noToken(err error) bool {
	var never interface{ NonRetriable() } // of azidentity's errors; one of them has no name
	return errors.As(err, &never) && !errors.As(err, new(*azcore.ResponseError)) &&
		!errors.As(err, new(net.Error)) && !errors.Is(err, io.ErrUnexpectedEOF)
}

func classOf(err error) backends.Class {
	if class, ok := backends.OwnClass(err); ok {
		return class
	}
	var (
		want     *credentialsError
		response *azcore.ResponseError
		sent     *url.Error
		onNet    net.Error
		syntax   *xml.SyntaxError
		dns      *net.DNSError
	)
	switch {
	case errors.As(err, &want):
		return tokenClass(want.err)
	case noToken(err):
		return tokenClass(err)
	case errors.As(err, &response):
		if class := classOfCode(response.ErrorCode); class != backends.Unknown {
			return class
		}
		return classOfStatus(response.StatusCode)
	case errors.As(err, &dns) && dns.IsNotFound:
		return backends.Denied // there is no such account
	case errors.As(err, &sent), errors.As(err, &onNet), errors.As(err, &syntax), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return backends.Transient
	}
	return backends.Unknown
}

// codes are those of the service. A container that is missing is no key that is
// missing: it is Denied, so that a run ends after some of those and nothing is
// taken for absent.
var codes = map[bloberror.Code]backends.Class{
	bloberror.BlobNotFound: backends.NotFound, "PathNotFound": backends.NotFound,

	bloberror.AuthenticationFailed: backends.Denied, bloberror.AuthorizationFailure: backends.Denied, bloberror.NoAuthenticationInformation: backends.Denied,
	bloberror.InvalidAuthenticationInfo: backends.Denied, bloberror.InsufficientAccountPermissions: backends.Denied, bloberror.AccountIsDisabled: backends.Denied,
	bloberror.ContainerNotFound: backends.Denied, bloberror.ContainerDisabled: backends.Denied, "KeyBasedAuthenticationNotPermitted": backends.Denied,
	"PublicAccessNotPermitted": backends.Denied, bloberror.LeaseIDMissing: backends.Denied, bloberror.BlobImmutableDueToPolicy: backends.Denied,
	"BlobImmutableDueToLegalHold":       backends.Denied,
	bloberror.UnauthorizedBlobOverwrite: backends.Denied, bloberror.CannotVerifyCopySource: backends.Denied,

	bloberror.ServerBusy: backends.Throttled, "TooManyRequests": backends.Throttled, "IngressOverLimit": backends.Throttled, "EgressOverLimit": backends.Throttled,

	bloberror.OperationTimedOut: backends.Transient, bloberror.InternalError: backends.Transient, bloberror.SystemInUse: backends.Transient,
	bloberror.ContainerBeingDeleted: backends.Transient, bloberror.AccountBeingCreated: backends.Transient, bloberror.PendingCopyOperation: backends.Transient,

	bloberror.MD5Mismatch: backends.Corrupt, bloberror.CRC64Mismatch: backends.Corrupt, bloberror.InvalidMD5: backends.Corrupt,

	bloberror.ConditionNotMet: backends.Changed, bloberror.TargetConditionNotMet: backends.Changed, bloberror.SourceConditionNotMet: backends.Changed,
	bloberror.InvalidRange: backends.Changed, bloberror.BlobOverwritten: backends.Changed, bloberror.AppendPositionConditionNotMet: backends.Changed,
	bloberror.InvalidBlockList: backends.Changed,

	"AccountQuotaExceeded": backends.Full, "InsufficientStorage": backends.Full,

	bloberror.BlobArchived: backends.Unsupported, bloberror.BlobBeingRehydrated: backends.Unsupported, bloberror.InvalidBlobType: backends.Unsupported,
	bloberror.InvalidBlobOrBlock: backends.Unsupported, bloberror.InvalidResourceName: backends.Unsupported, bloberror.InvalidURI: backends.Unsupported,
	bloberror.OutOfRangeInput: backends.Unsupported, bloberror.RequestBodyTooLarge: backends.Unsupported, bloberror.BlockCountExceedsLimit: backends.Unsupported,
	bloberror.UnsupportedHeader: backends.Unsupported, bloberror.FeatureVersionMismatch: backends.Unsupported, bloberror.BlobUsesCustomerSpecifiedEncryption: backends.Unsupported,
	bloberror.SnapshotsPresent: backends.Unsupported,
}

func classOfCode(code string) backends.Class {
	if strings.HasPrefix(code, "Authorization") {
		return backends.Denied // a dozen of mismatches
	}
	return codes[bloberror.Code(code)]
}

func classOfStatus(status int) backends.Class {
	if status == http.StatusRequestEntityTooLarge {
		return backends.Unsupported
	}
	return parts.ClassOfStatus(status)
}
