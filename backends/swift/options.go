package swift

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/parts"
)

// The defaults of Swift, for a service that does not tell its own by /info:
// docs.openstack.org/swift/latest/config/proxy_server_config.html
const (
	maxKey      = 1024
	maxFile     = 5 << 30
	maxSegments = 1000
	minPart     = 1 << 20
)

// Options say where a store is and how it is written. The first part has the
// names of the registry's parameters (version 2.8, the last one with Swift).
//
// Container has to be given. If there is no AuthURL, all else that is needed
// to log in comes from the environment, see [Options.FromEnv].
type Options struct {
	AuthURL  string
	Username string
	Password backends.Secret

	Tenant         string // the project
	TenantID       string
	Domain         string // of the user
	DomainID       string
	TenantDomain   string // of the project, where it is not the user's
	TenantDomainID string
	TrustID        string
	Region         string // empty: the first one of the catalogue
	AuthVersion    int    // 1, 2 or 3; 0: as AuthURL says, or 3
	EndpointType   string // public, internal or admin; empty: public

	Container string
	Prefix    string // before files/ and segments/; slashes around it do not matter

	InsecureSkipVerify bool   // accept any TLS certificate
	CABundle           string // a file of certificates, in PEM, to trust beside the system's

	// An application credential instead of a user, with version 3. By name it
	// needs Username and Domain as well.
	ApplicationCredentialID     string
	ApplicationCredentialName   string
	ApplicationCredentialSecret backends.Secret

	// LargeObjects is slo or dlo: how what is larger than PartSize is written.
	// Empty: slo, where /info has it and the service is Swift itself.
	LargeObjects string

	PartSize int64 // bytes of a segment; 0 means 16 MiB. Up to that, an object is one request
	Parallel int   // segments of one object under way at once; 0 means 4
	Memory   int64 // bytes of content held by all Puts together; 0 means 128 MiB

	// DeadAfter is the age from which on segments that no object refers to are
	// those of a dead run; 0 means 24 h.
	DeadAfter time.Duration

	// Notice, unless nil, is told of what does not work and is done without,
	// each once; from any goroutine.
	Notice func(string)
}

func (o Options) withDefaults() (Options, error) {
	if o.AuthURL == "" {
		o = o.FromEnv()
	}
	o.Prefix = parts.Root(o.Prefix)
	o = o.Versioned()
	d := parts.Sizes{PartSize: o.PartSize, Parallel: o.Parallel, Memory: o.Memory, Dead: o.DeadAfter}.WithDefaults()
	o.PartSize, o.Parallel, o.Memory, o.DeadAfter = d.PartSize, d.Parallel, d.Memory, d.Dead
	if text := o.wrong(); text != "" {
		return o, backends.Refuse(backends.Unsupported, text)
	}
	return o, nil
}

// Versioned is o with AuthURL and AuthVersion as the identity service is asked:
// the version is found in the address, as the registry does, and added to one
// that has no path, which is how a catalogue lists Keystone. The registry does
// not add it.
func (o Options) Versioned() Options {
	u, err := url.Parse(o.AuthURL)
	if err != nil || o.AuthURL == "" || o.AuthVersion != 0 {
		return o
	}
	for name := range strings.SplitSeq(u.Path, "/") {
		for v, prefix := range []string{1: "v1", 2: "v2", 3: "v3"} {
			if v > 0 && (name == prefix || strings.HasPrefix(name, prefix+".")) {
				o.AuthVersion = v
			}
		}
	}
	if o.AuthVersion != 0 {
		return o
	}
	o.AuthVersion = 3
	if strings.Trim(u.Path, "/") == "" || strings.HasSuffix(strings.TrimSuffix(u.Path, "/"), "/identity") {
		o.AuthURL = strings.TrimSuffix(o.AuthURL, "/") + "/v3"
	}
	return o
}

// Check says whether the options are understood; Open asks for that, too.
func (o Options) Check() error {
	_, err := o.withDefaults()
	return err
}

// Identity is the Location that a store with these options will have.
func (o Options) Identity() string {
	if o.AuthURL == "" {
		o = o.FromEnv()
	}
	o.Prefix = parts.Root(o.Prefix)
	o = o.Versioned()
	return o.location()
}

