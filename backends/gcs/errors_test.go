package gcs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/storage"
	"google.golang.org/api/googleapi"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest"
)

func TestClasses(t *testing.T) {
	api := func(status int, reason string) error {
		return fmt.Errorf("storage: retry failed: %w", &googleapi.Error{Code: status, Message: "m", Errors: []googleapi.ErrorItem{{Reason: reason}}})
	}
	// As the transport of a request has it that is to be signed anew.
	token := func(status int) error {
		return &url.Error{Op: "Post", URL: "u", Err: &auth.Error{Response: &http.Response{StatusCode: status}, Body: []byte(`{"error": "invalid_grant"}`)}}
	}
	for _, c := range []struct {
		err  error
		want backends.Class
	}{
		{api(400, "invalid"), backends.Unknown},
		{api(401, "authError"), backends.Denied},
		{api(403, "forbidden"), backends.Denied},
		{api(403, "rateLimitExceeded"), backends.Throttled},
		{api(403, "userRateLimitExceeded"), backends.Throttled},
		{api(403, "quotaExceeded"), backends.Full},
		{api(400, "userProjectMissing"), backends.Denied},
		{api(404, "notFound"), backends.NotFound},
		{api(408, "x"), backends.Transient},
		{api(410, "backendError"), backends.Transient},
		{api(410, "gone"), backends.NotFound},
		{api(412, "conditionNotMet"), backends.Changed},
		{api(416, "requestedRangeNotSatisfiable"), backends.Changed},
		{api(429, "rateLimitExceeded"), backends.Throttled},
		{api(500, "internalError"), backends.Transient},
		{api(502, ""), backends.Transient},
		{api(503, "backendError"), backends.Transient},
		{api(503, ""), backends.Throttled},
		{api(507, ""), backends.Full},
		{api(307, ""), backends.Denied},
		{refused(api(400, "invalid")), backends.Corrupt},
		{refused(api(403, "forbidden")), backends.Denied},
		{refused(api(400, "")), backends.Corrupt},
		{refused(&googleapi.Error{Code: 400}), backends.Corrupt},
		{refused(api(400, "cloudKmsDisabledKey")), backends.Denied},
		{refused(api(400, "cloudKmsEncryptionKeyNotFound")), backends.Denied},
		{refused(api(400, "cloudKmsKeyLocationNotAllowed")), backends.Denied},
		{refused(api(400, "userProjectMissing")), backends.Denied},
		{refused(api(400, "userProjectInvalid")), backends.Denied},
		{refused(api(400, "badRequest")), backends.Unsupported},
		{refused(api(400, "invalidArgument")), backends.Unsupported},
		{token(400), backends.Denied},
		{token(401), backends.Denied},
		{token(429), backends.Transient},
		{token(503), backends.Transient},
		{fmt.Errorf("%w: %w", storage.ErrObjectNotExist, api(404, "notFound")), backends.NotFound},
		{fmt.Errorf("%w: %w", storage.ErrBucketNotExist, api(404, "notFound")), backends.Denied},
		{&url.Error{Op: "Get", URL: "u", Err: io.EOF}, backends.Transient},
		{fmt.Errorf("x: %w", io.ErrUnexpectedEOF), backends.Transient},
		{&url.Error{Op: "Get", URL: "u", Err: context.Canceled}, backends.Unknown},
		{&credentialsError{"t", api(400, "")}, backends.Denied},
		{backends.SourceError{Err: api(403, "forbidden")}, backends.Unknown},
		{errors.New("else"), backends.Unknown},
	} {
		if got := classOf(c.err); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
}

// TestErrorText is short and without addresses.
func TestErrorText(t *testing.T) {
	err := fail("put", "k", &url.Error{Op: "Put", URL: "https://h/?upload_id=SECRET", Err: errors.New("connection refused")})
	if err.Error() != "put k: connection refused (transient)" {
		t.Error(err)
	}
	err = fail("put", "k", &googleapi.Error{Code: 403, Message: "no right.", Errors: []googleapi.ErrorItem{{Reason: "forbidden"}}})
	if err.Error() != "put k: forbidden: no right [HTTP 403] (denied)" {
		t.Error(err)
	}
	err = withoutID(&googleapi.Error{Code: 404, Message: "no upload a+b", Body: "a+b"}, "https://h/?upload_id=a%2Bb")
	if strings.Contains(err.Error(), "a+b") {
		t.Error(err)
	}
}

// TestRevoked is one line that says what is wrong, with what the token service
// answered.
func TestRevoked(t *testing.T) {
	err := fail("put", "k", &url.Error{Op: "Post", URL: "https://h/?upload_id=SECRET", Err: &auth.Error{
		Response: &http.Response{StatusCode: 400}, Body: []byte("{\n\"error\": \"invalid_grant\"}"),
	}})
	text := err.Error()
	if !strings.Contains(text, "Google gives no token") || !strings.Contains(text, "invalid_grant") || strings.ContainsAny(text, "\n") || strings.Contains(text, "SECRET") {
		t.Error(text)
	}
}

func TestSessionAt(t *testing.T) {
	own := Options{Endpoint: "http://127.0.0.1:9"}
	for _, c := range []struct {
		o         Options
		uri, want string // "" for refused
	}{
		{Options{}, "https://storage.googleapis.com/upload/x?upload_id=i&name=n", "https://storage.googleapis.com/upload/x?upload_id=i&name=n"},
		{Options{}, "https://www.googleapis.com/upload/x?upload_id=i", "https://www.googleapis.com/upload/x?upload_id=i"},
		{Options{}, "http://storage.googleapis.com/upload/x?upload_id=i", ""},
		{Options{}, "https://storage.googleapis.com.evil.example/x?upload_id=i", ""},
		{Options{}, "https://evil.example/x?upload_id=i#.googleapis.com", ""},
		{Options{}, "https://u:p@storage.googleapis.com/x?upload_id=i", ""},
		{Options{}, "https://storage.googleapis.com:444/x?upload_id=i", ""},
		{Options{}, "https://storage.googleapis.com/upload/x?upload_id=i&name=other", ""},
		{Options{}, "https://storage.googleapis.com/upload/x", ""},
		{Options{}, "", ""},
		{own, "https://www.googleapis.com/upload/x?upload_id=i", "http://127.0.0.1:9/upload/x?upload_id=i"},
		{own, "https://www.googleapis.com/upload/x?upload_id=i&name=other", ""},
	} {
		if got, err := c.o.sessionAt(c.uri, "n"); got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v, want %q", c.uri, got, err, c.want)
		}
	}
}

func TestTimeouts(t *testing.T) { backendtest.CheckTimeouts(t, classOf) }
