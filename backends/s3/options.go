package s3

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/parts"
)

// The limits of the service: docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
const (
	minPart  = 5 << 20
	maxPart  = 5 << 30
	maxParts = 10_000
	maxSize  = 5 << 40
	maxKey   = 1024
)

// Options say where a store is and how it is written. Only Bucket has to be
// given. Credentials come by the AWS chain (environment, profile, web identity,
// role of the machine), unless they are given.
type Options struct {
	Bucket string
	Prefix string // before each key, the registry's rootdirectory; slashes around it do not matter

	AccessKeyID     backends.Secret // with SecretAccessKey, in place of the chain
	SecretAccessKey backends.Secret

	Profile    string // of the AWS configuration, for this side alone; empty: as the chain says
	Region     string // empty: as the AWS configuration says, or us-east-1 where Endpoint is given
	Endpoint   string // http(s)://host:port of another service than AWS; empty: as the AWS configuration says
	OnlyAWS    bool   // without Endpoint it is AWS, whatever endpoint the AWS configuration has: a registry knows none
	PathStyle  bool   // the bucket is in the path and not in the host's name
	DualStack  bool
	Accelerate bool
	FIPS       bool
	SkipVerify bool // accept any TLS certificate

	// What is written. Empty leaves it to the bucket.
	ACL          string // a canned one, such as private or bucket-owner-full-control
	Encrypt      bool   // AES256, or aws:kms where KeyID is given
	KeyID        string
	StorageClass string

	PartSize int64 // bytes; 0 means 16 MiB. Up to that, an object is one request
	Parallel int   // parts of one object under way at once; 0 means 4
	Memory   int64 // bytes of content held by all Puts together; 0 means 128 MiB

	// DeadAfter is the age from which on an unfinished upload that nobody asks
	// for is one of a dead run; 0 means 24 h.
	DeadAfter time.Duration

	// Notice, unless nil, is told of what does not work and is done without,
	// each once; from any goroutine.
	Notice func(string)
}

func (o Options) withDefaults() (Options, error) {
	o.Prefix = parts.Root(o.Prefix)
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

// Identity is the Location that a store with these options will have, as far as
// the AWS configuration does not name another endpoint.
func (o Options) Identity() string {
	o.Prefix = parts.Root(o.Prefix)
	return o.location(o.Endpoint)
}

// Nested says whether one of two registries would lie in the other. A registry
// has docker below its root, and this program .regferry, so another directory
// of the root of one may well be the other.
func Nested(a, b Options) bool {
	a.Prefix, b.Prefix = parts.Root(a.Prefix), parts.Root(b.Prefix)
	if !parts.NestedRoots(a.Prefix, b.Prefix) {
		return false
	}
	a.Prefix, b.Prefix = "", ""
	return a.location(a.Endpoint) == b.location(b.Endpoint)
}

func (o *Options) wrong() string {
	switch {
	case o.Bucket == "":
		return "no bucket is named"
	case (o.AccessKeyID == "") != (o.SecretAccessKey == ""):
		return "an access key and its secret belong together, and only one of them is given; leave out both for a role of the machine"
	case strings.HasSuffix(o.Bucket, "--x-s3"):
		return "a directory bucket lists in no order, so it cannot be compared with anything; use a general purpose bucket"
	case o.Prefix != "" && backends.CheckKey(o.Prefix+"k", maxKey) != nil:
		return fmt.Sprintf("the root directory %s is no path", backends.Printable(o.Prefix))
	case o.PartSize < minPart || o.PartSize > maxPart:
		return fmt.Sprintf("a part has 5 MiB to 5 GiB, not %d bytes", o.PartSize)
	case o.StorageClass == "GLACIER" || o.StorageClass == "DEEP_ARCHIVE":
		return "a registry cannot read what is stored as " + o.StorageClass
	case o.KeyID != "" && !o.Encrypt:
		return "a key is given, but encryption is not asked for"
	case o.ACL != "" && !slices.Contains(types.ObjectCannedACL("").Values(), types.ObjectCannedACL(o.ACL)):
		return fmt.Sprintf("the ACL %q is not known, these are: %v", o.ACL, types.ObjectCannedACL("").Values())
	}
	return o.wrongEndpoint()
}

func (o *Options) wrongEndpoint() string {
	if o.Endpoint == "" {
		return ""
	}
	u, err := url.Parse(o.Endpoint)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return "an endpoint is an address such as https://minio.example.com:9000"
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return "an endpoint has a host and a port, nothing else"
	case o.Accelerate:
		return "acceleration is a service of AWS, and an endpoint of another one is given"
	}
	return ""
}

// location is the printable address. Buckets of AWS have unique names within a
// partition, so neither region nor the form of the address is part of it.
func (o *Options) location(endpoint string) string {
	at := "s3://" + o.Bucket
	if o.Prefix != "" {
		at += (&url.URL{Path: "/" + strings.TrimSuffix(o.Prefix, "/")}).EscapedPath()
	}
	e, err := url.Parse(endpoint)
	switch partition, _, _ := strings.Cut(o.Region, "-"); {
	case err == nil && endpoint != "" && !strings.Contains(e.Hostname(), ".amazonaws.com"):
		host := strings.TrimSuffix(strings.ToLower(e.Host), map[string]string{"http": ":80", "https": ":443"}[e.Scheme])
		at += "?endpoint=" + e.Scheme + "://" + host + strings.TrimSuffix(e.EscapedPath(), "/")
	case partition == "cn" || strings.HasPrefix(o.Region, "us-gov-"):
		at += "?region=" + o.Region
	}
	return at
}