// Nested says whether one of two registries would lie in the other.
func Nested(a, b Options) bool {
	pa, pb := parts.Root(a.Prefix), parts.Root(b.Prefix)
	if !parts.NestedRoots(pa, pb, filesDir, segmentsDir) {
		return false
	}
	a.Prefix, b.Prefix = "", ""
	return a.Identity() == b.Identity()
}

func (o *Options) wrong() string {
	switch {
	case o.Container == "":
		return "no container is named"
	case strings.Contains(o.Container, "/") || backends.CheckKey(o.Container, 256) != nil:
		return fmt.Sprintf("the container %s is no name", backends.Printable(o.Container))
	case o.Prefix != "" && backends.CheckKey(o.Prefix+"k", maxKey/2) != nil:
		return fmt.Sprintf("the prefix %s is no path", backends.Printable(o.Prefix))
	case o.PartSize < minPart || o.PartSize > maxFile:
		return fmt.Sprintf("a segment has 1 MiB to 5 GiB, not %d bytes", o.PartSize)
	case !slices.Contains([]string{"", "slo", "dlo"}, o.LargeObjects):
		return fmt.Sprintf("large objects are slo or dlo, not %q", o.LargeObjects)
	case !slices.Contains([]string{"", "public", "internal", "admin"}, o.EndpointType):
		return fmt.Sprintf("an endpoint is public, internal or admin, not %q", o.EndpointType)
	}
	return o.wrongLogin()
}

func (o *Options) wrongLogin() string {
	u, err := url.Parse(o.AuthURL)
	credential := o.ApplicationCredentialID != "" || o.ApplicationCredentialName != ""
	switch {
	case o.AuthURL == "":
		return "the identity service is not known: give authurl, or set OS_AUTH_URL (ST_AUTH for version 1)"
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return "authurl is an address such as https://keystone.example.com:5000/v3"
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return "authurl has a host, a port and a path, nothing else"
	case o.AuthVersion < 1 || o.AuthVersion > 3:
		return fmt.Sprintf("the version of the identity service is 1, 2 or 3, not %d", o.AuthVersion)
	case credential && o.AuthVersion != 3:
		return "an application credential needs version 3 of the identity service"
	case credential && o.ApplicationCredentialSecret == "":
		return "the application credential has no secret"
	case o.ApplicationCredentialID == "" && o.Username == "":
		return "no user is named: give username and password, or set OS_USERNAME and OS_PASSWORD"
	case o.ApplicationCredentialID == "" && credential && o.Domain == "" && o.DomainID == "":
		return "an application credential by name needs its user's domain"
	case !credential && o.Password == "":
		return "the user has no password: give password, or set OS_PASSWORD (ST_KEY for version 1)"
	case !credential && o.AuthVersion > 1 && o.Tenant == "" && o.TenantID == "" && o.TrustID == "":
		return "no project is named: give tenant, or set OS_PROJECT_NAME"
	}
	return ""
}

// location is the printable address: container, prefix, and whose account it
// is in. The user is not part of it where a project is.
func (o *Options) location() string {
	at := "swift://" + o.Container
	if o.Prefix != "" {
		at += (&url.URL{Path: "/" + strings.TrimSuffix(o.Prefix, "/")}).EscapedPath()
	}
	q := url.Values{}
	set := func(name, value string) {
		if value != "" {
			q.Set(name, value)
		}
	}
	if u, err := url.Parse(o.AuthURL); err == nil {
		host := strings.TrimSuffix(strings.ToLower(u.Host), map[string]string{"http": ":80", "https": ":443"}[u.Scheme])
		set("authurl", u.Scheme+"://"+host+strings.TrimSuffix(u.EscapedPath(), "/"))
	}
	set("region", o.Region)
	switch {
	case o.AuthVersion == 1:
		account, _, _ := strings.Cut(o.Username, ":")
		set("account", account)
	case o.TrustID != "":
		set("trustid", o.TrustID)
	case o.TenantID != "":
		set("tenantid", o.TenantID)
	case o.Tenant != "":
		set("tenant", o.Tenant)
		set("tenantdomain", first(o.TenantDomain, o.TenantDomainID, o.Domain, o.DomainID))
	default:
		set("credential", first(o.ApplicationCredentialID, o.ApplicationCredentialName))
	}
	return at + "?" + q.Encode()
}
