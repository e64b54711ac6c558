package fakeoss

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// skew is by how much a client's clock may be wrong.
const skew = 15 * time.Minute

const algorithm = "OSS4-HMAC-SHA256"

// signed says what is wrong with the signature of a request.
func (s *Server) signed(r *http.Request, bucket, key string) *fault {
	auth := r.Header.Get("Authorization")
	switch {
	case strings.HasPrefix(auth, "OSS "):
		return s.signedV1(r, bucket, key, auth[4:])
	case strings.HasPrefix(auth, algorithm+" "):
		return s.signedV4(r, bucket, key, auth[len(algorithm)+1:])
	case auth != "":
		return invalid("The Authorization header is invalid.")
	}
	return &fault{http.StatusForbidden, "AccessDenied", "You have no right to access this object because of bucket acl."}
}

// known finds the secret of a key, and judges what comes with it.
func (s *Server) known(r *http.Request, id string, at time.Time) (string, *fault) {
	s.mu.Lock()
	k, ok := s.Keys[id]
	s.mu.Unlock()
	switch token := r.Header.Get("x-oss-security-token"); {
	case !ok:
		return "", &fault{http.StatusForbidden, "InvalidAccessKeyId", "The OSS Access Key Id you provided does not exist in our records."}
	case token != k.Token:
		return "", &fault{http.StatusForbidden, "InvalidSecurityToken", "The security token you provided is invalid."}
	case !k.Expires.IsZero() && time.Now().After(k.Expires):
		return "", &fault{http.StatusForbidden, "SecurityTokenExpired", "The security token you provided has expired."}
	case time.Since(at).Abs() > skew:
		return "", &fault{http.StatusForbidden, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large."}
	}
	return k.Secret, nil
}

func mismatch() *fault {
	return &fault{http.StatusForbidden, "SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided. Check your key and signing method."}
}

// inV1 are the parameters that are part of a resource, and so of its signature.
var inV1 = []string{
	"acl", "append", "bucketInfo", "cname", "comp", "continuation-token", "cors", "delete", "endTime", "lifecycle", "location", "logging",
	"objectMeta", "partNumber", "position", "qos", "referer", "replication", "response-cache-control", "response-content-disposition",
	"response-content-encoding", "response-content-language", "response-content-type", "response-expires", "restore", "security-token",
	"startTime", "stat", "status", "style", "symlink", "tagging", "uploadId", "uploads", "versionId", "versioning", "versions", "website",
}

func (s *Server) signedV1(r *http.Request, bucket, key, auth string) *fault {
	id, signature, ok := strings.Cut(auth, ":")
	at, err := http.ParseTime(r.Header.Get("Date"))
	if !ok || err != nil {
		return &fault{http.StatusForbidden, "AccessDenied", "OSS authentication requires a valid Date."}
	}
	secret, fault := s.known(r, id, at)
	if fault != nil {
		return fault
	}
	resource := "/"
	if bucket != "" {
		resource += bucket + "/" + key
	}
	params := map[string]string{}
	for name, values := range r.URL.Query() {
		if slices.Contains(inV1, name) || strings.HasPrefix(name, "x-oss-") {
			params[name] = strings.TrimSuffix(name+"="+values[0], "=")
		}
	}
	if len(params) > 0 {
		resource += "?" + ordered(params, "&")
	}
	h := r.Header
	text := r.Method + "\n" + h.Get("Content-MD5") + "\n" + h.Get("Content-Type") + "\n" + h.Get("Date") + "\n" +
		headerLines(h, func(name string) bool { return strings.HasPrefix(name, "x-oss-") }) + resource
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write([]byte(text))
	if base64.StdEncoding.EncodeToString(mac.Sum(nil)) != signature {
		return mismatch()
	}
	return nil
}

// headerLines are those of the headers that belong to the signature, in the
// order of their names.
func headerLines(h http.Header, belongs func(lower string) bool) string {
	lines := map[string]string{}
	for name, values := range h {
		if name = strings.ToLower(name); belongs(name) {
			lines[name] = name + ":" + strings.TrimSpace(strings.Join(values, ",")) + "\n"
		}
	}
	return ordered(lines, "")
}

// ordered joins values in the order of their names, which is not that of the
// values: a-b comes before a, if something else than a letter follows a.
func ordered(byName map[string]string, between string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		all = append(all, byName[name])
	}
	return strings.Join(all, between)
}

func (s *Server) signedV4(r *http.Request, bucket, key, auth string) *fault {
	fields := map[string]string{}
	for field := range strings.SplitSeq(auth, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		fields[name] = value
	}
	scope := strings.Split(fields["Credential"], "/")
	stamp := r.Header.Get("x-oss-date")
	at, err := time.Parse("20060102T150405Z", stamp)
	if len(scope) != 5 || err != nil || !strings.HasPrefix(stamp, scope[1]) {
		return invalid("The Credential field in Authorization header is invalid.")
	}
	switch {
	case scope[2] != s.Region:
		return invalid("Invalid signing region in Authorization header.")
	case scope[3] != "oss" || scope[4] != "aliyun_v4_request":
		return invalid("Invalid signing product in Authorization header.")
	case r.Header.Get("x-oss-content-sha256") != "UNSIGNED-PAYLOAD":
		return invalid("x-oss-content-sha256 must be UNSIGNED-PAYLOAD.")
	}
	secret, fault := s.known(r, scope[0], at)
	if fault != nil {
		return fault
	}
	request := sha256.Sum256([]byte(canonical(r, bucket, key, fields["AdditionalHeaders"])))
	text := fmt.Sprintf("%s\n%s\n%s\n%x", algorithm, stamp, strings.Join(scope[1:], "/"), request)
	signing := []byte("aliyun_v4" + secret)
	for _, part := range append(scope[1:], text) {
		mac := hmac.New(sha256.New, signing)
		mac.Write([]byte(part))
		signing = mac.Sum(nil)
	}
	if hex.EncodeToString(signing) != fields["Signature"] {
		return mismatch()
	}
	return nil
}

// canonical is the form of a request that V4 signs.
func canonical(r *http.Request, bucket, key, additional string) string {
	uri := "/"
	if bucket != "" {
		uri += bucket + "/" + key
	}
	params := map[string]string{}
	for name, values := range r.URL.Query() {
		name = escaped(name)
		params[name] = strings.TrimSuffix(name+"="+escaped(values[0]), "=")
	}
	more := strings.Split(additional, ";")
	lines := headerLines(r.Header, func(name string) bool {
		return strings.HasPrefix(name, "x-oss-") || name == "content-type" || name == "content-md5" || slices.Contains(more, name)
	})
	return strings.Join([]string{r.Method, strings.ReplaceAll(escaped(uri), "%2F", "/"), ordered(params, "&"),
		lines, additional, "UNSIGNED-PAYLOAD"}, "\n")
}

// escaped leaves letters, digits and -._~ as they are.
func escaped(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
