package servers

import (
	"crypto/rand"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/regferry/regferry/backends/backendtest/fakeoss"
)

// OSSServer is a fake of Alibaba OSS in this process, with a key made for it
// alone. There is no real one; see package fakeoss.
type OSSServer struct {
	Endpoint                     string // http://127.0.0.1:port, with the bucket in the path
	Region                       string
	AccessKeyID, AccessKeySecret string
	Fake                         *fakeoss.Server
}

// OSS starts the fake, and ends it with the test.
func OSS(t testing.TB) *OSSServer {
	t.Helper()
	s := &OSSServer{Region: "cn-hangzhou", AccessKeyID: "LTAI" + rand.Text()[:16], AccessKeySecret: rand.Text()}
	s.Fake = &fakeoss.Server{Region: s.Region, Dir: t.TempDir(), Keys: map[string]fakeoss.Key{s.AccessKeyID: {Secret: s.AccessKeySecret}}}
	http := httptest.NewServer(s.Fake)
	t.Cleanup(http.Close)
	s.Endpoint = http.URL
	return s
}

// Bucket makes a bucket.
func (s *OSSServer) Bucket(t testing.TB, name string) {
	t.Helper()
	s.Fake.Bucket(name)
}

// Domain is an address that is the bucket's own, http://127.0.0.1:port: what
// registry 2.8.3 takes any endpoint for that it is given.
func (s *OSSServer) Domain(t testing.TB, bucket string) string {
	t.Helper()
	http := httptest.NewServer(s.Fake.Domain(bucket))
	t.Cleanup(http.Close)
	return http.URL
}

// Env is what another process needs to have the server's key.
func (s *OSSServer) Env() []string {
	return []string{"OSS_ACCESS_KEY_ID=" + s.AccessKeyID, "OSS_ACCESS_KEY_SECRET=" + s.AccessKeySecret, "OSS_SESSION_TOKEN="}
}

// Credentials sets that in this process, until the test ends.
func (s *OSSServer) Credentials(t testing.TB) {
	t.Helper()
	for _, e := range s.Env() {
		name, value, _ := strings.Cut(e, "=")
		t.Setenv(name, value)
	}
}

// OnOSS is the storage configuration, for [Registry] of [Version283], of a
// bucket or, unless root is empty, of a directory in it.
func OnOSS(t testing.TB, s *OSSServer, bucket, root string) string {
	t.Helper()
	endpoint := strings.TrimPrefix(s.Domain(t, bucket), "http://")
	return fmt.Sprintf("  oss: {accesskeyid: %q, accesskeysecret: %q, region: %q, endpoint: %q, bucket: %q, secure: false, chunksize: 5242880, rootdirectory: %q}",
		s.AccessKeyID, s.AccessKeySecret, "oss-"+s.Region, endpoint, bucket, "/"+root)
}
