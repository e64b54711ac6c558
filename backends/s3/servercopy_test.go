package s3_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/backends/s3"
)

// copying is two stores on one service.
type copying struct {
	server *servers.S3Server
	src    backends.Store
	dst    *s3.Store
	notes  *notices
}

func newCopying(t *testing.T, server *servers.S3Server) copying {
	server.Credentials(t)
	server.Bucket(t, "copy-from")
	server.Bucket(t, "copy-to")
	c := copying{server: server, notes: new(notices)}
	c.src = open(t, s3.Options{Bucket: "copy-from", Prefix: "a root+1", Endpoint: server.Endpoint, PathStyle: true, PartSize: partSize})
	dst, err := s3.Open(t.Context(), s3.Options{Bucket: "copy-to", Endpoint: server.Endpoint, PathStyle: true, PartSize: partSize, Notice: c.notes.add})
	if err != nil {
		t.Fatal(err)
	}
	c.dst = dst
	return c
}

func (c copying) put(t *testing.T, key string, b []byte, d digest.Digest) backends.Object {
	t.Helper()
	o, err := c.src.Put(t.Context(), key, backends.Content{
		Size: int64(len(b)), Digest: d,
		Open: func(_ context.Context, off int64) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(b[off:])), nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// plain puts as a registry does, without any checksum.
func (c copying) plain(t *testing.T, key string, b []byte) backends.Object {
	t.Helper()
	_, err := c.server.Client.PutObject(t.Context(), &awss3.PutObjectInput{
		Bucket: aws.String("copy-from"), Key: aws.String("a root+1/" + key), Body: bytes.NewReader(b),
	})
	if err != nil {
		t.Fatal(err)
	}
	return backends.Object{Key: key, Size: int64(len(b))}
}

func (c copying) holds(t *testing.T, key string, want []byte) {
	t.Helper()
	b, err := c.dst.Open(t.Context(), key, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	got, err := io.ReadAll(b)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: %d bytes, want %d: %v", key, len(got), len(want), err)
	}
}

// tidy demands that nothing but want is at the destination.
func (c copying) tidy(t *testing.T, want ...string) {
	t.Helper()
	var keys []string
	for o, err := range c.dst.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, o.Key)
	}
	if strings.Join(keys, " ") != strings.Join(want, " ") {
		t.Errorf("at the destination: %q, want %q", keys, want)
	}
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(b)
	return b
}

func TestServerSideCopy(t *testing.T) {
	for name, start := range map[string]func(testing.TB) *servers.S3Server{"versitygw": servers.VersityGW, "minio": servers.MinIO} {
		t.Run(name, func(t *testing.T) {
			c := newCopying(t, start(t))
			if !c.dst.CopiesFrom(c.src) {
				t.Fatal("it does not think that it can")
			}
			small, large := randomBytes(2<<20), randomBytes(12<<20)
			for key, o := range map[string]backends.Object{
				"d/in-one":   c.put(t, "d/in-one", small, digest.FromBytes(small)),
				"d/in-parts": c.put(t, "d/in-parts", large, digest.FromBytes(large)),
				"d/plain":    c.plain(t, "d/plain", small),
			} {
				want := small
				if key == "d/in-parts" {
					want = large
				}
				if err := c.dst.CopyFrom(t.Context(), c.src, o, digest.FromBytes(want)); err != nil {
					t.Fatalf("%s: %v", key, err)
				}
				c.holds(t, key, want)
				if d, size, err := c.dst.StoredDigest(t.Context(), key); err != nil || d != digest.FromBytes(want) || size != int64(len(want)) {
					t.Errorf("%s: the service keeps %q, %d bytes, %v", key, d, size, err)
				}
			}
			c.tidy(t, "d/in-one", "d/in-parts", "d/plain")
			if len(c.notes.all) > 0 {
				t.Errorf("%q", c.notes.all)
			}
		})
	}
}

