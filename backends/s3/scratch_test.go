package s3_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/backends/s3"
)

// gatedCopying is two stores on one service behind a gate, whose requests are
// met by fault from the start.
func gatedCopying(t *testing.T, server *servers.S3Server, fault servers.Meeting) (copying, *gate) {
	t.Helper()
	g := newGate(t, server)
	c := copying{server: server, notes: new(notices)}
	c.src = open(t, s3.Options{Bucket: "copy-from", Prefix: "a root+1", Endpoint: g.URL, PathStyle: true, PartSize: partSize})
	g.Meet(fault)
	dst, err := s3.Open(t.Context(), s3.Options{Bucket: "copy-to", Endpoint: g.URL, PathStyle: true, PartSize: partSize, Notice: c.notes.add})
	if err != nil {
		t.Fatal(err)
	}
	c.dst = dst
	t.Cleanup(func() { c.src.Close(); c.dst.Close() })
	g.Counted()
	return c, g
}

// meeting meets requests of a kind to a bucket.
func meeting(kind, bucket string, f http.HandlerFunc) servers.Meeting {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		met := servers.S3Request(r) == kind && strings.HasPrefix(r.URL.Path, "/"+bucket)
		if met {
			f(w, r)
		}
		return met
	}
}

// TestScratchThatStays: a copy of each blob in scratch would take the room of
// two, so the service is not asked for one. What is copied without scratch is.
func TestScratchThatStays(t *testing.T) {
	for name, c := range map[string]struct {
		versions types.BucketVersioningStatus
		fault    servers.Meeting
		says     string // of why not; empty: it copies
	}{
		"deleting is denied": {fault: meeting("DeleteObject", "copy-to", says(403, "AccessDenied")), says: "nothing may be deleted"},
		"versions":           {versions: types.BucketVersioningStatusEnabled, says: "keeps versions"},
		"versions that were": {versions: types.BucketVersioningStatusSuspended},
		"versions that nobody may ask for": {fault: func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
			asks := r.URL.Query().Has("versioning")
			if asks {
				says(403, "AccessDenied")(w, r)
			}
			return asks
		}},
	} {
		t.Run(name, func(t *testing.T) {
			server := servers.MinIO(t)
			server.Bucket(t, "copy-from")
			server.Bucket(t, "copy-to")
			if c.versions != "" {
				for _, status := range []types.BucketVersioningStatus{types.BucketVersioningStatusEnabled, c.versions} {
					_, err := server.Client.PutBucketVersioning(t.Context(), &awss3.PutBucketVersioningInput{
						Bucket: aws.String("copy-to"), VersioningConfiguration: &types.VersioningConfiguration{Status: status}})
					if err != nil {
						t.Fatal(err)
					}
				}
			}
			x, g := gatedCopying(t, server, c.fault)
			b := randomBytes(2 << 20)
			for i := range 3 {
				o := x.plain(t, fmt.Sprint("d/plain", i), b)
				g.Counted()
				err := x.dst.CopyFrom(t.Context(), x.src, o, digest.FromBytes(b))
				if copied := c.says == ""; copied != (err == nil) || !copied && !errors.Is(err, backends.Unsupported) {
					t.Fatalf("%d: %v", i, err)
				}
				if n := g.Counted()["CopyObject"]; (n == 0) != (c.says != "") {
					t.Errorf("%d: %d copies", i, n)
				}
			}
			if !x.dst.CopiesFrom(x.src) {
				t.Error("what has its digest at the source cannot be copied any more")
			}
			o := x.put(t, "d/summed", b, digest.FromBytes(b))
			if err := x.dst.CopyFrom(t.Context(), x.src, o, digest.FromBytes(b)); err != nil {
				t.Errorf("what needs no scratch: %v", err)
			}
			why := 0
			for _, note := range x.notes.all {
				if strings.Contains(note, "bytes pass through here") {
					why++
				}
				if strings.Contains(note, "probe-") || strings.Contains(note, "copy-sha256") {
					t.Errorf("a notice of one key: %q", note)
				}
			}
			if c.says != "" && (why != 1 || !x.notes.has(c.says)) || c.says == "" && len(x.notes.all) > 0 {
				t.Errorf("notices: %q", x.notes.all)
			}
		})
	}
}

// TestCleanDenied: whoever may not delete one leftover may not delete the next.
func TestCleanDenied(t *testing.T) {
	g, server, s, n := gated(t, func(o *s3.Options) { o.DeadAfter = time.Nanosecond })
	const many = 60
	for i := range many {
		b := newBlob("left", 10)
		if _, err := s.Put(t.Context(), fmt.Sprintf(".regferry/copy-%02d", i), b.Content); err != nil {
			t.Fatal(err)
		}
		blob := newBlob(fmt.Sprint("dead ", i), 10)
		if _, err := server.Client.CreateMultipartUpload(t.Context(), &awss3.CreateMultipartUploadInput{Bucket: aws.String("faults"), Key: aws.String(blob.key())}); err != nil {
			t.Fatal(err)
		}
	}
	var asked atomic.Int64
	g.Meet(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if r.Method != http.MethodDelete {
			return false
		}
		asked.Add(1)
		says(403, "AccessDenied")(w, r)
		return true
	})
	if removed, err := s.Clean(t.Context(), nil); removed != 0 || err != nil || asked.Load() > 2*16 || len(n.all) != 2 {
		t.Errorf("%d removed, %d asked for, %v, notices %q", removed, asked.Load(), err, n.all)
	}
	var mu sync.Mutex
	now, most := 0, 0
	both, open := make(chan struct{}), sync.Once{}
	g.Meet(func(w http.ResponseWriter, r *http.Request, forward http.Handler) bool {
		if r.Method != http.MethodDelete {
			return false
		}
		mu.Lock()
		now++
		if most = max(most, now); now == 2 {
			open.Do(func() { close(both) })
		}
		mu.Unlock()
		select {
		case <-both: // two at a time
		case <-time.After(5 * time.Second): // there is no second one
			open.Do(func() { close(both) })
		}
		forward.ServeHTTP(w, r)
		mu.Lock()
		now--
		mu.Unlock()
		return true
	})
	removed, err := s.Clean(t.Context(), nil)
	if removed != 2*many || err != nil || most < 2 || most > 16 {
		t.Errorf("%d removed of %d, %d at a time: %v", removed, 2*many, most, err)
	}
}
