package s3_test

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/backends/s3"
)

// page is a 404 of a load balancer that has no service behind it.
func page(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, text)
	}
}

// TestFront: a 404 of something in front of the service is of no object, and
// nothing is taken for absent or deleted by it.
func TestFront(t *testing.T) {
	g, _, s, _ := gated(t, nil)
	b := newBlob("there", 1000)
	if _, err := s.Put(t.Context(), b.key(), b.Content); err != nil {
		t.Fatal(err)
	}
	for what, text := range map[string]string{"Traefik": "404 page not found\n", "nginx": "<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>\r\n<hr></body></html>", "nothing": "", "half a page": "<html><br></html>"} {
		g.Meet(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
			page(text)(w, r)
			return true
		})
		_, statErr := s.Stat(t.Context(), b.key())
		_, openErr := s.Open(t.Context(), b.key(), 0)
		_, _, getErr := s.Get(t.Context(), b.key())
		_, _, sumErr := s.StoredDigest(t.Context(), b.key())
		_, putErr := s.Put(t.Context(), "other", b.Content)
		large := newBlob("large", 2*partSize)
		_, partsErr := s.Put(t.Context(), large.key(), large.Content)
		_, readerErr := s3.OpenReader(t.Context(), g.options("faults"))
		errs := map[string]error{
			"stat": statErr, "open": openErr, "get": getErr, "the digest": sumErr, "delete": s.Delete(t.Context(), b.key()),
			"put": putErr, "put in parts": partsErr, "open the bucket": readerErr,
		}
		for _, err := range s.List(t.Context(), "", "") {
			errs["list"] = err
		}
		for op, err := range errs {
			if backends.ClassOf(err) != backends.Transient || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "in front of the service") {
				t.Errorf("%s, %s: %v", what, op, err)
			}
		}
	}
	g.strike("HeadObject", 1, 9, page(""))
	if _, err := s.Stat(t.Context(), b.key()); backends.ClassOf(err) != backends.Transient {
		t.Errorf("what only HEAD does not find: %v", err)
	}
	g.strike("", 0, 0, nil)
	holds(t, s, b.key(), b.b)
}

// TestAbsence: what the service says to be absent is, for one more request.
func TestAbsence(t *testing.T) {
	g, _, s, _ := gated(t, nil)
	for _, c := range []struct {
		name string
		ask  func() error
		want map[string]int
	}{
		{"stat", func() error { _, err := s.Stat(t.Context(), "absent"); return err }, map[string]int{"HeadObject": 1, "GetObject": 1}},
		{"open", func() error { _, err := s.Open(t.Context(), "absent", 0); return err }, map[string]int{"GetObject": 1}},
		{"the digest", func() error { _, _, err := s.StoredDigest(t.Context(), "absent"); return err }, map[string]int{"HeadObject": 1, "GetObject": 1}},
	} {
		err := c.ask()
		if got := g.Counted(); !errors.Is(err, fs.ErrNotExist) || !maps.Equal(got, c.want) {
			t.Errorf("%s: %v, by %v", c.name, err, got)
		}
	}
	g.Meet(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		says(http.StatusNotFound, "NoSuchBucket")(w, r)
		return true
	})
	if _, err := s.Stat(t.Context(), "absent"); backends.ClassOf(err) != backends.Denied || !strings.Contains(err.Error(), "no bucket") {
		t.Errorf("without a bucket: %v", err)
	}
}

// TestRenewal: what is said of credentials that are to be renewed is said of no
// object.
func TestRenewal(t *testing.T) {
	server := servers.VersityGW(t)
	server.Bucket(t, "renewed")
	var answer atomic.Pointer[http.HandlerFunc]
	say := func(h http.HandlerFunc) { answer.Store(&h) }
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*answer.Load())(w, r) }))
	defer keys.Close()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_CONTAINER_CREDENTIALS_FULL_URI": keys.URL,
		"AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "AWS_REGION": "us-east-1",
	} {
		t.Setenv(name, value)
	}
	say(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{ // so near their end that each request asks anew
			"AccessKeyId": server.AccessKey, "SecretAccessKey": server.SecretKey, "Token": "", "Expiration": time.Now().Add(time.Second).UTC().Format(time.RFC3339),
		})
	})
	s := open(t, s3.Options{Bucket: "renewed", Endpoint: server.Endpoint, PathStyle: true}).(*s3.Store)
	defer s.Close()
	b := newBlob("there", 1000)
	if _, err := s.Put(t.Context(), b.key(), b.Content); err != nil {
		t.Fatal(err)
	}
	refuses := func(status int, code string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(map[string]string{"code": code, "message": "made for a test"})
		}
	}
	for what, answer := range map[string]http.HandlerFunc{
		"not found": refuses(404, ""), "no such key": refuses(404, "NoSuchKey"), "a role that is not attached": refuses(400, "x"),
	} {
		say(answer)
		_, stat := s.Stat(t.Context(), b.key())
		_, read := s.Open(t.Context(), b.key(), 0)
		for op, err := range map[string]error{"stat": stat, "open": read, "delete": s.Delete(t.Context(), b.key())} {
			if backends.ClassOf(err) != backends.Denied || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "credentials could not be renewed") {
				t.Errorf("%s: %s: %v", what, op, err)
			}
		}
	}
	say(drops)
	if _, err := s.Stat(t.Context(), b.key()); backends.ClassOf(err) != backends.Transient {
		t.Errorf("no answer: %v", err)
	}
	say(refuses(404, ""))
	_, err := s3.OpenReader(t.Context(), s3.Options{Bucket: "renewed", Endpoint: server.Endpoint, PathStyle: true})
	if backends.ClassOf(err) != backends.Denied || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") {
		t.Errorf("at opening: %v", err)
	}
}

// TestNoRole: the machine's metadata know of no role.
func TestNoRole(t *testing.T) {
	server := servers.VersityGW(t)
	metadata := httptest.NewServer(page("not found"))
	defer metadata.Close()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_SERVICE_ENDPOINT": metadata.URL, "AWS_EC2_METADATA_DISABLED": "",
		"AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "",
	} {
		t.Setenv(name, value)
	}
	_, err := s3.OpenReader(t.Context(), s3.Options{Bucket: "b", Endpoint: server.Endpoint, PathStyle: true})
	if backends.ClassOf(err) != backends.Denied || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") {
		t.Errorf("%v", err)
	}
}
