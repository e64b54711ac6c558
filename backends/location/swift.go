package location

import (
	"context"
	"errors"
	"strings"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/swift"
)

// swiftContainer is a container, or a directory of one.
type swiftContainer struct{ swift.Options }

func (c swiftContainer) source(ctx context.Context, o Opener) (backends.ReadStore, error) {
	c.Notice = o.Notice
	return swift.OpenReader(ctx, c.Options)
}

func (c swiftContainer) destination(ctx context.Context, o Opener) (backends.Store, error) {
	c.Notice = o.Notice
	return swift.Open(ctx, c.Options)
}

func (c swiftContainer) identity() (string, error) { return c.Identity(), nil }

// swiftSystem has the parameters of registry/storage/driver/swift of 2.8.3.
var swiftSystem = system{
	driver: "swift", scheme: "swift", bucket: "container", root: "prefix", server: "authurl", folds: true, place: swiftPlace,
	params: map[string]param{
		"password": {text, secret}, "container": {text, inPath}, "prefix": {text, inPath},
		"username": {text, used}, "authurl": {text, used}, "authversion": {number, used}, "endpointtype": {text, used}, "region": {text, used},
		"tenant": {text, used}, "tenantid": {text, used}, "domain": {text, used}, "domainid": {text, used},
		"tenantdomain": {text, used}, "tenantdomainid": {text, used}, "trustid": {text, used},
		"insecureskipverify": {flag, used}, "chunksize": {size, part},
		// The documentation has a rootdirectory, which the driver does not read.
		"rootdirectory": {text, ignored},
		// For redirects only: the keys that temporary URLs are signed with.
		"secretkey": {text, secret}, "accesskey": {text, secret}, "tempurlcontainerkey": {flag, ignored}, "tempurlmethods": {texts, ignored},
		"cabundle": {text, ours}, "largeobjects": {text, ours},
		"applicationcredentialid": {text, ours}, "applicationcredentialname": {text, ours}, "applicationcredentialsecret": {text, oursSecret},
	},
	aliases: map[string]string{
		"skipverify": "insecureskipverify", "user": "username", "endpoint": "authurl",
		"project": "tenant", "projectid": "tenantid", "projectdomain": "tenantdomain", "projectdomainid": "tenantdomainid",
	},
	credentials: "credentials do not belong in a location, where they would be seen: set OS_PASSWORD (ST_KEY for version 1), or OS_APPLICATION_CREDENTIAL_ID and OS_APPLICATION_CREDENTIAL_SECRET",
	example:     "write swift://container/prefix, with OS_AUTH_URL and its like in the environment, or swift://container?authurl=https://keystone.example.com:5000/v3&username=registry&tenant=services&domain=Default",
}

func swiftPlace(p *params) (place, error) {
	o := swift.Options{
		AuthURL: p.text("authurl"), Username: p.text("username"), Password: backends.Secret(p.text("password")),
		Tenant: p.text("tenant"), TenantID: p.text("tenantid"), Domain: p.text("domain"), DomainID: p.text("domainid"),
		TenantDomain: p.text("tenantdomain"), TenantDomainID: p.text("tenantdomainid"), TrustID: p.text("trustid"),
		Region: p.text("region"), AuthVersion: int(p.number("authversion")), EndpointType: p.text("endpointtype"),
		Container: p.text("container"), Prefix: p.text("prefix"), InsecureSkipVerify: p.flag("insecureskipverify", false),
		CABundle: p.text("cabundle"), LargeObjects: p.text("largeobjects"), PartSize: p.partSize("chunksize"),
		ApplicationCredentialID: p.text("applicationcredentialid"), ApplicationCredentialName: p.text("applicationcredentialname"),
	}
	if p.isURL() {
		o = o.FromEnv()
		return swiftContainer{o}, o.Check()
	}
	p.leave("secretkey", "accesskey") // for redirects
	if prefix := strings.Trim(o.Prefix, "/"); prefix != "" && strings.HasSuffix(o.Prefix, "/") {
		p.wrong("prefix", "ends in a slash, so the registry's tree is at %[1]s//files, with an empty name in each key, which is neither read nor written here: write %[1]s, and rename what a registry has there already", backends.Printable(prefix))
	}
	if p.has("rootdirectory") {
		p.warn("%s is not read by the registry, whose name for it is prefix: its tree is where prefix says", p.field("rootdirectory"))
	}
	for _, name := range []string{"authurl", "username", "password"} { // nothing of it from the environment: that may be the other side's
		if !p.has(name) {
			return nil, errors.New(name + " is missing")
		}
	}
	return swiftContainer{o}, o.Check()
}
