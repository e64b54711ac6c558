package location

import (
	"errors"
	"net/url"
	"strings"

	"go.yaml.in/yaml/v2"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/azure"
)

type yamlItem = yaml.MapItem

func (c azureContainer) section(to platform) (*section, error) {
	if err := c.readable(to); err != nil {
		return nil, err
	}
	s := &section{driver: "azure"}
	at := c.address()
	switch {
	case at.account == "":
		return nil, errors.New("the registry has to know the account: add ?accountname=myaccount")
	case !to.three && !at.usual:
		return nil, errors.New("registry 2.8 has no serviceurl: it asks https://ACCOUNT.blob.REALM, and does not reach the address " + backends.Printable(at.url))
	}
	s.set("accountname", at.account)
	s.set("container", c.Container)
	s.set("realm", at.realm)
	if c.written() == "" {
		s.note("whether names of blobs begin with a slash is decided by the migration: give it registry_version=%s, so that this registry finds them", map[bool]string{true: "3", false: "2.8"}[to.three])
	}
	if to.three {
		if c.ServiceURL != "" || !at.usual {
			s.set("serviceurl", at.url)
		}
		c.three(s)
		return s, nil
	}
	s.secrets = []string{"accountkey"}
	if kind := c.Credentials.Kind(); kind != "account key" && (kind != "default credentials" || c.identified()) {
		s.note("registry 2.8 takes only the key of the account, and no %s", kind)
	}
	if c.SkipVerify {
		s.note("registry 2.8 has no skipverify for azure: its system has to trust the certificate")
	}
	return s, nil
}

// azureAddress is where the account is asked.
type azureAddress struct {
	account, url string
	usual        bool   // url is https://account.blob.realm
	realm        string // unless it is the default one
}

func (c azureContainer) address() azureAddress {
	account, raw := c.Address()
	at := azureAddress{account: account, url: raw}
	u, err := url.Parse(raw)
	if err != nil {
		return at
	}
	name, realm, _ := strings.Cut(strings.ToLower(u.Host), ".blob.")
	if at.account == "" && !strings.Contains(name, ".") && realm != "" {
		at.account = name
	}
	at.usual = u.Scheme == "https" && u.Path == "" && u.Port() == "" && realm != "" && name == at.account
	if at.usual && realm != "core.windows.net" {
		at.realm = realm
	}
	return at
}

// identified says that the file wants the identity of the machine or its like.
func (c azureContainer) identified() bool {
	return c.Registry == "3" && c.Credentials.Kind() == "default credentials"
}

// three sets what only registry 3 has.
func (c azureContainer) three(s *section) {
	s.set("rootdirectory", rooted(c.Prefix))
	s.set("skipverify", c.SkipVerify)
	if c.identified() {
		s.fields = append(s.fields, yamlItem{Key: "credentials", Value: one("type", "default_credentials")})
		return
	}
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
	}
	return nil
}
