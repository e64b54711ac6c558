package azure

import (
	"cmp"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/parts"
)

// The limits of the service:
// learn.microsoft.com/azure/storage/blobs/scalability-targets
const (
	minPart   = 64 << 10
	maxPart   = 4000 << 20
	maxBlocks = 50_000
	maxKey    = 1024
)

// defaultRealm is the cloud that most accounts are in.
const defaultRealm = "core.windows.net"

// Root is how the names of a registry's blobs begin. The zero value finds it by
// looking.
type Root string

// The roots.
const (
	RootPlain Root = "plain" // docker/..., as registry 3 has it
	RootSlash Root = "slash" // /docker/..., as registry 2 has it
)

// Options say where a store is and how it is written. Container has to be
// given, and Account unless a credential or ServiceURL names it.
type Options struct {
	Account   string
	Container string
	Prefix    string // before each key, the registry's rootdirectory; slashes around it do not matter

	Realm      string // of the account's address, empty for core.windows.net
	ServiceURL string // http(s)://host/account or the like; empty for https://Account.blob.Realm
	SkipVerify bool   // accept any TLS certificate

	Credentials Credentials

	// Root chooses where a container has, or is to have, both kinds of names.
	Root Root

	// RegistryVersion is that of the registry that is to read what is written,
	// such as 2.8 or 3.1.2. It decides on the root and on the type of the blobs
	// that are tags. Empty is as the destination has it already, and as the
	// newest registry wants it where there is nothing.
	RegistryVersion string

	PartSize int64 // bytes; 0 means 16 MiB. Up to that, an object is one request
	Parallel int   // blocks of one object under way at once; 0 means 4
	Memory   int64 // bytes of content held by all Puts together; 0 means 128 MiB

	// DeadAfter is the age from which on scratch is that of a dead run; 0 means
	// 24 h.
	DeadAfter time.Duration

	// Notice, unless nil, is told of what does not work and is done without,
	// each once; from any goroutine.
	Notice func(string)
}

func (o Options) withDefaults() (Options, error) {
	o.Prefix = prefixOf(o.Prefix)
	if text := o.Credentials.merge(&o); text != "" {
		return o, backends.Refuse(backends.Unsupported, text)
	}
	if o.ServiceURL == "" && o.Account != "" {
		o.ServiceURL = "https://" + o.Account + ".blob." + o.realm()
	}
	o.ServiceURL = strings.TrimRight(o.ServiceURL, "/")
	d := parts.Sizes{PartSize: o.PartSize, Parallel: o.Parallel, Memory: o.Memory, Dead: o.DeadAfter}.WithDefaults()
	o.PartSize, o.Parallel, o.Memory, o.DeadAfter = d.PartSize, d.Parallel, d.Memory, d.Dead
	if text := o.wrong(); text != "" {
		return o, backends.Refuse(backends.Unsupported, text)
	}
	return o, nil
}

// Check says whether the options are understood; Open asks for that, too.
func (o Options) Check() error {
	_, err := o.withDefaults()
	return err
}

// Identity is the Location that a store with these options will have, but for
// the root where that is still to be found by looking.
func (o Options) Identity() string {
	if filled, err := o.withDefaults(); err == nil {
		o = filled
	}
	root, _ := o.wanted()
	return o.location(root)
}

// Address is the account, as far as it is named, and the URL of its blobs that a
// store with these options asks.
func (o Options) Address() (account, serviceURL string) {
	if filled, err := o.withDefaults(); err == nil {
		o = filled
	}
	return o.Account, o.ServiceURL
}

// Nested says whether one of two registries would lie in the other. A registry
// has docker below its root, and this program .regferry.
func Nested(a, b Options) bool {
	rootA, _ := a.wanted()
	rootB, _ := b.wanted()
	if rootA != rootB && rootA != "" && rootB != "" {
		return false
	}
	a.Prefix, b.Prefix = prefixOf(a.Prefix), prefixOf(b.Prefix)
	in := func(outer, inner string) bool {
		rest, ok := strings.CutPrefix(inner, outer)
		return ok && (rest == "" || strings.HasPrefix(rest, "docker/") || strings.HasPrefix(rest, scratch))
	}
	if !in(a.Prefix, b.Prefix) && !in(b.Prefix, a.Prefix) {
		return false
	}
	a.Prefix, a.Root, a.RegistryVersion = "", RootPlain, ""
	b.Prefix, b.Root, b.RegistryVersion = "", RootPlain, ""
	return a.Identity() == b.Identity()
}

// prefixOf is a prefix that ends in a slash, or nothing.
func prefixOf(prefix string) string {
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		prefix += "/"
	}
	return prefix
}

