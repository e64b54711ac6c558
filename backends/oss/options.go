package oss

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/parts"
)

// The limits of the service: www.alibabacloud.com/help/en/oss/user-guide/limits
const (
	minPart  = 100 << 10
	maxPart  = 5 << 30
	maxParts = 10_000
	maxSize  = 48_800 << 30
	maxKey   = 1023
)

// Options say where a store is and how it is written. Bucket has to be given,
// and Region or Endpoint.
type Options struct {
	Bucket string
	Prefix string // before each key, the registry's rootdirectory; slashes around it do not matter

	Region   string // such as cn-hangzhou, or oss-cn-hangzhou as the registry has it
	Endpoint string // host or http(s)://host:port; empty: that of the region. One that is an address has the bucket in the path
	CNAME    bool   // the endpoint is a domain of the bucket's own
	Internal bool   // the region's endpoint for machines within it

	Insecure   bool // http, where Endpoint does not say
	SkipVerify bool // accept any TLS certificate

	// The key. Where AccessKeyID is empty it is taken from the environment:
	// OSS_ACCESS_KEY_ID, OSS_ACCESS_KEY_SECRET and OSS_SESSION_TOKEN, else
	// ALIBABA_CLOUD_ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_SECRET and
	// ALIBABA_CLOUD_SECURITY_TOKEN.
	AccessKeyID     string
	AccessKeySecret backends.Secret
	SecurityToken   backends.Secret // of a temporary key (STS)
	Signature       string          // v4, which needs the region, or v1; empty means v4

	// What is written. Empty leaves it to the bucket.
	ACL             string // default, private, public-read or public-read-write
	Encrypt         bool   // AES256, or KMS where EncryptionKeyID is given
	EncryptionKeyID string
	StorageClass    string // Standard or IA

	PartSize int64 // bytes; 0 means 16 MiB. Up to that, an object is one request
	Parallel int   // parts of one object under way at once; 0 means 4
	Memory   int64 // bytes of content held by all Puts together; 0 means 128 MiB

	// DeadAfter is the age from which on an unfinished upload that nobody asks
	// for is one of a dead run; 0 means 24 h.
	DeadAfter time.Duration

	// Notice, unless nil, is told of what does not work and is done without,
	// each once; from any goroutine.
	Notice func(string) `json:"-"`
}

func (o Options) withDefaults() (Options, error) {
	o.Prefix = parts.Root(o.Prefix)
	o.Signature = cmp.Or(strings.ToLower(o.Signature), "v4")
	d := parts.Sizes{PartSize: o.PartSize, Parallel: o.Parallel, Memory: o.Memory, Dead: o.DeadAfter}.WithDefaults()
	o.PartSize, o.Parallel, o.Memory, o.DeadAfter = d.PartSize, d.Parallel, d.Memory, d.Dead
	if text := o.wrong(); text != "" {
		return o, backends.Refuse(backends.Unsupported, text)
	}
	if text := o.placed(); text != "" {
		return o, backends.Refuse(backends.Unsupported, text)
	}
	return o, nil
}

// Check says whether the options are understood; Open asks for that, too.
func (o Options) Check() error {
	_, err := o.withDefaults()
	return err
}

// Identity is the Location that a store with these options will have.
func (o Options) Identity() string {
	o.Prefix = parts.Root(o.Prefix)
	_ = o.placed()
	return o.location()
}

// Nested says whether one of two registries would lie in the other, which has
// docker below its root, and this program .regferry.
func Nested(a, b Options) bool {
	a.Prefix, b.Prefix = parts.Root(a.Prefix), parts.Root(b.Prefix)
	if !parts.NestedRoots(a.Prefix, b.Prefix) {
		return false
	}
	a.Prefix, b.Prefix = "", ""
	return a.Identity() == b.Identity()
}

var acls = []string{"", "default", "private", "public-read", "public-read-write"}

