package swift

import (
	"cmp"
	"os"
	"strconv"

	"github.com/regferry/regferry/backends"
)

func first(values ...string) string { return cmp.Or(values...) }

// FromEnv fills what is empty from the environment variables that OpenStack's
// own client reads: OS_AUTH_URL, OS_USERNAME, OS_PASSWORD, OS_PROJECT_NAME or
// OS_TENANT_NAME, OS_USER_DOMAIN_NAME, OS_PROJECT_DOMAIN_NAME, each of these
// with ID as well, OS_REGION_NAME, OS_ENDPOINT_TYPE, OS_CACERT,
// OS_APPLICATION_CREDENTIAL_ID, _NAME and _SECRET; and ST_AUTH, ST_USER, ST_KEY
// for version 1.
func (o Options) FromEnv() Options {
	set := func(field *string, names ...string) {
		for _, name := range names {
			*field = cmp.Or(*field, os.Getenv(name))
		}
	}
	secret := func(field *backends.Secret, names ...string) {
		for _, name := range names {
			*field = cmp.Or(*field, backends.Secret(os.Getenv(name)))
		}
	}
	if os.Getenv("OS_AUTH_URL") == "" && os.Getenv("ST_AUTH") != "" {
		set(&o.AuthURL, "ST_AUTH")
		set(&o.Username, "ST_USER")
		secret(&o.Password, "ST_KEY")
		o.AuthVersion = cmp.Or(o.AuthVersion, 1)
		return o
	}
	set(&o.AuthURL, "OS_AUTH_URL")
	set(&o.Username, "OS_USERNAME", "ST_USER")
	secret(&o.Password, "OS_PASSWORD", "ST_KEY") // of version 1, where only its address is given
	set(&o.Tenant, "OS_PROJECT_NAME", "OS_TENANT_NAME")
	set(&o.TenantID, "OS_PROJECT_ID", "OS_TENANT_ID")
	set(&o.Domain, "OS_USER_DOMAIN_NAME")
	set(&o.DomainID, "OS_USER_DOMAIN_ID")
	set(&o.TenantDomain, "OS_PROJECT_DOMAIN_NAME")
	set(&o.TenantDomainID, "OS_PROJECT_DOMAIN_ID")
	set(&o.TrustID, "OS_TRUST_ID")
	set(&o.Region, "OS_REGION_NAME")
	set(&o.CABundle, "OS_CACERT")
	set(&o.ApplicationCredentialID, "OS_APPLICATION_CREDENTIAL_ID")
	set(&o.ApplicationCredentialName, "OS_APPLICATION_CREDENTIAL_NAME")
	secret(&o.ApplicationCredentialSecret, "OS_APPLICATION_CREDENTIAL_SECRET")
	if kind := os.Getenv("OS_ENDPOINT_TYPE"); o.EndpointType == "" { // publicURL is how older clients write it
		o.EndpointType = map[string]string{"publicURL": "public", "internalURL": "internal", "adminURL": "admin"}[kind]
		o.EndpointType = cmp.Or(o.EndpointType, kind)
	}
	if v, err := strconv.ParseFloat(first(os.Getenv("OS_IDENTITY_API_VERSION"), os.Getenv("ST_AUTH_VERSION")), 64); err == nil && o.AuthVersion == 0 {
		o.AuthVersion = int(v)
	}
	return o
}
