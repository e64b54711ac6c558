package swift

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ncw/swift/v2"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/parts"
)

// service is a container of a Swift account, and what is known of the service.
type service struct {
	conn      *swift.Connection
	transport *transport
	container string
	limits    limits
	named     atomic.Bool // whether the service names the requests that it answers
}

// connect logs in and asks what the service can do.
func connect(ctx context.Context, o Options) (*service, error) {
	t, err := newTransport(o)
	if err != nil {
		return nil, err
	}
	s := &service{transport: t, container: o.Container, conn: connection(o, t)}
	if err := s.login(ctx, o); err != nil {
		t.CloseIdleConnections()
		return nil, err
	}
	s.limits = s.ask(ctx)
	return s, nil
}

func connection(o Options, t http.RoundTripper) *swift.Connection {
	c := &swift.Connection{
		AuthUrl: o.AuthURL, AuthVersion: o.AuthVersion, UserAgent: "regferry",
		UserName: o.Username, ApiKey: string(o.Password), Domain: o.Domain, DomainId: o.DomainID,
		ApplicationCredentialId: o.ApplicationCredentialID, ApplicationCredentialName: o.ApplicationCredentialName,
		ApplicationCredentialSecret: string(o.ApplicationCredentialSecret),
		Tenant:                      o.Tenant, TenantId: o.TenantID, TenantDomain: o.TenantDomain, TenantDomainId: o.TenantDomainID,
		TrustId: o.TrustID, Region: o.Region, EndpointType: swift.EndpointType(first(o.EndpointType, "public")),
		Transport: t,
		// The library's own clocks give a request up without ending it, so that
		// its body would be read on; the connection's do end it.
		ConnectTimeout: 24 * time.Hour, Timeout: 24 * time.Hour,
	}
	if o.AuthVersion == 1 { // has no kinds but one address and, at times, an internal one
		c.EndpointType, c.Internal = "", o.EndpointType == "internal"
	}
	return c
}

// loginError is what the identity service said.
type loginError struct {
	what string
	err  error
}

func (e *loginError) Error() string { return e.what + ": " + e.err.Error() }
func (e *loginError) Unwrap() error { return e.err }

func (s *service) login(ctx context.Context, o Options) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	err := s.conn.Authenticate(ctx)
	for try := 1; try < attempts && again(shorten(err, nil)); try++ {
		if err := pause(ctx, try); err != nil {
			return err
		}
		err = s.conn.Authenticate(ctx)
	}
	if err == nil {
		return nil
	}
	a := shorten(err, nil)
	if said := (*answer)(nil); errors.As(a, &said) && said.status == 0 && s.conn.AuthToken != "" {
		text := "the identity service lists no object store"
		if o.Region != "" {
			text += " in the region " + o.Region
		}
		return backends.Refuse(backends.Denied, text+" for the endpoint type "+first(o.EndpointType, "public"))
	}
	return s.notLoggedIn(a)
}

// notLoggedIn is of the identity service, whatever it answers: no object is
// absent because of that.
func (s *service) notLoggedIn(err error) error {
	if status := statusOf(err); status == http.StatusUnauthorized || status == http.StatusForbidden {
		return &loginError{"the identity service refuses the credentials (" + s.conn.AuthUrl + ")", err}
	}
	return &loginError{"logging in at " + s.conn.AuthUrl, err}
}

// transport follows no redirect, which would take the token to whatever host
// the answer names.
type transport struct{ *http.Transport }

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.Transport.RoundTrip(r)
	if err == nil && resp.StatusCode >= 300 && resp.StatusCode < 400 {
		resp.Header.Del("Location")
	}
	if err != nil || resp.StatusCode < 400 || r.Method == http.MethodHead {
		return resp, err
	}
	// The library looks at what an error says by one Read, and drops it if that
	// is also the end.
	said, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(said))
	return resp, nil
}

func newTransport(o Options) (*transport, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.DialContext = (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 15 * time.Second}).DialContext
	parts.Tune(t) // Swift looks at each segment before it answers that a manifest is stored
	t.ExpectContinueTimeout = 5 * time.Second
	t.DisableCompression = true // an object is what is stored
	t.TLSClientConfig = &tls.Config{InsecureSkipVerify: o.InsecureSkipVerify}
	if o.CABundle == "" {
		return &transport{t}, nil
	}
	pem, err := os.ReadFile(o.CABundle)
	if err != nil {
		return nil, fmt.Errorf("CA bundle: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, backends.Refuse(backends.Unsupported, "the CA bundle "+o.CABundle+" has no certificate")
	}
	t.TLSClientConfig.RootCAs = pool
	return &transport{t}, nil
}

// infoURL is where a service tells of itself, beside the first version in the
// path: /v1/AUTH_x has /info, and Ceph's /swift/v1 has /swift/info.
func infoURL(storage string) string {
	for _, v := range []string{"/v1/", "/v1.0/"} {
		if at, _, ok := strings.Cut(storage+"/", v); ok {
			return at + "/info"
		}
	}
	return ""
}