func (o *Options) wrong() string {
	switch {
	case o.Bucket == "":
		return "no bucket is named"
	case len(o.Bucket) < 3 || len(o.Bucket) > 63 || strings.Trim(o.Bucket, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" ||
		o.Bucket[0] == '-' || o.Bucket[len(o.Bucket)-1] == '-':
		return fmt.Sprintf("%q cannot be the name of a bucket: it has 3 to 63 lower-case letters, digits and hyphens", o.Bucket)
	case o.Prefix != "" && (o.Prefix[0] == '\\' || backends.CheckKey(o.Prefix+"k", maxKey) != nil):
		return fmt.Sprintf("the root directory %s is no path", backends.Printable(o.Prefix))
	case o.Signature != "v1" && o.Signature != "v4":
		return fmt.Sprintf("a signature is v4 or v1, not %q", o.Signature)
	case o.PartSize < minPart || o.PartSize > maxPart:
		return fmt.Sprintf("a part has 100 KiB to 5 GiB, not %d bytes", o.PartSize)
	case o.StorageClass == "Archive" || o.StorageClass == "ColdArchive" || o.StorageClass == "DeepColdArchive":
		return "a registry cannot read what is stored as " + o.StorageClass
	case o.StorageClass != "" && o.StorageClass != "Standard" && o.StorageClass != "IA":
		return fmt.Sprintf("the storage class %q is not known, these are: Standard, IA", o.StorageClass)
	case o.EncryptionKeyID != "" && !o.Encrypt:
		return "a key is given, but encryption is not asked for"
	case !slices.Contains(acls, o.ACL):
		return fmt.Sprintf("the ACL %q is not known, these are: %v", o.ACL, acls[1:])
	}
	return ""
}

// placed brings region and endpoint into one form, and says what is wrong with
// them. The registry calls the region oss-cn-hangzhou, and takes each endpoint
// for one of the bucket, which may be bucket.oss-cn-hangzhou.aliyuncs.com.
func (o *Options) placed() string {
	o.Region = strings.TrimPrefix(o.Region, "oss-")
	if o.Endpoint == "" {
		if o.Region == "" {
			return "the region is not known: add ?region=cn-hangzhou"
		}
		if strings.Trim(o.Region, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return fmt.Sprintf("a region is a name such as cn-hangzhou, not %q", o.Region)
		}
		if o.CNAME {
			return "a domain of the bucket's own is an endpoint, and none is given"
		}
		o.Endpoint = o.scheme() + "://oss-" + o.Region + map[bool]string{true: "-internal"}[o.Internal] + service
		return ""
	}
	if !strings.Contains(o.Endpoint, "://") {
		o.Endpoint = o.scheme() + "://" + o.Endpoint
	}
	u, err := url.Parse(o.Endpoint)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return "an endpoint is a host, or an address such as https://oss-cn-hangzhou.aliyuncs.com"
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "":
		return "an endpoint has a host and a port, nothing else"
	}
	host := strings.ToLower(u.Host)
	public := strings.HasSuffix(strings.ToLower(u.Hostname()), service)
	if public {
		host, o.CNAME = strings.TrimPrefix(host, o.Bucket+"."), false
	}
	if region, ok := strings.CutPrefix(host, "oss-"); ok && o.Region == "" && public {
		region, _, _ = strings.Cut(region, ".")
		o.Region = strings.TrimSuffix(region, "-internal")
	}
	o.Endpoint = u.Scheme + "://" + host
	if o.Region == "" && o.Signature != "v1" {
		return "the region is not known, and part of the signature: add ?region=cn-hangzhou, or &signature=v1"
	}
	return ""
}

// service is the end of the names of all endpoints of the public service.
const service = ".aliyuncs.com"

func (o *Options) scheme() string {
	if o.Insecure {
		return "http"
	}
	return "https"
}

// pathStyle says whether the bucket is in the path: an address has no names
// before it.
func (o *Options) pathStyle() bool {
	u, err := url.Parse(o.Endpoint)
	return err == nil && !o.CNAME && net.ParseIP(u.Hostname()) != nil
}

// location is the printable address. Names of buckets are unique in the public
// service, so neither region nor the form of the address is part of it.
func (o *Options) location() string {
	at := "oss://" + o.Bucket
	if o.Prefix != "" {
		at += (&url.URL{Path: "/" + strings.TrimSuffix(o.Prefix, "/")}).EscapedPath()
	}
	e, err := url.Parse(o.Endpoint)
	if err != nil || o.Endpoint == "" || strings.HasSuffix(e.Hostname(), service) {
		return at
	}
	return at + "?endpoint=" + e.Scheme + "://" + strings.TrimSuffix(e.Host, map[string]string{"http": ":80", "https": ":443"}[e.Scheme])
}

// key is what requests are signed with.
type key struct{ id, secret, token string }

func (o *Options) key() (key, error) {
	k := key{o.AccessKeyID, string(o.AccessKeySecret), string(o.SecurityToken)}
	from := "the options"
	for _, names := range [][3]string{
		{"OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET", "OSS_SESSION_TOKEN"},
		{"ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_SECURITY_TOKEN"},
	} {
		if k.id == "" {
			k, from = key{os.Getenv(names[0]), os.Getenv(names[1]), os.Getenv(names[2])}, names[1]
		}
	}
	switch {
	case k.id == "":
		return k, backends.Refuse(backends.Denied, "no access key: set OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET")
	case k.secret == "":
		return k, backends.Refuse(backends.Denied, "an access key without its secret, which is looked for in "+from)
	}
	return k, nil
}
