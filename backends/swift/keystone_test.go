package swift_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/backends/swift"
)

// TestKeystone logs in by version 3: as a user of another domain than its
// project's, by an application credential, by the environment, and wrongly.
func TestKeystone(t *testing.T) {
	k := servers.Keystone(t)
	makeContainer(t, k.Account(t), "registry")
	user := swift.Options{
		AuthURL: k.AuthURL, Username: k.User, Password: backends.Secret(k.Password), Domain: k.UserDomain,
		Tenant: k.Project, TenantDomain: k.ProjectOf, Region: k.Region, Container: "registry", PartSize: partSize,
	}
	credential := swift.Options{
		AuthURL: k.AuthURL, ApplicationCredentialID: k.CredentialID, ApplicationCredentialSecret: backends.Secret(k.Secret),
		Container: "registry", PartSize: partSize,
	}
	for name, o := range map[string]swift.Options{"user": user, "credential": credential, "environment": {Container: "registry", PartSize: partSize}} {
		t.Run(name, func(t *testing.T) {
			if name == "environment" {
				for variable, value := range map[string]string{
					"OS_AUTH_URL": strings.TrimSuffix(k.AuthURL, "/v3"), "OS_USERNAME": k.User, "OS_PASSWORD": k.Password, "OS_USER_DOMAIN_NAME": k.UserDomain,
					"OS_PROJECT_NAME": k.Project, "OS_PROJECT_DOMAIN_NAME": k.ProjectOf, "OS_REGION_NAME": k.Region, "OS_ENDPOINT_TYPE": "internalURL",
				} {
					t.Setenv(variable, value)
				}
			}
			o.Prefix = name
			s := open(t, o)
			defer s.Close()
			for _, size := range []int{100, 3 << 20} {
				b := newBlob(name, size)
				if _, err := s.Put(t.Context(), b.key(), b.Content); err != nil {
					t.Fatal(err)
				}
				holds(t, s, b.key(), b.b)
			}
		})
	}
	for name, c := range map[string]struct {
		spoil func(*swift.Options)
		says  string
	}{
		"password":  {func(o *swift.Options) { o.Password = "not-this-one" }, "refuses the credentials"},
		"project":   {func(o *swift.Options) { o.Tenant = "nobody's" }, "refuses the credentials"},
		"region":    {func(o *swift.Options) { o.Region = "Elsewhere" }, "no object store in the region Elsewhere"},
		"container": {func(o *swift.Options) { o.Container = "nothing" }, "no container of the name nothing"},
		"path":      {func(o *swift.Options) { o.AuthURL += "/typo"; o.AuthVersion = 3 }, "logging in"},
	} {
		t.Run("wrong "+name, func(t *testing.T) {
			o := user
			c.spoil(&o)
			_, err := swift.OpenReader(t.Context(), o)
			if !errors.Is(err, backends.Denied) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "not-this-one") {
				t.Errorf("%v, want %v with %q", err, backends.Denied, c.says)
			}
		})
	}
}
