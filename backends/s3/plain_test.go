package s3_test

import (
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/backends/s3"
)

// r2 compares the checksums of objects, and answers 501 to x-amz-checksum-sha256
// of a part, as Cloudflare does. No such server can be run.
type r2 struct {
	lax
	begins bool   // takes x-amz-checksum-algorithm
	parts  string // what it compares of a part: payload, md5

	mu      sync.Mutex
	seen    map[string]int
	uploads map[string]map[int][]byte
}

func (r *r2) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	kind := servers.S3Request(q)
	if !strings.Contains(kind, "Upload") && kind != "ListParts" {
		r.lax.ServeHTTP(w, q)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen[kind]++
	b, _ := io.ReadAll(q.Body)
	id := q.URL.Query().Get("uploadId")
	switch kind {
	case "ListMultipartUploads":
		_, _ = io.WriteString(w, "<ListMultipartUploadsResult><IsTruncated>false</IsTruncated></ListMultipartUploadsResult>")
	case "CreateMultipartUpload":
		if q.Header.Get("X-Amz-Checksum-Algorithm") != "" && !r.begins {
			says(http.StatusNotImplemented, "NotImplemented")(w, q)
			return
		}
		id = fmt.Sprint(len(r.uploads))
		r.uploads[id] = map[int][]byte{}
		_, _ = fmt.Fprintf(w, "<InitiateMultipartUploadResult><UploadId>%s</UploadId></InitiateMultipartUploadResult>", id)
	case "UploadPart":
		if q.Header.Get("X-Amz-Checksum-Sha256") != "" {
			says(http.StatusNotImplemented, "NotImplemented")(w, q)
			return
		}
		if code := (&lax{checks: r.parts}).refuses(q.Header, b); code != "" {
			says(http.StatusBadRequest, code)(w, q)
			return
		}
		n, _ := strconv.Atoi(q.URL.Query().Get("partNumber"))
		if r.spoils {
			b[len(b)-1] ^= 1
		}
		r.uploads[id][n] = b
		w.Header().Set("ETag", r.tag(b))
	case "CompleteMultipartUpload":
		var whole []byte
		sums := md5.New()
		for n := 1; r.uploads[id][n] != nil; n++ {
			whole = append(whole, r.uploads[id][n]...)
			sum := md5.Sum(r.uploads[id][n])
			sums.Write(sum[:])
		}
		r.lax.mu.Lock()
		r.objects[q.URL.Path] = whole
		r.lax.mu.Unlock()
		delete(r.uploads, id)
		_, _ = fmt.Fprintf(w, "<CompleteMultipartUploadResult><ETag>&#34;%x&#34;</ETag></CompleteMultipartUploadResult>", sums.Sum(nil))
	case "AbortMultipartUpload":
		delete(r.uploads, id)
		w.WriteHeader(http.StatusNoContent)
	}
}

func (r *r2) counted() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := maps.Clone(r.seen)
	clear(r.seen)
	return seen
}

// TestPlainParts: where parts have no x-amz-checksum-sha256, they are proved by
// what there is, which is found out once.
func TestPlainParts(t *testing.T) {
	for _, begins := range []bool{false, true} {
		for _, spoils := range []bool{false, true} {
			for parts, proved := range map[string]string{"payload md5": "signed payload", "md5": "Content-MD5", "": "read back"} {
				t.Run(fmt.Sprintf("%s, begins %v, spoils %v", proved, begins, spoils), func(t *testing.T) {
					plainParts(t, &r2{begins: begins, parts: parts, lax: lax{checks: "sum payload md5", spoils: spoils}}, proved)
				})
			}
		}
	}
}

func plainParts(t *testing.T, r *r2, proved string) {
	r.seen, r.uploads, r.objects = map[string]int{}, map[string]map[int][]byte{}, map[string][]byte{}
	server := httptest.NewServer(r)
	defer server.Close()
	(&servers.S3Server{AccessKey: "k", SecretKey: "s"}).Credentials(t)
	n := &notices{}
	s, err := s3.Open(t.Context(), s3.Options{Bucket: "r2", Endpoint: server.URL, PathStyle: true, PartSize: partSize, Parallel: 2, Notice: n.add})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range 2 {
		b := newBlob(fmt.Sprint("large ", i), 2*partSize+7)
		r.counted()
		_, err := s.Put(t.Context(), b.key(), b.Content)
		if r.spoils && proved == "read back" { // what changes behind a comparison nobody here can see
			if !errors.Is(err, backends.Corrupt) {
				t.Errorf("a part that was changed: %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]int{"CreateMultipartUpload": 1, "ListMultipartUploads": 1, "UploadPart": 3, "CompleteMultipartUpload": 1}
		if got := r.counted(); i > 0 && !maps.Equal(got, want) {
			t.Errorf("once it is known: %v, want %v", got, want)
		}
		if !r.spoils {
			holds(t, s, b.key(), b.b)
		}
	}
	if len(n.all) != 1 || !n.has("those in parts are proved by") || !n.has(proved) {
		t.Errorf("notices: %q", n.all)
	}
	if len(r.uploads) > 0 {
		t.Errorf("%d uploads are left", len(r.uploads))
	}
}

// TestPartsRefused: a part that is refused for what it is stays refused, and
// costs no proof.
func TestPartsRefused(t *testing.T) {
	g, _, s, n := gated(t, nil)
	b := newBlob("refused", 2*partSize)
	g.strike("UploadPart", 1, 1000, says(http.StatusNotImplemented, "NotImplemented"))
	if _, err := s.Put(t.Context(), b.key(), b.Content); !errors.Is(err, backends.Unsupported) {
		t.Errorf("%v", err)
	}
	g.strike("", 0, 0, nil)
	if _, err := s.Put(t.Context(), b.key(), b.Content); err != nil || len(n.all) > 0 {
		t.Errorf("after that: %v, notices %q", err, n.all)
	}
	g.Counted()
	if d, _, err := s.StoredDigest(t.Context(), b.key()); err != nil || d != "" {
		t.Errorf("%q, %v", d, err)
	}
	parts := &sumsOfParts{}
	g.Meet(parts.look)
	other := newBlob("other", 2*partSize)
	if _, err := s.Put(t.Context(), other.key(), other.Content); err != nil || parts.with != 2 || parts.without != 0 {
		t.Errorf("%d parts with their sum, %d without, %v", parts.with, parts.without, err)
	}
}

type sumsOfParts struct {
	mu            sync.Mutex
	with, without int
}

func (p *sumsOfParts) look(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
	if servers.S3Request(r) == "UploadPart" {
		p.mu.Lock()
		defer p.mu.Unlock()
		if r.Header.Get("X-Amz-Checksum-Sha256") != "" {
			p.with++
		} else {
			p.without++
		}
	}
	return false
}
