package gcs

import (
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/parts"
)

// The limits of the service: docs.cloud.google.com/storage/quotas and
// docs.cloud.google.com/storage/docs/resumable-uploads
const (
	chunkUnit = 256 << 10 // a chunk of a session is a multiple, but for the last
	maxPart   = 1 << 30   // ours: a part is held in memory
	maxSize   = 5 << 40
	maxKey    = 1024
)

// service is where Google's own buckets are.
const service = "https://storage.googleapis.com"

// Credentials are the JSON of a service account's key, or of another kind of
// Google credentials. They never print.
type Credentials []byte

// String hides them.
func (Credentials) String() string { return "(credentials)" }

// GoString hides them from %#v.
func (Credentials) GoString() string { return "(credentials)" }

// Format hides them from every verb, %x and %d of bytes among them.
func (Credentials) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("(credentials)")) }

// MarshalText hides them from encoders.
func (Credentials) MarshalText() ([]byte, error) { return []byte("(credentials)"), nil }

// Options say where a store is and how it is written. Only Bucket has to be
// given. Without KeyFile and Credentials it is Google's application default
// credentials that count: GOOGLE_APPLICATION_CREDENTIALS, gcloud's own, or the
// service account of the machine, as with workload identity.
type Options struct {
	Bucket string
	Prefix string // before each key, the registry's rootdirectory; slashes around it do not matter

	KeyFile     string      // the path of a JSON key
	Credentials Credentials // the same by content; one of the two
	Anonymous   bool        // no credentials at all; for an Endpoint of one's own only

	Endpoint    string // http(s)://host:port of another service than Google's; empty: STORAGE_EMULATOR_HOST, which is asked without credentials
	UserProject string // is billed for the requests, where the bucket wants that

	// What is written. Empty leaves it to the bucket.
	ACL          string // a predefined one, such as projectPrivate
	KMSKey       string // projects/P/locations/L/keyRings/R/cryptoKeys/K
	StorageClass string // such as STANDARD or NEARLINE

	PartSize int64 // bytes, a multiple of 256 KiB; 0 means 16 MiB. Up to that, an object is one request
	Memory   int64 // bytes of content held by all Puts together; 0 means 128 MiB

	// DeadAfter is the age from which on a scratch object is one of a dead run;
	// 0 means 24 h.
	DeadAfter time.Duration

	// Notice, unless nil, is told of what does not work and is done without,
	// each once; from any goroutine.
	Notice func(string)
}

var acls = []string{"authenticatedRead", "bucketOwnerFullControl", "bucketOwnerRead", "private", "projectPrivate", "publicRead"}

func (o Options) withDefaults() (Options, error) {
	o.Prefix = parts.Root(o.Prefix)
	o = o.placed()
	d := parts.Sizes{PartSize: o.PartSize, Memory: o.Memory, Dead: o.DeadAfter}.WithDefaults()
	o.PartSize, o.Memory, o.DeadAfter = d.PartSize, d.Memory, d.Dead
	if text := o.wrong(); text != "" {
		return o, backends.Refuse(backends.Unsupported, text)
	}
	return o, nil
}

// placed takes the endpoint from the environment, as Google's own clients do:
// those ask an emulator without credentials, unless some are given.
func (o Options) placed() Options {
	host := os.Getenv("STORAGE_EMULATOR_HOST")
	if o.Endpoint == "" && host != "" {
		if !strings.Contains(host, "://") {
			host = "http://" + host
		}
		o.Endpoint = host
		o.Anonymous = o.KeyFile == "" && len(o.Credentials) == 0
	}
	o.Endpoint = strings.TrimRight(o.Endpoint, "/")
	if o.Endpoint == service {
		o.Endpoint = ""
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
	o.Prefix = parts.Root(o.Prefix)
	o = o.placed()
	return o.location()
}

// Nested says whether one of two registries would lie in the other. A registry
// has docker below its root, and this program .regferry, so another directory
// of the root of one may well be the other.
func Nested(a, b Options) bool {
	a, b = a.placed(), b.placed()
	a.Prefix, b.Prefix = parts.Root(a.Prefix), parts.Root(b.Prefix)
	if !parts.NestedRoots(a.Prefix, b.Prefix) {
		return false
	}
	a.Prefix, b.Prefix = "", ""
	return a.location() == b.location()
}

func (o *Options) wrong() string {
	switch {
	case o.Bucket == "":
		return "no bucket is named"
	case strings.ContainsAny(o.Bucket, "/?#% ") || strings.ContainsFunc(o.Bucket, func(r rune) bool { return r < ' ' || r > '~' }):
		return fmt.Sprintf("a bucket is not named %s", backends.Printable(o.Bucket))
	case o.Prefix != "" && backends.CheckKey(o.Prefix+"k", maxKey) != nil:
		return fmt.Sprintf("the root directory %s is no path", backends.Printable(o.Prefix))
	case o.PartSize < chunkUnit || o.PartSize > maxPart || o.PartSize%chunkUnit != 0:
		return fmt.Sprintf("a part has 256 KiB to 1 GiB, in steps of 256 KiB, not %d bytes", o.PartSize)
	case o.ACL != "" && !slices.Contains(acls, o.ACL):
		return fmt.Sprintf("the ACL %q is not known, these are: %v", o.ACL, acls)
	case o.KMSKey != "" && !strings.HasPrefix(o.KMSKey, "projects/"):
		return "a key is named projects/P/locations/L/keyRings/R/cryptoKeys/K"
	case o.KeyFile != "" && len(o.Credentials) > 0:
		return "a key file and credentials are given, and only one of them can count"
	case o.Anonymous && (o.KeyFile != "" || len(o.Credentials) > 0):
		return "credentials are given, and also that none are to be used"
	case o.Anonymous && o.Endpoint == "":
		return "Google's own buckets are asked with credentials"
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
		return "an endpoint is an address such as https://storage.example.com:4443"
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "":
		return "an endpoint has a host and a port, nothing else"
	}
	return ""
}

// location is the printable address. Google's buckets have names that are
// unique in the world.
func (o *Options) location() string {
	at := "gs://" + o.Bucket
	if o.Prefix != "" {
		at += (&url.URL{Path: "/" + strings.TrimSuffix(o.Prefix, "/")}).EscapedPath()
	}
	if e, err := url.Parse(o.Endpoint); err == nil && o.Endpoint != "" {
		host := strings.TrimSuffix(strings.ToLower(e.Host), map[string]string{"http": ":80", "https": ":443"}[e.Scheme])
		at += "?endpoint=" + e.Scheme + "://" + host
	}
	return at
}

// endpoint is where requests go.
func (o *Options) endpoint() string {
	if o.Endpoint != "" {
		return o.Endpoint
	}
	return service
}
