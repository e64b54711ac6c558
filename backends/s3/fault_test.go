package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/backends/s3"
)

// gated is a store behind a gate, on a bucket of its own.
func gated(t *testing.T, change func(*s3.Options)) (*gate, *servers.S3Server, *s3.Store, *notices) {
	t.Helper()
	server := servers.VersityGW(t)
	g := newGate(t, server)
	server.Bucket(t, "faults")
	o, n := g.options("faults"), &notices{}
	o.Notice = n.add
	if change != nil {
		change(&o)
	}
	s, err := s3.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	g.Counted()
	return g, server, s, n
}

func TestRequests(t *testing.T) {
	g, _, s, _ := gated(t, nil)
	ctx := t.Context()
	want := func(what string, n map[string]int) {
		t.Helper()
		if got := g.Counted(); !maps.Equal(got, n) {
			t.Errorf("%s: %v, want %v", what, got, n)
		}
	}
	put := func(b *blob) {
		t.Helper()
		if _, err := s.Put(ctx, b.key(), b.Content); err != nil {
			t.Fatal(err)
		}
	}
	small := newBlob("small", 2000)
	put(small)
	want("a small blob", map[string]int{"PutObject": 1})
	put(newBlob("empty", 0))
	want("an empty blob", map[string]int{"PutObject": 1})
	put(newBlob("a part", partSize))
	want("a blob of one part", map[string]int{"PutObject": 1})
	put(newBlob("parts", 2*partSize+1))
	want("a blob of three parts", map[string]int{"CreateMultipartUpload": 1, "ListMultipartUploads": 1, "UploadPart": 3, "CompleteMultipartUpload": 1})
	holds(t, s, small.key(), small.b)
	want("reading", map[string]int{"GetObject": 1})
	if _, err := s.Stat(ctx, small.key()); err != nil {
		t.Fatal(err)
	}
	want("Stat", map[string]int{"HeadObject": 1})
	for i := range 2500 {
		b := newBlob("x", 71)
		if _, err := s.Put(ctx, fmt.Sprintf("many/%04d/link", i), b.Content); err != nil {
			t.Fatal(err)
		}
	}
	g.Counted()
	count := func(s backends.ReadStore) {
		t.Helper()
		n, sums := 0, 0
		for o, err := range s.List(ctx, "many/", "") {
			if err != nil {
				t.Fatal(err)
			}
			if n++; o.MD5 != nil {
				sums++
			}
		}
		if n != 2500 || sums != 2500 {
			t.Errorf("%d objects, %d with their MD5", n, sums)
		}
	}
	count(s)
	want("listing 2,500 objects", map[string]int{"ListObjectsV2": 3})
	r, err := s3.OpenReader(ctx, g.options("faults"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	g.Counted()
	count(r)
	want("listing by one who has to learn what an ETag is", map[string]int{"ListObjectsV2": 3, "GetObject": 1})
}

// TestFaultsThatPass are such that Put has to succeed.
func TestFaultsThatPass(t *testing.T) {
	g, server, s, _ := gated(t, nil)
	for _, c := range []struct {
		name, kind string
		n, times   int
		size       int
		fault      http.HandlerFunc
	}{
		{"SlowDown", "PutObject", 1, 2, 1000, says(503, "SlowDown")},
		{"a 500", "PutObject", 1, 1, 1000, says(500, "InternalError")},
		{"a dropped connection", "PutObject", 1, 1, 100_000, drops},
		{"a request timeout", "PutObject", 1, 1, 1000, says(400, "RequestTimeout")},
		{"a part: SlowDown", "UploadPart", 2, 2, 3*partSize + 5, says(503, "SlowDown")},
		{"a part: a 500", "UploadPart", 1, 1, 3*partSize + 5, says(500, "InternalError")},
		{"a part: dropped", "UploadPart", 3, 1, 3*partSize + 5, drops},
		{"creating", "CreateMultipartUpload", 1, 1, 3 * partSize, says(503, "ServiceUnavailable")},
		{"completing", "CompleteMultipartUpload", 1, 1, 3 * partSize, says(503, "SlowDown")},
		{"completing: an error in 200", "CompleteMultipartUpload", 1, 1, 3 * partSize, says(200, "InternalError")},
		{"looking for dead uploads is denied", "ListMultipartUploads", 1, 9, 3 * partSize, says(403, "AccessDenied")},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBlob(c.name, c.size)
			struck := g.strike(c.kind, c.n, c.times, c.fault)
			if _, err := s.Put(t.Context(), b.key(), b.Content); err != nil {
				t.Fatal(err)
			}
			if struck() == 0 {
				t.Error("the fault never fired")
			}
			g.strike("", 0, 0, nil)
			holds(t, s, b.key(), b.b)
			if left := uploadsOf(t, server, "faults"); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// TestLostAnswer: the service has completed the upload, and nobody hears it.
func TestLostAnswer(t *testing.T) {
	g, server, s, _ := gated(t, nil)
	lost := 0
	g.Meet(func(w http.ResponseWriter, r *http.Request, forward http.Handler) bool {
		if servers.S3Request(r) != "CompleteMultipartUpload" || lost > 0 {
			return false
		}
		lost++
		forward.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	})
	b := newBlob("lost", 2*partSize+9)
	if _, err := s.Put(t.Context(), b.key(), b.Content); err != nil || lost != 1 {
		t.Fatalf("lost %d answers: %v", lost, err)
	}
	holds(t, s, b.key(), b.b)
	if left := uploadsOf(t, server, "faults"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestCompletionInDoubt: nobody can say whether the upload is complete, so it is
// said to be in doubt, and what is durable of it stays.
func TestCompletionInDoubt(t *testing.T) {
	t.Setenv("AWS_MAX_ATTEMPTS", "2")
	g, server, s, _ := gated(t, nil)
	for name, c := range map[string]struct {
		complete, head http.HandlerFunc
		left           int
		class          backends.Class
	}{
		"no answer to either":           {says(500, "InternalError"), says(503, "x"), 1, backends.Transient},
		"gone, and no answer":           {says(404, "NoSuchUpload"), says(500, "x"), 1, backends.Transient},
		"something in front":            {says(500, "InternalError"), page("404 page not found"), 1, backends.Transient},
		"refused, and not to be looked": {says(403, "AccessDenied"), says(403, "AccessDenied"), 0, backends.Denied},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBlob(name, 2*partSize)
			g.Meet(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
				switch servers.S3Request(r) {
				case "CompleteMultipartUpload":
					c.complete(w, r)
				case "HeadObject", "GetObject":
					c.head(w, r)
				default:
					return false
				}
				return true
			})
			_, err := s.Put(t.Context(), b.key(), b.Content)
			g.Meet(nil)
			if backends.ClassOf(err) != c.class {
				t.Errorf("class %v, want %v: %v", backends.ClassOf(err), c.class, err)
			}
			if left := uploadsOf(t, server, "faults"); len(left) != c.left {
				t.Errorf("left: %v, want %d", left, c.left)
			}
			if _, err := s.Put(t.Context(), b.key(), b.Content); err != nil {
				t.Error(err)
			}
			if left := uploadsOf(t, server, "faults"); len(left) > 0 {
				t.Errorf("left after the next Put: %v", left)
			}
		})
	}
}

// TestFaultsThatStay must end in a classified error, with nothing stored and
// no upload left.
func TestFaultsThatStay(t *testing.T) {
	g, server, s, _ := gated(t, nil)
	wrongTag := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("ETag", `"00000000000000000000000000000000"`)
	}
	for _, c := range []struct {
		name, kind string
		size       int
		fault      http.HandlerFunc
		want       backends.Class
	}{
		{"denied", "PutObject", 1000, says(403, "AccessDenied"), backends.Denied},
		{"full", "PutObject", 1000, says(507, "InsufficientStorage"), backends.Full},
		{"over quota", "UploadPart", 2 * partSize, says(403, "QuotaExceeded"), backends.Full},
		{"a part denied", "UploadPart", 3 * partSize, says(403, "AccessDenied"), backends.Denied},
		{"a part refused", "UploadPart", 3 * partSize, says(400, "BadDigest"), backends.Corrupt},
		{"a part that was not kept", "UploadPart", 3 * partSize, wrongTag, backends.Changed},
		{"aborted by somebody", "UploadPart", 3 * partSize, says(404, "NoSuchUpload"), backends.Transient},
		{"completing denied", "CompleteMultipartUpload", 3 * partSize, says(403, "AccessDenied"), backends.Denied},
		{"creating denied", "CreateMultipartUpload", 3 * partSize, says(403, "AccessDenied"), backends.Denied},
		{"no bucket any more", "PutObject", 1000, says(404, "NoSuchBucket"), backends.Denied},
		{"throttled for ever", "PutObject", 10, says(503, "SlowDown"), backends.Throttled},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBlob(c.name, c.size)
			g.strike(c.kind, 1, 1000, c.fault)
			_, err := s.Put(t.Context(), b.key(), b.Content)
			g.strike("", 0, 0, nil)
			var e *backends.Error
			if !errors.As(err, &e) || e.Op != "put" || e.Key != b.key() || backends.ClassOf(err) != c.want {
				t.Errorf("class %v, want %v: %v", backends.ClassOf(err), c.want, err)
			}
			if _, err := s.Stat(t.Context(), b.key()); !errors.Is(err, backends.NotFound) {
				t.Errorf("Stat: %v", err)
			}
			if c.name == "aborted by somebody" {
				return // it was only said
			}
			if left := uploadsOf(t, server, "faults"); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// TestFlippedByte: what a network changes, the service refuses.
func TestFlippedByte(t *testing.T) {
	g, _, s, _ := gated(t, nil)
	for kind, size := range map[string]int{"PutObject": 1000, "UploadPart": partSize + 1} {
		b := newBlob(kind, size)
		g.Meet(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
			if servers.S3Request(r) == kind {
				all, _ := io.ReadAll(r.Body)
				all[len(all)/2] ^= 1
				r.Body = io.NopCloser(bytes.NewReader(all))
			}
			return false
		})
		if _, err := s.Put(t.Context(), b.key(), b.Content); !errors.Is(err, backends.Corrupt) {
			t.Errorf("%s: %v", kind, err)
		}
		g.strike("", 0, 0, nil)
		if _, err := s.Stat(t.Context(), b.key()); !errors.Is(err, backends.NotFound) {
			t.Errorf("%s: Stat: %v", kind, err)
		}
	}
}

func TestListingFaults(t *testing.T) {
	g, _, s, _ := gated(t, nil)
	for i := range 10 {
		b := newBlob("k", 10)
		if _, err := s.Put(t.Context(), fmt.Sprintf("k%d", i), b.Content); err != nil {
			t.Fatal(err)
		}
	}
	list := func() (n int, failed error) {
		for _, err := range s.List(t.Context(), "", "") {
			if err != nil {
				return n, err
			}
			n++
		}
		return n, nil
	}
	half := func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `<?xml version="1.0"?><ListBucketResult><Name>faults</Name><IsTruncated>false</IsTruncated><Contents><Key>k0</Key>`)
	}
	empty := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }
	g.strike("ListObjectsV2", 1, 2, half)
	if n, err := list(); n != 10 || err != nil {
		t.Errorf("cut twice: %d keys, %v", n, err)
	}
	g.strike("ListObjectsV2", 1, 100, half)
	if n, err := list(); n != 0 || !errors.Is(err, backends.Transient) {
		t.Errorf("cut each time: %d keys, %v", n, err)
	}
	g.strike("ListObjectsV2", 1, 100, empty)
	if n, err := list(); n != 0 || !errors.Is(err, backends.Transient) {
		t.Errorf("an empty answer: %d keys, %v", n, err)
	}
	g.strike("ListObjectsV2", 1, 100, says(404, "NoSuchBucket"))
	if _, err := list(); !errors.Is(err, backends.Denied) || errors.Is(err, backends.NotFound) || !strings.Contains(err.Error(), "no bucket of the name faults") {
		t.Errorf("no bucket: %v", err)
	}
}

