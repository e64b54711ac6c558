package location

import (
	"errors"
	"net/url"
	"strings"

	"go.yaml.in/yaml/v2"

	"github.com/regferry/regferry/backends/azure"
)

type yamlItem = yaml.MapItem

func (c azureContainer) section(to platform) (*section, error) {
	if err := c.readable(to); err != nil {
		return nil, err
	}
	s := &section{driver: "azure"}
	at, err := url.Parse(c.Identity())
	if err != nil {
		return nil, err
	}
	account := at.Query().Get("accountname")
	if c.Account != "" {
		account = c.Account
	}
	if account == "" {
		return nil, errors.New("the registry has to know the account: add ?accountname=myaccount")
	}
	s.set("accountname", account)
	s.set("container", c.Container)
	s.set("realm", at.Query().Get("realm"))
	if c.written() == "" {
		s.note("whether names of blobs begin with a slash is decided by the migration: give it registry_version=%s, so that this registry finds them", map[bool]string{true: "3", false: "2.8"}[to.three])
	}
	if to.three {
		c.three(s, at.Query().Get("serviceurl"))
		return s, nil
	}
	s.secrets = []string{"accountkey"}
	if kind := c.Credentials.Kind(); kind != "account key" && kind != "default credentials" {
		s.note("registry 2.8 takes only the key of the account, and not a %s", kind)
	}
	if c.SkipVerify {
		s.note("registry 2.8 has no skipverify for azure: its system has to trust the certificate")
	}
	return s, nil
}

// three sets what only registry 3 has.
func (c azureContainer) three(s *section, serviceURL string) {
	s.set("serviceurl", serviceURL)
	s.set("rootdirectory", rooted(c.Prefix))
	s.set("skipverify", c.SkipVerify)
	switch c.Credentials.Kind() {
	case "client secret":
		// A mapping that the file has cannot be overridden by the environment.
		s.secrets = []string{"credentials.type", "credentials.clientid", "credentials.tenantid", "credentials.secret"}
		s.note("%s is client_secret; all of credentials is in the environment, because the registry ignores variables for a part of it that is here", s.variable("credentials.type"))
	case "shared access signature":
		s.note("no registry takes a shared access signature: give it the account's key")
		fallthrough
	default:
		s.fields = append(s.fields, yamlItem{Key: "credentials", Value: one("type", "shared_key")})
		s.secrets = []string{"accountkey"}
		s.note("with a managed identity, credentials.type is default_credentials, and there is no accountkey")
	}
}

// written is the root that a migration to the place gives its names, as far as
// that is said.
func (c azureContainer) written() azure.Root {
	switch v := strings.TrimPrefix(c.RegistryVersion, "v"); {
	case c.Root != "":
		return c.Root
	case strings.HasPrefix(v, "2"):
		return azure.RootSlash
	case strings.HasPrefix(v, "3"):
		return azure.RootPlain
	}
	return ""
}

// readable says why a platform would not find what is there.
func (c azureContainer) readable(to platform) error {
	switch root := c.written(); {
	case to.three && root == azure.RootSlash:
		return errors.New("registry 3 does not find blobs whose names begin with a slash, as registry 2.8 has them: migrate into an empty container with registry_version=3, or stay on 2.8")
	case to.three:
		return nil
	case root == azure.RootPlain:
		return errors.New("registry 2.8 finds only blobs whose names begin with a slash: migrate into an empty container with registry_version=2.8, or go to registry 3")
	case strings.Trim(c.Prefix, "/") != "":
		return errors.New("registry 2.8 has no rootdirectory in azure: migrate to the top of a container")
	case c.ServiceURL != "" && !strings.Contains(c.ServiceURL, ".blob."):
		return errors.New("registry 2.8 has no serviceurl, only accountname and realm, so it does not reach that address")
	}
	return nil
}
