package oss

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/url"
	"testing"
	"time"

	sdk "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest"
)

func TestClasses(t *testing.T) {
	said := func(status int, code string) error {
		return fmt.Errorf("above: %w", &sdk.ServiceError{StatusCode: status, Code: code, RequestID: "1"})
	}
	for _, c := range []struct {
		err   error
		class backends.Class
		again bool
	}{
		{said(404, "NoSuchKey"), backends.NotFound, false},
		{said(404, unreadable), backends.NotFound, false},
		{&sdk.ServiceError{StatusCode: 404, Code: unreadable}, backends.Denied, false},
		{said(404, "NoSuchBucket"), backends.Denied, false},
		{said(403, "AccessDenied"), backends.Denied, false},
		{said(403, "InvalidAccessKeyId"), backends.Denied, false},
		{said(403, "SignatureDoesNotMatch"), backends.Denied, false},
		{said(403, "SecurityTokenExpired"), backends.Denied, false},
		{said(403, "RequestTimeTooSkewed"), backends.Denied, false},
		{said(403, "Unheard"), backends.Denied, false},
		{said(401, "Unheard"), backends.Denied, false},
		{said(503, "QpsLimitExceeded"), backends.Throttled, true},
		{said(429, "Unheard"), backends.Throttled, true},
		{said(503, "Unheard"), backends.Throttled, true},
		{said(500, "InternalError"), backends.Transient, true},
		{said(502, unreadable), backends.Transient, true},
		{said(400, "InvalidDigest"), backends.Corrupt, false},
		{said(400, "Unheard"), backends.Unknown, false},
		{said(409, "FileAlreadyExists"), backends.Changed, false},
		{said(403, "InvalidObjectState"), backends.Unsupported, false},
		{said(416, "InvalidRange"), backends.Changed, false},
		{&url.Error{Op: "Get", URL: "http://x", Err: io.EOF}, backends.Transient, true},
		{&url.Error{Op: "Get", URL: "http://x", Err: &tls.CertificateVerificationError{Err: io.EOF}}, backends.Transient, false},
		{&url.Error{Op: "Get", URL: "http://x", Err: context.Canceled}, backends.Unknown, false},
		{io.ErrUnexpectedEOF, backends.Transient, true},
		{&sdk.DeserializationError{}, backends.Transient, true},
		{errors.New("any"), backends.Unknown, false},
	} {
		if got := classOf(c.err); got != c.class {
			t.Errorf("%v: %v, want %v", c.err, got, c.class)
		}
		if got := (retryer{}).IsErrorRetryable(c.err); got != c.again {
			t.Errorf("%v: again %v", c.err, got)
		}
	}
}

func TestDelays(t *testing.T) {
	var all time.Duration
	for attempt := 2; attempt <= attempts; attempt++ {
		d, err := retryer{}.RetryDelay(attempt, nil)
		if err != nil || d < 20*time.Millisecond || d > 10*time.Second {
			t.Errorf("%d: %v, %v", attempt, d, err)
		}
		all += d
	}
	if all > 15*time.Second {
		t.Errorf("%v in all", all)
	}
}

func TestTimeouts(t *testing.T) { backendtest.CheckTimeouts(t, classOf) }
