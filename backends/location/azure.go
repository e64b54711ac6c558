package location

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/azure"
)

// azureContainer is a container, or a directory of one.
type azureContainer struct {
	azure.Options
	// Registry is the version that a destination is written for where the
	// options say neither it nor the root; a source is looked at instead.
	Registry string
}

func (c azureContainer) source(ctx context.Context, o Opener) (backends.ReadStore, error) {
	c.Notice = o.Notice
	return azure.OpenReader(ctx, c.Options)
}

func (c azureContainer) destination(ctx context.Context, o Opener) (backends.Store, error) {
	c.Notice = o.Notice
	to := c.asDestination(o)
	if o.Notice != nil && c.Root == "" && c.RegistryVersion == "" && o.RegistryVersion == "" && c.Registry != "" {
		o.Notice(fmt.Sprintf("names of blobs are written for registry %s, as the file tells: %s; --registry-version says another", c.Registry,
			map[bool]string{true: "they begin with a slash", false: "without a slash before docker/"}[c.Registry == "2.8"]))
	}
	return azure.Open(ctx, to.Options)
}

// asDestination says which registry a destination is for, as far as that is
// known.
func (c azureContainer) asDestination(o Opener) azureContainer {
	if c.Root == "" {
		c.RegistryVersion = cmp.Or(c.RegistryVersion, o.RegistryVersion, c.Registry)
	}
	return c
}

func (c azureContainer) identity() (string, error) { return c.Identity(), nil }

// azureSystem has the parameters of registry/storage/driver/azure of 2.8.3 and
// 3.1.2.
var azureSystem = system{
	driver: "azure", scheme: "azblob", bucket: "container", root: "rootdirectory", server: "serviceurl", folds: true, place: azurePlace,
	params: map[string]param{
		"accountkey": {text, secret}, "connectionstring": {text, secret}, "credentials": {group, secret},
		"container": {text, inPath}, "rootdirectory": {text, inPath},
		"accountname": {text, used}, "realm": {text, used}, "serviceurl": {text, used}, "skipverify": {flag, used},
		"max_retries": {number, ignored}, "retry_delay": {text, ignored},
		// what REGISTRY_STORAGE_AZURE_MAX_RETRIES and ..._RETRY_DELAY make
		"max": {group, ignored}, "retry": {group, ignored},
		"root": {text, ours}, "registry_version": {text, ours}, "chunksize": {size, ours},
	},
	aliases:     map[string]string{"account": "accountname", "endpoint": "serviceurl"},
	credentials: "credentials do not belong in a location, where they would be seen: set AZURE_STORAGE_KEY, AZURE_STORAGE_CONNECTION_STRING or AZURE_STORAGE_SAS_TOKEN, or AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET",
	example:     "write azblob://container/rootdirectory?accountname=myaccount or azblob://container?accountname=myaccount&registry_version=2.8",
}

// azureCredentials are the parameters of the mapping credentials.
var azureCredentials = system{driver: "azure's credentials", folds: true, params: map[string]param{
	"type": {text, used}, "clientid": {text, used}, "tenantid": {text, used}, "secret": {text, secret},
}}

func azurePlace(p *params) (place, error) {
	o := azure.Options{
		Account: p.text("accountname"), Container: p.text("container"), Prefix: p.text("rootdirectory"),
		Realm: p.text("realm"), ServiceURL: p.text("serviceurl"), SkipVerify: p.flag("skipverify", false),
		Root: azure.Root(p.text("root")), RegistryVersion: p.text("registry_version"), PartSize: p.partSize("chunksize"),
	}
	if p.isURL() {
		return azureContainer{Options: o}, o.Check()
	}
	version := "2.8" // 3 wants the type of the credentials, and 2.8 does not know it
	if p.group("credentials") != nil {
		version = "3"
	}
	if version == "2.8" && o.Prefix != "" {
		p.warn("%s is not read by registry 2.8, whose tree is at the top of the container, and not used here either", p.field("rootdirectory"))
		o.Prefix = ""
	}
	if _, given := p.values["realm"]; version == "2.8" && given && p.values["realm"] == nil && p.facts.Kind == kindDistribution {
		p.wrong("realm", "has no value, and registry 2.8 makes the text <nil> of that, which is part of the host that it asks: leave the line out")
	}
	if err := azureLogin(p, &o); err != nil {
		return nil, err
	}
	return azureContainer{o, version}, o.Check()
}

// azureLogin takes the credential that the registry would take.
func azureLogin(p *params, o *azure.Options) error {
	c := &params{system: &azureCredentials, at: p.field("credentials"), values: p.group("credentials")}
	if err := c.check(); err != nil {
		return err
	}
	switch kind := c.text("type"); kind {
	case "", "shared_key":
		o.Credentials.Key = p.text("accountkey")
		if o.Credentials.Key == "" {
			o.Credentials.ConnectionString = p.text("connectionstring")
		}
		if o.Credentials == (azure.Credentials{}) {
			return errors.New("accountkey is missing")
		}
	case "client_secret":
		o.Credentials.TenantID, o.Credentials.ClientID, o.Credentials.ClientSecret = c.text("tenantid"), c.text("clientid"), c.text("secret")
		if o.Credentials.TenantID == "" || o.Credentials.ClientID == "" || o.Credentials.ClientSecret == "" {
			return errors.New("credentials of the type client_secret need tenantid, clientid and secret")
		}
	case "default_credentials":
	default:
		return errors.New("credentials.type is client_secret, shared_key or default_credentials" + didYouMean(kind, []string{"client_secret", "shared_key", "default_credentials"}))
	}
	return nil
}
