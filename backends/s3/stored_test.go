package s3_test

import (
	"net/http"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/backends/s3"
)

// TestStoredDigestRefused: a HEAD that is answered with 400 has no reason. It is
// that the store keeps no digests only where the same key can be read.
func TestStoredDigestRefused(t *testing.T) {
	g, _, s, _ := gated(t, nil)
	r, err := s3.OpenReader(t.Context(), g.options("faults"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, size := range []int{0, 1000} {
		b := newBlob("b", size)
		if _, err := s.Put(t.Context(), b.key(), b.Content); err != nil {
			t.Fatal(err)
		}
		for code, want := range map[string]backends.Class{"ExpiredToken": backends.Denied, "": backends.Unsupported} {
			g.Meet(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
				kind := servers.S3Request(r)
				met := kind == "HeadObject" || kind == "GetObject" && code != ""
				if met {
					says(http.StatusBadRequest, code)(w, r)
				}
				return met
			})
			for who, ask := range map[string]backends.ChecksumReporter{"the store": s, "a reader": r} {
				if d, _, err := ask.StoredDigest(t.Context(), b.key()); backends.ClassOf(err) != want || d != "" {
					t.Errorf("%s, %d bytes, %q: %q, %v", who, size, code, d, err)
				}
			}
		}
		g.Meet(nil)
		if d, _, err := s.StoredDigest(t.Context(), b.key()); err != nil || d != digest.FromBytes(b.b) {
			t.Errorf("%d bytes: %q, %v", size, d, err)
		}
	}
}
