package gcs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"cloud.google.com/go/auth"
	"cloud.google.com/go/auth/credentials"
	"cloud.google.com/go/auth/httptransport"
	"cloud.google.com/go/storage"
	"google.golang.org/api/option"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/parts"
)

// scope is what a token is asked for; an ACL is set by who controls all.
func (o *Options) scope() string {
	if o.ACL != "" {
		return storage.ScopeFullControl
	}
	return storage.ScopeReadWrite
}

// connections are the SDK's client and, below it, the authenticated one that
// sessions are spoken over, with the transport that the caller closes.
type connections struct {
	sdk  *storage.Client
	http *http.Client
	base *http.Transport
}

// connect asks for a token, so that the want of credentials is one clear error
// and not one of each request.
func connect(ctx context.Context, o Options) (*connections, error) {
	c := &connections{base: transport()}
	c.http = &http.Client{Transport: asStored{c.base}, CheckRedirect: noRedirect}
	if !o.Anonymous {
		creds, err := o.credentials(&http.Client{Transport: c.base})
		if err == nil {
			err = retry(ctx, func() error {
				_, err := creds.Token(ctx)
				return tokenFailure(err)
			})
		}
		if err == nil {
			err = httptransport.AddAuthorizationMiddleware(c.http, creds)
		}
		if err != nil {
			c.base.CloseIdleConnections()
			return nil, err
		}
	}
	// The SDK would look for credentials of its own: those are in the client.
	sdk, err := storage.NewClient(ctx, option.WithHTTPClient(c.http), option.WithEndpoint(o.endpoint()+"/storage/v1/"),
		option.WithoutAuthentication(), option.WithTelemetryDisabled(), storage.WithJSONReads())
	if err != nil {
		c.base.CloseIdleConnections()
		return nil, err
	}
	sdk.SetRetry(storage.WithPolicy(storage.RetryAlways), storage.WithMaxAttempts(attempts),
		storage.WithErrorFunc(again), storage.WithBackoff(backoff))
	c.sdk = sdk
	return c, nil
}

func transport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	parts.Tune(t)
	// Google's service speaks HTTP/2, where all requests share a connection: of one
	// that a firewall dropped no body ends, and new requests go on being sent there.
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second}
	return t
}

// asStored asks for the bytes of an object as they are: one that was uploaded
// compressed would be decoded on the way, and have another length and other
// sums than it is listed with. The SDK can ask so over XML only.
type asStored struct{ next http.RoundTripper }

// RoundTrip leaves the request that it is given as it is.
func (a asStored) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodGet && r.URL.Query().Get("alt") == "media" {
		r = r.Clone(r.Context())
		r.Header.Set("Accept-Encoding", "gzip")
	}
	return a.next.RoundTrip(r)
}

// noRedirect: 308 is the service's word for an unfinished upload, and no other
// redirect is to be followed with a token.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// credentials are those that the options name, else Google's default ones.
func (o *Options) credentials(client *http.Client) (*auth.Credentials, error) {
	opts := &credentials.DetectOptions{Scopes: []string{o.scope()}, Client: client}
	key := []byte(o.Credentials)
	if o.KeyFile != "" {
		var err error
		if key, err = os.ReadFile(o.KeyFile); err != nil {
			return nil, &credentialsError{"the key file cannot be read", err}
		}
	}
	if len(key) == 0 {
		creds, err := credentials.DetectDefault(opts)
		if err != nil {
			return nil, &credentialsError{"no Google credentials: name a key file, set GOOGLE_APPLICATION_CREDENTIALS, or run where a service account is attached", err}
		}
		return creds, nil
	}
	var kind struct{ Type string }
	if err := json.Unmarshal(key, &kind); err != nil || kind.Type == "" {
		return nil, &credentialsError{"the credentials are no JSON key of Google's", nil}
	}
	creds, err := credentials.NewCredentialsFromJSON(credentials.CredType(kind.Type), key, opts)
	if err != nil {
		return nil, &credentialsError{fmt.Sprintf("the credentials of the type %.40q are not usable", kind.Type), err}
	}
	return creds, nil
}

// tokenFailure tells a refusal of the credentials from a token service that
// does not answer.
func tokenFailure(err error) error {
	var a *auth.Error
	if errors.As(err, &a) && a.Response != nil && noToken(err) == nil {
		return fmt.Errorf("asking for a token: %w: %w", backends.Refuse(backends.Transient, a.Response.Status), err)
	}
	if err != nil && !onNetwork(err) && !backends.Ended(err) {
		return &credentialsError{noTokenText, err}
	}
	return err
}

const noTokenText = "Google gives no token for these credentials"

// noToken is the token service's refusal of a token, nil if there is none in err.
// It may come with any request, since a token is renewed each hour, and what was
// revoked does not come back by itself.
func noToken(err error) *auth.Error {
	var a *auth.Error
	if !errors.As(err, &a) || a.Response == nil {
		return nil
	}
	switch status := a.Response.StatusCode; {
	case status >= 500, status == http.StatusRequestTimeout, status == http.StatusTooManyRequests:
		return nil
	}
	return a
}

// credentialsError is what an operator can mend.
type credentialsError struct {
	text string
	err  error
}

func (e *credentialsError) Error() string {
	if e.err == nil {
		return e.text
	}
	// What a token service answers is repeated, over some lines.
	return e.text + ": " + fmt.Sprintf("%.400s", strings.Join(strings.Fields(e.err.Error()), " "))
}

// Unwrap gives the class and the cause.
func (e *credentialsError) Unwrap() []error { return []error{backends.Denied, e.err} }
