package fakegcs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"cloud.google.com/go/storage"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"

	"github.com/regferry/regferry/backends/backendtest/fakegcs"
)

func client(t *testing.T, s *fakegcs.Server) *storage.BucketHandle {
	t.Helper()
	c, err := storage.NewClient(t.Context(), option.WithEndpoint(s.URL+"/storage/v1/"), option.WithoutAuthentication(), storage.WithJSONReads())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.Bucket("b")
}

// TestSDK has Google's own client speak to it: the sessions are what that
// expects, also where chunks fail.
func TestSDK(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 60_000)
	for _, status := range []int{0, 503, 408} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			s := fakegcs.New(t, "b")
			chunks := 0
			s.Meet(func(w http.ResponseWriter, r *http.Request) bool {
				if fakegcs.Kind(r) != "chunk" {
					return false
				}
				if chunks++; status == 0 || chunks != 2 {
					return false
				}
				_, _ = io.Copy(io.Discard, r.Body)
				fakegcs.Refuse(w, status, "backendError", "made for a test")
				return true
			})
			b := client(t, s)
			w := b.Object("dir/a b").NewWriter(t.Context())
			w.ChunkSize = 256 << 10
			if _, err := w.Write(content); err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			r, err := b.Object("dir/a b").NewReader(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, content) {
				t.Errorf("read %d bytes, %v", len(got), err)
			}
			if chunks < 4 || len(s.Sessions()) > 0 {
				t.Errorf("%d chunks, left %v", chunks, s.Sessions())
			}
			o, err := b.Objects(t.Context(), &storage.Query{Prefix: "dir/", StartOffset: "dir/a"}).Next()
			if err != nil || o.Name != "dir/a b" || o.Size != int64(len(content)) {
				t.Errorf("listed %+v, %v", o, err)
			}
			if _, err := b.Objects(t.Context(), &storage.Query{StartOffset: "dir/b"}).Next(); !errors.Is(err, iterator.Done) {
				t.Error(err)
			}
		})
	}
}

// TestSession speaks the protocol by hand, where the SDK would not.
func TestSession(t *testing.T) {
	s := fakegcs.New(t, "b")
	resp := ask(t, "POST", s.URL+"/upload/storage/v1/b/b/o?uploadType=resumable&name=k", "", "", nil)
	uri := resp.Header.Get("Location")
	const unit = 256 << 10
	some := bytes.Repeat([]byte("x"), 2*unit+7)
	for _, c := range []struct {
		what, method, at, hash string
		body                   []byte
		status                 int
		has                    string
	}{
		{"nothing yet", "PUT", "bytes */524295", "", nil, 308, ""},
		{"a chunk of no full units", "PUT", "bytes 0-99/524295", "", some[:100], 400, ""},
		{"a chunk behind a gap", "PUT", "bytes 262144-524287/524295", "", some[:unit], 503, ""},
		{"a chunk", "PUT", "bytes 0-262143/524295", "", some[:unit], 308, "bytes=0-262143"},
		{"how far", "PUT", "bytes */524295", "", nil, 308, "bytes=0-262143"},
		{"what it has already, and more", "PUT", "bytes 0-524287/524295", "", some[:2*unit], 308, "bytes=0-524287"},
		{"how far, without the size", "PUT", "bytes */*", "", nil, 308, "bytes=0-524287"},
		{"the last one", "PUT", "bytes 524288-524294/524295", "", some[:7], 200, ""},
		{"after the end", "PUT", "bytes */524295", "", nil, 200, ""},
		{"cancelled after the end", "DELETE", "", "", nil, 404, ""},
	} {
		resp := ask(t, c.method, uri, c.at, c.hash, c.body)
		if resp.StatusCode != c.status || resp.Header.Get("Range") != c.has {
			t.Errorf("%s: %s, range %q", c.what, resp.Status, resp.Header.Get("Range"))
		}
	}
	uri = ask(t, "POST", s.URL+"/upload/storage/v1/b/b/o?uploadType=resumable&name=wrong", "", "", nil).Header.Get("Location")
	if resp := ask(t, "PUT", uri, "bytes 0-2/3", "crc32c=AAAAAA==", []byte("abc")); resp.StatusCode != 400 {
		t.Errorf("a wrong checksum: %s", resp.Status)
	}
	uri = ask(t, "POST", s.URL+"/upload/storage/v1/b/b/o?uploadType=resumable&name=cancelled", "", "", nil).Header.Get("Location")
	for _, method := range []string{"DELETE", "PUT"} {
		if resp := ask(t, method, uri, "bytes */*", "", nil); resp.StatusCode != 499 {
			t.Errorf("cancelled, %s: %s", method, resp.Status)
		}
	}
	for _, name := range []string{"wrong", "cancelled"} {
		_, err := client(t, s).Object(name).Attrs(t.Context())
		var api *googleapi.Error
		if !errors.As(err, &api) || api.Code != 404 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func ask(t *testing.T, method, at, part, hash string, body []byte) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, at, strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"Content-Range": part, "X-Goog-Hash": hash} {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp
}
