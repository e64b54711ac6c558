package s3_test

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/backends/s3"
)

// TestTLS: a certificate of one's own CA is taken with AWS_CA_BUNDLE or with
// SkipVerify, and refused without either.
func TestTLS(t *testing.T) {
	server := servers.VersityGW(t)
	server.Bucket(t, "secure")
	g := newGate(t, server)
	secure := httptest.NewTLSServer(g.Config.Handler)
	defer secure.Close()
	bundle := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	if err := os.WriteFile(bundle, block, 0o600); err != nil {
		t.Fatal(err)
	}
	o := s3.Options{Bucket: "secure", Endpoint: secure.URL, PathStyle: true}
	skip := o
	skip.SkipVerify = true
	for _, c := range []struct {
		name, bundle string
		o            s3.Options
		works        bool
	}{
		{"unknown", "", o, false},
		{"a bundle", bundle, o, true},
		{"not verified", "", skip, true},
		{"no such bundle", bundle + "x", o, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("AWS_CA_BUNDLE", c.bundle)
			s, err := s3.Open(t.Context(), c.o)
			if !c.works {
				if err == nil || !strings.Contains(err.Error(), "x509") && !strings.Contains(err.Error(), "ca.pemx") {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			b := newBlob(c.name, 1000)
			if _, err := s.Put(t.Context(), b.key(), b.Content); err != nil {
				t.Fatal(err)
			}
			holds(t, s, b.key(), b.b)
		})
	}
}

// TestWhatIsAskedFor: the options of writing are in each request that makes an
// object. No server here has keys or classes, so none is asked.
func TestWhatIsAskedFor(t *testing.T) {
	server := servers.VersityGW(t)
	g := newGate(t, server)
	server.Bucket(t, "asked")
	small, large := newBlob("small", 1000), newBlob("large", 2*partSize)
	src, err := s3.Open(t.Context(), s3.Options{Bucket: "asked", Prefix: "from", Endpoint: g.URL, PathStyle: true})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if _, err := src.Put(t.Context(), small.key(), small.Content); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		o    s3.Options
		want map[string]string
	}{
		{s3.Options{}, map[string]string{"X-Amz-Server-Side-Encryption": "", "X-Amz-Acl": "", "X-Amz-Storage-Class": ""}},
		{s3.Options{Encrypt: true}, map[string]string{"X-Amz-Server-Side-Encryption": "AES256"}},
		{s3.Options{Encrypt: true, KeyID: "key-1"}, map[string]string{"X-Amz-Server-Side-Encryption": "aws:kms", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": "key-1"}},
		{s3.Options{ACL: "bucket-owner-full-control", StorageClass: "STANDARD_IA"}, map[string]string{"X-Amz-Acl": "bucket-owner-full-control", "X-Amz-Storage-Class": "STANDARD_IA"}},
	} {
		c.o.Bucket, c.o.Endpoint, c.o.PathStyle, c.o.PartSize = "asked", g.URL, true, partSize
		puts, seen := 0, map[string]http.Header{}
		g.Meet(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
			kind := servers.S3Request(r)
			switch {
			case kind == "PutObject" && puts == 0: // the probe's right one; then come wrong ones
				puts++
				return true
			case kind == "PutObject" && puts < 3:
				puts++
				says(400, "BadDigest")(w, r)
				return true
			case kind == "PutObject", kind == "CreateMultipartUpload", kind == "CopyObject":
				seen[kind] = r.Header.Clone()
				says(400, "InvalidArgument")(w, r)
				return true
			}
			return false
		})
		s, err := s3.Open(t.Context(), c.o)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for _, b := range []*blob{small, large} {
			if _, err := s.Put(t.Context(), b.key(), b.Content); err == nil {
				t.Error("stored, although it was refused")
			}
		}
		if err := s.CopyFrom(t.Context(), src, backends.Object{Key: small.key(), Size: small.Size}, small.Digest); err == nil {
			t.Error("copied, although it was refused")
		}
		for _, kind := range []string{"PutObject", "CreateMultipartUpload", "CopyObject"} {
			for name, want := range c.want {
				if got := seen[kind].Get(name); seen[kind] == nil || got != want {
					t.Errorf("%s: %s: %q, want %q", kind, name, got, want)
				}
			}
		}
	}
}