// What the service finds to be wrong comes to no key.
func TestServerSideCopyOfDamage(t *testing.T) {
	for name, start := range map[string]func(testing.TB) *servers.S3Server{"versitygw": servers.VersityGW, "minio": servers.MinIO} {
		t.Run(name, func(t *testing.T) {
			c := newCopying(t, start(t))
			b := randomBytes(2 << 20)
			other := digest.FromString("other")
			plain, summed := c.plain(t, "plain", b), c.put(t, "summed", b, "")
			grown := plain
			grown.Size++
			for what, o := range map[string]backends.Object{
				"plain": plain, "summed": summed, "another size": grown, "absent": {Key: "absent", Size: 7},
			} {
				err := c.dst.CopyFrom(t.Context(), c.src, o, other)
				if err == nil {
					t.Errorf("%s: copied", what)
				}
				if gone := errors.Is(err, fs.ErrNotExist); gone != (what == "absent") {
					t.Errorf("%s: %v", what, err)
				}
			}
			c.tidy(t)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := c.dst.CopyFrom(ctx, c.src, plain, digest.FromBytes(b)); !errors.Is(err, context.Canceled) {
				t.Errorf("cancelled: %v", err)
			}
			if err := c.dst.CopyFrom(t.Context(), c.src, plain, digest.FromBytes(b)); err != nil {
				t.Errorf("after that: %v", err)
			}
			c.tidy(t, "plain")
			if len(c.notes.all) > 0 {
				t.Errorf("%q", c.notes.all)
			}
		})
	}
}

func TestCopiesFromItsOwnServiceOnly(t *testing.T) {
	c := newCopying(t, servers.VersityGW(t))
	other := newCopying(t, servers.VersityGW(t))
	if c.dst.CopiesFrom(other.src) {
		t.Error("another endpoint")
	}
	if c.dst.CopiesFrom(nil) {
		t.Error("no store at all")
	}
}

// TestCopyThatCannotBeLookedAt: that nobody answers says nothing of the copy, nor
// of what the service can do.
func TestCopyThatCannotBeLookedAt(t *testing.T) {
	t.Setenv("AWS_MAX_ATTEMPTS", "2")
	server := servers.MinIO(t) // which says a copy's SHA-256 to HEAD only
	server.Bucket(t, "copy-from")
	server.Bucket(t, "copy-to")
	c, g := gatedCopying(t, server, nil)
	b := randomBytes(2 << 20)
	for key, o := range map[string]backends.Object{"d/plain": c.plain(t, "d/plain", b), "d/summed": c.put(t, "d/summed", b, digest.FromBytes(b))} {
		g.Meet(meeting("HeadObject", "copy-to", says(503, "SlowDown")))
		g.Counted()
		err := c.dst.CopyFrom(t.Context(), c.src, o, digest.FromBytes(b))
		if backends.ClassOf(err) != backends.Throttled {
			t.Errorf("%s: %v", key, err)
		}
		g.Meet(nil)
		if n := g.Counted()["CopyObject"]; n != 1 {
			t.Errorf("%s: %d copies", key, n)
		}
		if _, err := c.dst.Stat(t.Context(), key); (err == nil) != (key == "d/summed") {
			t.Errorf("%s: %v", key, err)
		}
	}
	if !c.dst.CopiesFrom(c.src) || len(c.notes.all) > 0 {
		t.Errorf("copies %v, notices %q", c.dst.CopiesFrom(c.src), c.notes.all)
	}
	c.tidy(t, "d/summed")
}

// TestCopyBetweenRegions: the source's bucket is asked in its own region.
func TestCopyBetweenRegions(t *testing.T) {
	l := &lax{checks: "sum payload", objects: map[string][]byte{"/from/d": []byte("content")}}
	var mu sync.Mutex
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			mu.Lock()
			asked = append(asked, r.URL.Path+" "+strings.Split(r.Header.Get("Authorization"), "/")[2])
			mu.Unlock()
		}
		l.ServeHTTP(w, r)
	}))
	defer server.Close()
	(&servers.S3Server{AccessKey: "k", SecretKey: "s"}).Credentials(t)
	src, err := s3.OpenReader(t.Context(), s3.Options{Bucket: "from", Endpoint: server.URL, PathStyle: true, Region: "eu-west-1"})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	dst := open(t, s3.Options{Bucket: "to", Endpoint: server.URL, PathStyle: true, Region: "eu-central-1"}).(*s3.Store)
	defer dst.Close()
	if !dst.CopiesFrom(src) {
		t.Fatal("it does not think that it can")
	}
	_ = dst.CopyFrom(t.Context(), src, backends.Object{Key: "d", Size: 7}, digest.FromString("content")) // there is nothing here that copies
	if len(asked) != 1 || asked[0] != "/from/d eu-west-1" {
		t.Errorf("asked for %q", asked)
	}
}
