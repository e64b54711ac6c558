package parts

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/regferry/regferry/backends"
)

// ClassOfStatus is the class of an HTTP answer by its status alone, for what a
// service's own code does not tell. A redirect is Denied: followed, it would
// take credentials elsewhere, and it means that region or address is wrong.
// Where a service means something else by a status, its driver says so first.
func ClassOfStatus(status int) backends.Class {
	switch status {
	case http.StatusNotFound:
		return backends.NotFound
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusProxyAuthRequired,
		http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return backends.Denied
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		return backends.Throttled
	case http.StatusRequestTimeout:
		return backends.Transient
	case http.StatusPreconditionFailed, http.StatusConflict, http.StatusRequestedRangeNotSatisfiable:
		return backends.Changed
	case http.StatusInsufficientStorage:
		return backends.Full
	case http.StatusNotImplemented, http.StatusMethodNotAllowed, http.StatusRequestURITooLong:
		return backends.Unsupported
	}
	if status >= 500 {
		return backends.Transient
	}
	return backends.Unknown
}

// abortAgain is more than a service needs to notice that a connection is cut.
const abortAgain = 50 * time.Millisecond

// Abandon aborts an upload, and once more where the context has ended: a part
// that the service was taking then may come after the abortion, and stays or
// begins the upload anew. The manuals of S3 and OSS have it aborted again.
func Abandon(ctx context.Context, abort func()) {
	abort()
	if ctx.Err() != nil {
		time.Sleep(abortAgain)
		abort()
	}
}

// Root is a root directory as a prefix of keys: it ends in a slash, or is
// nothing.
func Root(prefix string) string {
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		prefix += "/"
	}
	return prefix
}

// NestedRoots says whether of two registries in one bucket, whose prefixes Root
// made, one would lie in the other. Below its root a registry has inside, by
// default docker/ and the scratch of this program, so another directory of the
// root of one may well be the other.
func NestedRoots(a, b string, inside ...string) bool {
	if inside == nil {
		inside = []string{"docker/", ".regferry/"}
	}
	within := func(outer, inner string) bool {
		rest, ok := strings.CutPrefix(inner, outer)
		for _, dir := range inside {
			if strings.HasPrefix(rest, dir) {
				return ok
			}
		}
		return ok && rest == ""
	}
	return within(a, b) || within(b, a)
}

// Blobs is where a registry has its blobs; the one place where drivers know of
// registries, because their own uploads must not be shot.
const Blobs = "docker/registry/v2/blobs/"

// IsBlob says whether a key holds content that never changes, so that any
// upload to it is over once the object is there.
func IsBlob(key string) bool { return strings.HasPrefix(key, Blobs) && strings.HasSuffix(key, "/data") }

// LineCautions are what an operator should know of the line to an address.
func LineCautions(address string, anyCertificate bool) (all []string) {
	if strings.HasPrefix(address, "http://") {
		all = append(all, "it is asked by http: whoever is on the way can read the images, and what else is sent")
	}
	if anyCertificate {
		all = append(all, "any TLS certificate is accepted: whoever is on the way can read and change what is sent")
	}
	return all
}
