package gcs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"cloud.google.com/go/storage"
	"google.golang.org/api/googleapi"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/parts"
)

// answer shortens what the SDK says to what an operator can use. It leaves
// out the address, since that of a session is a secret.
type answer struct{ err error }

func (a answer) Unwrap() error { return a.err }

func (a answer) Error() string {
	var api *googleapi.Error
	var sent *url.Error
	switch {
	case errors.As(a.err, &api):
		var words []string
		if len(api.Errors) > 0 && api.Errors[0].Reason != "" {
			words = append(words, api.Errors[0].Reason)
		}
		if api.Message != "" {
			words = append(words, strings.TrimSuffix(fmt.Sprintf("%.300s", api.Message), "."))
		}
		return strings.TrimSpace(fmt.Sprintf("%s [HTTP %d]", strings.Join(words, ": "), api.Code))
	case errors.As(a.err, &sent):
		return sent.Err.Error()
	case errors.As(a.err, new(*json.SyntaxError)):
		return "the answer is not the service's: " + a.err.Error()
	}
	return a.err.Error()
}

// fail makes the error of an operation on a key. What ended because of its
// context stays unclassified.
func fail(op, key string, err error) error {
	class := classOf(err)
	var credentials *credentialsError
	if no := noToken(err); no != nil && !errors.As(err, &credentials) {
		err = &credentialsError{noTokenText, no} // without the address of the request
	}
	if !errors.As(err, new(answer)) && !errors.As(err, &credentials) && !errors.As(err, new(backends.SourceError)) &&
		(errors.As(err, new(*googleapi.Error)) || errors.As(err, new(*url.Error)) || errors.As(err, new(*json.SyntaxError))) {
		err = answer{err}
	}
	return &backends.Error{Op: op, Key: key, Class: class, Err: err}
}

func classOf(err error) backends.Class {
	if class, ok := backends.OwnClass(err); ok {
		return class
	}
	var (
		api         *googleapi.Error
		credentials *credentialsError
	)
	switch {
	case errors.As(err, &credentials), noToken(err) != nil:
		return backends.Denied
	case errors.Is(err, storage.ErrBucketNotExist):
		return backends.Denied // it is no key that is missing: nothing is taken for absent
	case errors.As(err, &api):
		return classOfAnswer(api)
	case errors.Is(err, storage.ErrObjectNotExist):
		return backends.NotFound
	case onNetwork(err), errors.As(err, new(*json.SyntaxError)): // a proxy's page
		return backends.Transient
	}
	return backends.Unknown
}

// onNetwork: an answer that was cut, or none.
func onNetwork(err error) bool {
	return errors.As(err, new(net.Error)) || errors.As(err, new(*url.Error)) ||
		errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed)
}

// reasons are those that say more than the status they come with:
// docs.cloud.google.com/storage/docs/json_api/v1/status-codes
var reasons = map[string]backends.Class{
	"rateLimitExceeded": backends.Throttled, "userRateLimitExceeded": backends.Throttled, "resourceExhausted": backends.Throttled,
	"quotaExceeded": backends.Full, "dailyLimitExceeded": backends.Full,
	"keyDisabled": backends.Denied, "keyDestroyed": backends.Denied, "accountDisabled": backends.Denied,
	"userProjectMissing": backends.Denied, "userProjectInvalid": backends.Denied, "userProjectInconsistent": backends.Denied,
	"backendError": backends.Transient, "internalError": backends.Transient, "uploadBrokenConnection": backends.Transient,
}

func classOfAnswer(e *googleapi.Error) backends.Class {
	for _, item := range e.Errors {
		if class, ok := reasons[item.Reason]; ok {
			return class
		}
		if strings.HasPrefix(item.Reason, "cloudKms") { // a key that is disabled, gone, or elsewhere
			return backends.Denied
		}
	}
	if e.Code == http.StatusBadRequest && !unreasoned(e) {
		return backends.Unsupported // such as an ACL in a bucket that has none
	}
	return classOfStatus(e.Code)
}

// unreasoned says whether an answer has no reason but that something is wrong
// with the request.
func unreasoned(e *googleapi.Error) bool {
	for _, item := range e.Errors {
		if item.Reason != "" && item.Reason != "invalid" {
			return false
		}
	}
	return true
}

func classOfStatus(status int) backends.Class {
	if status == http.StatusGone { // a session that is over
		return backends.NotFound
	}
	return parts.ClassOfStatus(status)
}

// statusOf is the status of the service's answer, 0 for none.
func statusOf(err error) int {
	var api *googleapi.Error
	if errors.As(err, &api) {
		return api.Code
	}
	return 0
}

// refused is a write that was answered with 400. The service has no reason of
// its own for a checksum that is wrong but "invalid", and the same request with a
// right one was accepted when the store was opened.
func refused(err error) error {
	var api *googleapi.Error
	if !errors.As(err, &api) || api.Code != http.StatusBadRequest || !unreasoned(api) {
		return err
	}
	return fmt.Errorf("%w: %w", backends.Refuse(backends.Corrupt, "the service refuses the content, whose checksum it compared"), answer{err})
}