func TestBodyCut(t *testing.T) {
	g, _, s, _ := gated(t, nil)
	b := newBlob("cut", 3<<20)
	if _, err := s.Put(t.Context(), "k", b.Content); err != nil {
		t.Fatal(err)
	}
	g.strike("GetObject", 1, 1, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(b.b)))
		_, _ = w.Write(b.b[:2<<20])
		panic(http.ErrAbortHandler)
	})
	body, err := s.Open(t.Context(), "k", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if n, err := io.Copy(io.Discard, body); !errors.Is(err, io.ErrUnexpectedEOF) || !errors.Is(err, backends.Transient) {
		t.Errorf("%d bytes and %v", n, err)
	}
}

func TestArchived(t *testing.T) {
	g, _, s, _ := gated(t, nil)
	g.strike("GetObject", 1, 1, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, "<Error><Code>InvalidObjectState</Code><Message>x</Message><StorageClass>DEEP_ARCHIVE</StorageClass></Error>")
	})
	_, err := s.Open(t.Context(), "k", 0)
	if !errors.Is(err, backends.Unsupported) || !strings.Contains(err.Error(), "DEEP_ARCHIVE") || !strings.Contains(err.Error(), "restore") {
		t.Error(err)
	}
}

// TestPolicies forbids what the documented policy for DTR leaves out.
func TestPolicies(t *testing.T) {
	g, server, s, n := gated(t, func(o *s3.Options) { o.Parallel = 1 })
	b := newBlob("policy", 3*partSize)
	broken := errors.New("enough")
	var saved backends.Upload
	c := b.Content
	c.Saved = func(u backends.Upload) error {
		if saved.Token != "" {
			return broken
		}
		saved = u
		return nil
	}
	if _, err := s.Put(t.Context(), b.key(), c); !errors.Is(err, broken) || saved.Offset != partSize {
		t.Fatalf("interrupted at %d: %v", saved.Offset, err)
	}
	g.strike("ListParts", 1, 9, says(403, "AccessDenied"))
	c = b.Content
	c.From = saved
	if _, err := s.Put(t.Context(), b.key(), c); err != nil {
		t.Fatal(err)
	}
	if !n.has("s3:ListMultipartUploadParts") {
		t.Errorf("notices: %q", n.all)
	}
	holds(t, s, b.key(), b.b)
	if left := uploadsOf(t, server, "faults"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	g.strike("AbortMultipartUpload", 1, 9, says(403, "AccessDenied"))
	other := newBlob("other", 3*partSize)
	c = other.Content
	c.Open = func(_ context.Context, _ int64) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(bytes.NewReader(other.b[:2*partSize]), failing{broken})), nil
	}
	if _, err := s.Put(t.Context(), other.key(), c); !errors.Is(err, broken) || !n.has("s3:AbortMultipartUpload") {
		t.Errorf("%v; notices: %q", err, n.all)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// TestDeadRuns: what they left goes when the blob is stored, or by age.
func TestDeadRuns(t *testing.T) {
	for name, start := range map[string]func(testing.TB) *servers.S3Server{"versitygw": servers.VersityGW, "minio": servers.MinIO} {
		t.Run(name, func(t *testing.T) {
			server := start(t)
			server.Credentials(t)
			server.Bucket(t, "dead")
			o := s3.Options{Bucket: "dead", Prefix: "root", Endpoint: server.Endpoint, PathStyle: true, PartSize: partSize, DeadAfter: time.Nanosecond}
			s, err := s3.Open(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			begin := func(key string) string {
				out, err := server.Client.CreateMultipartUpload(t.Context(), &awss3.CreateMultipartUploadInput{Bucket: &o.Bucket, Key: aws.String("root/" + key)})
				if err != nil {
					t.Fatal(err)
				}
				return aws.ToString(out.UploadId)
			}
			there := func(key, id string) bool {
				_, err := server.Client.ListParts(t.Context(), &awss3.ListPartsInput{Bucket: &o.Bucket, Key: aws.String("root/" + key), UploadId: &id})
				return err == nil
			}
			b, other, kept := newBlob("b", partSize+1), newBlob("other", 10), newBlob("kept", 10)
			push := "docker/registry/v2/repositories/a/_uploads/1/data"
			dead, dead2, keep, live := begin(b.key()), begin(other.key()), begin(kept.key()), begin(push)
			if _, err := s.Put(t.Context(), b.key(), b.Content); err != nil {
				t.Fatal(err)
			}
			if there(b.key(), dead) || !there(other.key(), dead2) {
				t.Error("only the upload to the blob that was stored has to be gone")
			}
			scratch := []string{".regferry/copy-sha256-1", ".regferry/lease", ".regferry/probe-2"}
			for _, key := range scratch {
				if _, err := s.Put(t.Context(), key, newBlob("left", 10).Content); err != nil {
					t.Fatal(err)
				}
			}
			n, err := s.Clean(t.Context(), map[string]bool{keep: true})
			if want := map[string]int{"versitygw": 3, "minio": 2}[name]; err != nil || n != want {
				t.Errorf("cleaned %d, want %d: %v", n, want, err)
			}
			for i, key := range scratch {
				if _, err := s.Stat(t.Context(), key); (err == nil) != (i == 1) {
					t.Errorf("%s: %v", key, err)
				}
			}
			if there(other.key(), dead2) == (name == "versitygw") || !there(kept.key(), keep) || !there(push, live) {
				t.Errorf("the dead one is there: %v, the one to keep: %v, the registry's: %v", there(other.key(), dead2), there(kept.key(), keep), there(push, live))
			}
		})
	}
}

// TestParallel has many large Puts share a memory of two parts.
func TestParallel(t *testing.T) {
	_, server, s, _ := gated(t, func(o *s3.Options) { o.Memory = 2 * partSize })
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			b := newBlob(fmt.Sprint("blob ", i), 2*partSize+i*100_000)
			last := int64(0)
			c := b.Content
			c.Saved = func(u backends.Upload) error {
				if u.Offset <= last {
					t.Errorf("saved %d after %d", u.Offset, last)
				}
				last = u.Offset
				return nil
			}
			if _, err := s.Put(t.Context(), b.key(), c); err != nil || last != c.Size {
				t.Errorf("saved up to %d of %d: %v", last, c.Size, err)
			}
			holds(t, s, b.key(), b.b)
		})
	}
	wg.Wait()
	if left := uploadsOf(t, server, "faults"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestProfile: the credentials of one side, whatever the environment says.
func TestProfile(t *testing.T) {
	server := servers.VersityGW(t)
	server.Bucket(t, "mine")
	file := filepath.Join(t.TempDir(), "credentials")
	text := fmt.Sprintf("[other]\naws_access_key_id = %s\naws_secret_access_key = %s\n", server.AccessKey, server.SecretKey)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	t.Setenv("AWS_ACCESS_KEY_ID", "of-the-other-side")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
	o := s3.Options{Bucket: "mine", Endpoint: server.Endpoint, PathStyle: true, Profile: "other"}
	s, err := s3.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	o.Profile = "absent"
	if _, err := s3.OpenReader(t.Context(), o); err == nil || !strings.Contains(err.Error(), "absent") {
		t.Errorf("%v", err)
	}
}

func TestOpenRefusals(t *testing.T) {
	server := servers.VersityGW(t)
	server.Credentials(t)
	o := s3.Options{Bucket: "absent", Endpoint: server.Endpoint, PathStyle: true}
	_, err := s3.OpenReader(t.Context(), o)
	if !errors.Is(err, backends.Denied) || errors.Is(err, backends.NotFound) || !strings.Contains(err.Error(), "absent") || !strings.Contains(err.Error(), server.Endpoint) {
		t.Errorf("no bucket: %v", err)
	}
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
	if _, err = s3.Open(t.Context(), o); !errors.Is(err, backends.Denied) || strings.Contains(err.Error(), "wrong-secret") {
		t.Errorf("wrong secret: %v", err)
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	if _, err = s3.OpenReader(t.Context(), o); !errors.Is(err, backends.Denied) || !strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") {
		t.Errorf("no credentials: %v", err)
	}
}
