package azure

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/parts"
)

// attempts of one request beyond the first. With the delays between them that
// is some 20 s of a service that is away; beyond that it is the caller who
// knows whether to go on.
const attempts = 7

// newClient makes the SDK's client of the container, and the connections under
// it, which the caller closes. It asks for a token where one is used, so that
// its want is one clear error and not one of each request.
func newClient(ctx context.Context, o Options) (*container.Client, *http.Client, error) {
	conns := &http.Client{Transport: transport(o.SkipVerify), CheckRedirect: noRedirect}
	options := &container.ClientOptions{}
	options.Transport = conns
	options.Telemetry.ApplicationID = "regferry"
	options.Retry = policy.RetryOptions{
		MaxRetries: attempts, RetryDelay: 100 * time.Millisecond, MaxRetryDelay: 10 * time.Second, ShouldRetry: worthRetrying,
	}
	at := o.ServiceURL + "/" + url.PathEscape(o.Container)
	c := o.Credentials
	switch {
	case c.Key != "":
		key, err := container.NewSharedKeyCredential(o.Account, c.Key)
		if err != nil {
			return nil, nil, backends.Refuse(backends.Denied, "the account key is not base64")
		}
		client, err := container.NewClientWithSharedKeyCredential(at, key, options)
		return client, conns, err
	case c.SAS != "":
		client, err := container.NewClientWithNoCredential(at+"?"+c.SAS, options)
		return client, conns, err
	case strings.HasPrefix(o.ServiceURL, "http://"):
		return nil, nil, backends.Refuse(backends.Denied, "no account key and no shared access signature, and a token is not sent over http: "+howTo)
	}
	token, err := tokenOf(ctx, o)
	if err != nil {
		conns.CloseIdleConnections()
		return nil, nil, &credentialsError{err}
	}
	client, err := container.NewClient(at, token, options)
	return client, conns, err
}

// scope is the same in all clouds.
const scope = "https://storage.azure.com/.default"

func tokenOf(ctx context.Context, o Options) (azcore.TokenCredential, error) {
	shared := azcore.ClientOptions{Cloud: cloudOf(o.realm())}
	var token azcore.TokenCredential
	var err error
	if c := o.Credentials; c.ClientSecret != "" {
		token, err = azidentity.NewClientSecretCredential(c.TenantID, c.ClientID, c.ClientSecret, &azidentity.ClientSecretCredentialOptions{ClientOptions: shared})
	} else {
		token, err = azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: shared})
	}
	if err != nil {
		return nil, err
	}
	_, err = token.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}})
	return token, err
}

func cloudOf(realm string) cloud.Configuration {
	switch realm {
	case "core.chinacloudapi.cn":
		return cloud.AzureChina
	case "core.usgovcloudapi.net":
		return cloud.AzureGovernment
	}
	return cloud.AzurePublic
}

func transport(skipVerify bool) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	parts.Tune(t)
	t.DisableCompression = true // a blob that is marked as gzip would come unpacked
	t.TLSClientConfig = &tls.Config{InsecureSkipVerify: skipVerify}
	return t
}

// noRedirect: the service makes none, and following one of a proxy's would send
// it the signature.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// worthRetrying: a certificate that is not trusted will not be in ten seconds,
// and an account that has no address does not exist.
func worthRetrying(resp *http.Response, err error) bool {
	if err != nil {
		var dns *net.DNSError
		return !errors.As(err, new(*tls.CertificateVerificationError)) && !(errors.As(err, &dns) && dns.IsNotFound)
	}
	switch resp.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

const howTo = "set AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN or AZURE_STORAGE_CONNECTION_STRING, or AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or run where an identity is assigned"

type credentialsError struct{ err error }

// Error is one line of what the SDK says in twenty.
func (e *credentialsError) Error() string {
	text := strings.Join(strings.Fields(e.err.Error()), " ")
	if len(text) > 500 {
		text = text[:500] + "..."
	}
	return "no Azure token, " + howTo + ": " + text
}

// Unwrap does not give the SDK's error, whose text is long.
func (e *credentialsError) Unwrap() []error {
	if backends.Ended(e.err) {
		return []error{e.err}
	}
	return []error{tokenClass(e.err)}
}

// tokenClass: where nobody refused a token, it may be had later.
func tokenClass(err error) backends.Class {
	var failed *azidentity.AuthenticationFailedError
	if errors.As(err, &failed) && (failed.RawResponse == nil || failed.RawResponse.StatusCode >= 500) {
		return backends.Transient
	}
	return backends.Denied
}
