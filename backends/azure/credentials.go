package azure

import (
	"cmp"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
)

// Credentials are what an account is opened with. Where all are empty they come
// from the environment: AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_KEY or
// AZURE_STORAGE_SAS_TOKEN, as far as AZURE_STORAGE_ACCOUNT is not another
// account, else from the default chain (AZURE_CLIENT_ID and its like, workload
// identity, managed identity, the az command).
//
// However they are printed, no secret shows.
type Credentials struct {
	Key              string // of the account, base64
	ConnectionString string
	SAS              string // a shared access signature, with or without its "?"

	// TenantID, ClientID and ClientSecret are an application's.
	TenantID, ClientID, ClientSecret string
}

// Kind says which one it is, for people.
func (c Credentials) Kind() string {
	switch {
	case c.ConnectionString != "":
		return "connection string"
	case c.Key != "":
		return "account key"
	case c.SAS != "":
		return "shared access signature"
	case c.ClientSecret != "":
		return "client secret"
	}
	return "default credentials"
}

// Format prints the kind, whatever the verb.
func (c Credentials) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.Kind()) }

// MarshalText is what JSON, YAML and logs get.
func (c Credentials) MarshalText() ([]byte, error) { return []byte(c.Kind()), nil }

// merge puts what a connection string or the environment says where it
// belongs, and says what does not fit together.
func (c Credentials) merge(o *Options) string {
	given := 0
	for _, one := range []string{c.Key, c.ConnectionString, c.SAS, cmp.Or(c.TenantID, c.ClientID, c.ClientSecret)} {
		if one != "" {
			given++
		}
	}
	switch {
	case given > 1:
		return "more than one credential is given"
	case cmp.Or(c.TenantID, c.ClientID, c.ClientSecret) != "" && (c.TenantID == "" || c.ClientID == "" || c.ClientSecret == ""):
		return "a client secret needs the tenant, the client and the secret"
	case given == 0:
		c = fromEnvironment(o)
	}
	if c.ConnectionString != "" {
		if text := c.expand(o); text != "" {
			return text
		}
	}
	c.SAS = strings.TrimPrefix(c.SAS, "?")
	if _, err := url.ParseQuery(c.SAS); err != nil || c.SAS != "" && !strings.Contains(c.SAS, "sig=") {
		return "the shared access signature is none: it has a part sig="
	}
	if c.Key != "" && o.Account == "" {
		return "an account key needs the name of its account"
	}
	o.Credentials = c
	return ""
}

// fromEnvironment fills in the account, too, where none is named.
func fromEnvironment(o *Options) Credentials {
	account := os.Getenv("AZURE_STORAGE_ACCOUNT")
	text := os.Getenv("AZURE_STORAGE_CONNECTION_STRING")
	if text != "" {
		account = cmp.Or(settings(text)["accountname"], account)
	}
	if o.Account != "" && account != "" && account != o.Account {
		return Credentials{} // that of the other side
	}
	if o.ServiceURL == "" || text == "" {
		o.Account = cmp.Or(o.Account, account)
	}
	switch {
	case text != "":
		return Credentials{ConnectionString: text}
	case os.Getenv("AZURE_STORAGE_KEY") != "":
		o.Account = cmp.Or(o.Account, account)
		return Credentials{Key: os.Getenv("AZURE_STORAGE_KEY")}
	}
	return Credentials{SAS: os.Getenv("AZURE_STORAGE_SAS_TOKEN")}
}

// settings are those of a connection string, by their names in lower case.
func settings(text string) map[string]string {
	all := make(map[string]string)
	for part := range strings.SplitSeq(text, ";") {
		name, value, _ := strings.Cut(part, "=")
		all[strings.ToLower(strings.TrimSpace(name))] = strings.TrimSpace(value)
	}
	return all
}

// emulatorKey is public: learn.microsoft.com/azure/storage/common/storage-connect-azurite
const (
	emulatorAccount = "devstoreaccount1"
	emulatorKey     = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

// expand takes a connection string apart.
func (c *Credentials) expand(o *Options) string {
	s := settings(c.ConnectionString)
	c.ConnectionString = ""
	if s["usedevelopmentstorage"] == "true" {
		s["accountname"], s["accountkey"] = emulatorAccount, emulatorKey
		s["blobendpoint"] = "http://127.0.0.1:10000/" + emulatorAccount
	}
	account := s["accountname"]
	if account != "" && o.Account != "" && account != o.Account {
		return fmt.Sprintf("the connection string is of the account %s, and %s is named", account, o.Account)
	}
	o.Account = cmp.Or(o.Account, account)
	o.Realm = cmp.Or(o.Realm, s["endpointsuffix"])
	if o.ServiceURL == "" {
		o.ServiceURL = s["blobendpoint"]
	}
	if o.ServiceURL == "" && o.Account != "" {
		o.ServiceURL = cmp.Or(s["defaultendpointsprotocol"], "https") + "://" + o.Account + ".blob." + o.realm()
	}
	c.Key, c.SAS = s["accountkey"], s["sharedaccesssignature"]
	if c.Key != "" {
		c.SAS = "" // a key can do all that the signature can
	}
	if c.Key == "" && c.SAS == "" {
		return "the connection string has neither AccountKey nor SharedAccessSignature"
	}
	return ""
}
