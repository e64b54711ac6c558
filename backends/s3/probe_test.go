package s3_test

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/backends/s3"
)

// lax is a service that compares only what it is told to, as some do, and may
// keep something else. It is here because no server that can be run with each
// of these faults alone is to be had; what is asked of the real ones is above.
type lax struct {
	checks  string // of: sum payload md5 noheader
	kms     bool   // ETags are no MD5
	spoils  bool   // keeps another byte
	retains bool   // forbids to overwrite
	md5s    int    // requests that had a Content-MD5
	mu      sync.Mutex
	objects map[string][]byte
}

func (l *lax) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, _ := io.ReadAll(r.Body)
	switch {
	case r.URL.Query().Has("list-type"):
		_, _ = io.WriteString(w, "<ListBucketResult><Name>lax</Name><IsTruncated>false</IsTruncated></ListBucketResult>")
	case r.Method == http.MethodPut:
		if code := l.refuses(r.Header, b); code != "" {
			says(http.StatusBadRequest, code)(w, r)
			return
		}
		if l.retains && l.objects[r.URL.Path] != nil {
			says(http.StatusForbidden, "AccessDenied")(w, r)
			return
		}
		b = bytes.Clone(b)
		if l.spoils && !strings.Contains(r.URL.Path, "probe") {
			b[0] ^= 1
		}
		l.objects[r.URL.Path] = b
		w.Header().Set("ETag", l.tag(b))
	case r.Method == http.MethodDelete:
		delete(l.objects, r.URL.Path)
		w.WriteHeader(http.StatusNoContent)
	case l.objects[r.URL.Path] == nil:
		says(http.StatusNotFound, "NoSuchKey")(w, r)
	default:
		w.Header().Set("ETag", l.tag(l.objects[r.URL.Path]))
		w.Header().Set("Content-Length", fmt.Sprint(len(l.objects[r.URL.Path])))
		b = l.objects[r.URL.Path]
		l.mu.Unlock()
		defer l.mu.Lock() // one body that is not read to its end holds nobody up
		_, _ = w.Write(b)
	}
}

func (l *lax) tag(b []byte) string {
	if l.kms {
		b = append([]byte("key"), b...)
	}
	return fmt.Sprintf(`"%x"`, md5.Sum(b))
}

func (l *lax) refuses(h http.Header, b []byte) string {
	sum, m := sha256.Sum256(b), md5.Sum(b)
	if h.Get("Content-Md5") != "" {
		l.md5s++
	}
	claimed := h.Get("X-Amz-Checksum-Sha256")
	switch {
	case claimed != "" && strings.Contains(l.checks, "noheader"):
		return "InvalidArgument"
	case claimed != "" && strings.Contains(l.checks, "sum") && claimed != base64.StdEncoding.EncodeToString(sum[:]):
		return "BadDigest"
	case strings.Contains(l.checks, "payload") && h.Get("X-Amz-Content-Sha256") != hex.EncodeToString(sum[:]):
		return "XAmzContentSHA256Mismatch"
	case strings.Contains(l.checks, "md5") && h.Get("Content-Md5") != "" && h.Get("Content-Md5") != base64.StdEncoding.EncodeToString(m[:]):
		return "BadDigest"
	}
	return ""
}

func openLax(t *testing.T, l *lax, n *notices) *s3.Store {
	t.Helper()
	l.objects = map[string][]byte{}
	server := httptest.NewServer(l)
	t.Cleanup(server.Close)
	(&servers.S3Server{AccessKey: "k", SecretKey: "s"}).Credentials(t)
	s, err := s3.Open(t.Context(), s3.Options{Bucket: "lax", Endpoint: server.URL, PathStyle: true, Notice: n.add})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if len(l.objects) > 0 {
		t.Errorf("the probe left %d objects", len(l.objects))
	}
	return s
}

func TestProof(t *testing.T) {
	for _, c := range []struct{ checks, want string }{
		{"sum payload md5", "x-amz-checksum-sha256, signed payload"},
		{"payload md5", "signed payload"},
		{"sum", "x-amz-checksum-sha256"},
		{"noheader payload", "signed payload"},
		{"md5", "Content-MD5"},
		{"noheader md5", "Content-MD5"},
		{"", "nothing, so objects are read back"},
		{"noheader", "nothing, so objects are read back"},
	} {
		for _, spoils := range []bool{false, true} {
			l, n := &lax{checks: c.checks, spoils: spoils}, &notices{}
			s := openLax(t, l, n)
			if got := s.Proof(); got != c.want {
				t.Errorf("%q proves %q, want %q", c.checks, got, c.want)
			}
			silent := strings.HasPrefix(c.want, "nothing")
			if n.has("read again") != silent {
				t.Errorf("%q: notices %q", c.checks, n.all)
			}
			if spoils && !silent {
				continue // that it keeps something else after comparing, a scrub has to find
			}
			b := newBlob("b", 1000)
			_, err := s.Put(t.Context(), b.key(), b.Content)
			switch {
			case !spoils && err != nil:
				t.Errorf("%q: %v", c.checks, err)
			case spoils && !errors.Is(err, backends.Corrupt):
				t.Errorf("%q: a byte that was changed: %v", c.checks, err)
			case spoils && len(l.objects) > 0:
				t.Errorf("%q: what is wrong stays", c.checks)
			}
		}
	}
}

// TestProofWhereNothingIsOverwritten: that a second write is refused is no
// comparison.
func TestProofWhereNothingIsOverwritten(t *testing.T) {
	for checks, want := range map[string]string{"": "nothing, so objects are read back", "md5": "Content-MD5", "payload": "signed payload"} {
		if got := openLax(t, &lax{checks: checks, retains: true}, &notices{}).Proof(); got != want {
			t.Errorf("%q proves %q, want %q", checks, got, want)
		}
	}
}

// TestContentMD5 is claimed where nothing better is compared, and only there.
func TestContentMD5(t *testing.T) {
	for checks, want := range map[string]int{"md5": 1, "payload md5": 0, "sum md5": 0} {
		l := &lax{checks: checks}
		s := openLax(t, l, &notices{})
		l.mu.Lock()
		l.md5s = 0
		l.mu.Unlock()
		b := newBlob("b", 1000)
		if _, err := s.Put(t.Context(), b.key(), b.Content); err != nil {
			t.Fatal(err)
		}
		if l.md5s != want {
			t.Errorf("%q: %d requests with Content-MD5, want %d", checks, l.md5s, want)
		}
		if o, err := s.Stat(t.Context(), b.key()); err != nil || len(o.MD5) != md5.Size {
			t.Errorf("%+v, %v", o, err)
		}
	}
}

// TestETagOfKMS looks like an MD5 and is none.
func TestETagOfKMS(t *testing.T) {
	s := openLax(t, &lax{checks: "sum", kms: true}, &notices{})
	b := newBlob("b", 1000)
	if _, err := s.Put(t.Context(), b.key(), b.Content); err != nil {
		t.Fatal(err)
	}
	if o, err := s.Stat(t.Context(), b.key()); err != nil || o.MD5 != nil {
		t.Errorf("%+v, %v", o, err)
	}
}