func (o *Options) realm() string { return cmp.Or(o.Realm, defaultRealm) }

var (
	// containerName also admits $root and $web, which hold blobs as others do.
	containerName = regexp.MustCompile(`^(\$root|\$web|[a-z0-9](-?[a-z0-9]){2,62})$`)
	accountName   = regexp.MustCompile(`^[a-z0-9]{3,24}$`)
	versionName   = regexp.MustCompile(`^v?([23])(\.\d+){0,2}([-+].*)?$`)
)

func (o *Options) wrong() string {
	_, conflict := o.wanted()
	switch {
	case o.Container == "":
		return "no container is named"
	case !containerName.MatchString(o.Container):
		return fmt.Sprintf("%s is no name of a container: it has 3 to 63 lower case letters, digits and single dashes", backends.Printable(o.Container))
	case o.ServiceURL == "":
		return "no account is named: set AZURE_STORAGE_ACCOUNT, or name it in the options"
	case o.Account != "" && !accountName.MatchString(o.Account) && strings.Contains(o.ServiceURL, o.Account+".blob."):
		return fmt.Sprintf("%s is no name of a storage account: it has 3 to 24 lower case letters and digits", backends.Printable(o.Account))
	case o.Prefix != "" && checkKey(o.Prefix+"k", maxKey) != nil:
		return fmt.Sprintf("the root directory %s is no path", backends.Printable(o.Prefix))
	case o.PartSize < minPart || o.PartSize > maxPart:
		return fmt.Sprintf("a part has 64 KiB to 4000 MiB, not %d bytes", o.PartSize)
	case o.Root != "" && o.Root != RootPlain && o.Root != RootSlash:
		return fmt.Sprintf("the root is %s or %s, not %q", RootPlain, RootSlash, string(o.Root))
	case o.RegistryVersion != "" && !versionName.MatchString(o.RegistryVersion):
		return fmt.Sprintf("the version of a registry is one such as 2.8 or 3.1.2, not %q", o.RegistryVersion)
	case conflict:
		return fmt.Sprintf("registry %s does not read names with the root %s", o.RegistryVersion, o.Root)
	}
	return o.wrongURL()
}

func (o *Options) wrongURL() string {
	u, err := url.Parse(o.ServiceURL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return "a service URL is an address such as https://account.blob.core.windows.net"
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return "a service URL has a host and a path, nothing else; a SAS token belongs to the credentials"
	}
	return ""
}

// wanted is the root that is asked for, empty for none, and whether two
// different ones are.
func (o *Options) wanted() (root Root, conflict bool) {
	if m := versionName.FindStringSubmatch(o.RegistryVersion); m != nil {
		root = map[string]Root{"2": RootSlash, "3": RootPlain}[m[1]]
	}
	if o.Root != "" && root != "" && o.Root != root {
		return root, true
	}
	return cmp.Or(o.Root, root), false
}

// appendLinks says whether the registry overwrites tags as append blobs, and
// cannot overwrite others: 3.0.0 to 3.1.1. Later ones replace either type, so
// where the version is not exact, it is one that needs them.
func (o *Options) appendLinks() bool {
	v, _, _ := strings.Cut(strings.TrimPrefix(o.RegistryVersion, "v"), "+")
	v, _, _ = strings.Cut(v, "-")
	switch v {
	case "3", "3.1", "3.1.0", "3.1.1":
		return true
	}
	return v == "3.0" || strings.HasPrefix(v, "3.0.")
}

// location is the printable address. An account's name is unique in its realm.
func (o *Options) location(root Root) string {
	at := "azblob://" + o.Container
	if o.Prefix != "" {
		at += (&url.URL{Path: "/" + strings.TrimSuffix(o.Prefix, "/")}).EscapedPath()
	}
	u, err := url.Parse(o.ServiceURL)
	account, realm, _ := strings.Cut(strings.ToLower(o.host(u, err)), ".blob.")
	switch {
	case realm == defaultRealm && u.Path == "":
		at += "?accountname=" + account
	case realm != "" && u.Path == "":
		at += "?accountname=" + account + "&realm=" + realm
	case err == nil:
		host := strings.TrimSuffix(strings.ToLower(u.Host), map[string]string{"http": ":80", "https": ":443"}[u.Scheme])
		at += "?serviceurl=" + u.Scheme + "://" + host + strings.TrimSuffix(u.EscapedPath(), "/")
	}
	if root == RootSlash {
		at += "&root=" + string(root)
	}
	return at
}

// host is empty where the address is one of somebody else than Azure, with a
// port or a path.
func (o *Options) host(u *url.URL, err error) string {
	if err != nil || u.Scheme != "https" {
		return ""
	}
	return strings.TrimSuffix(u.Host, ":443")
}
