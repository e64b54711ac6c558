package azure_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest/servers"
)

const (
	tag     = "docker/registry/v2/repositories/team/app/_manifests/tags/v1/current/link"
	another = "docker/registry/v2/repositories/team/app/_manifests/tags/v1/index/sha256/0123/link"
)

func link(n int) []byte { return fmt.Appendf(nil, "sha256:%064x", n) }

func blockBlob(t *testing.T, c *container.Client, name string, b []byte) {
	t.Helper()
	if _, err := c.NewBlockBlobClient(name).Upload(t.Context(), streaming.NopCloser(bytes.NewReader(b)), nil); err != nil {
		t.Fatal(err)
	}
}

func appendBlob(t *testing.T, c *container.Client, name string, b []byte) {
	t.Helper()
	a := c.NewAppendBlobClient(name)
	if _, err := a.Create(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := a.AppendBlock(t.Context(), streaming.NopCloser(bytes.NewReader(b)), nil); err != nil {
		t.Fatal(err)
	}
}

// testTypes: which type a tag's link gets, whatever was there, on a service
// that refuses to change a type.
func testTypes(t *testing.T, server *servers.AzuriteServer) {
	g, c, o, n := gated(t, server)
	g.Meet(strict(c))
	const block, appended = "BlockBlob", "AppendBlob"
	for i, test := range []struct{ version, before, want string }{
		{"3.0", "", appended}, {"3.0.0", appended, appended}, {"3.1.0", block, appended}, {"3.1.1", "", appended}, {"3.1", appended, appended},
		{"v3.0.0-rc.1", "", appended},
		{"3.1.2", "", block}, {"3.2.0", appended, block}, {"3.1.2", block, block},
		{"", "", block}, {"", appended, appended}, {"", block, block},
	} {
		o := o
		o.Prefix, o.RegistryVersion = fmt.Sprintf("types-%d", i), test.version
		name := o.Prefix + "/" + tag
		switch test.before {
		case block:
			blockBlob(t, c, name, link(1))
		case appended:
			appendBlob(t, c, name, link(1))
		}
		s := open(t, o)
		put(t, s, tag, link(2))
		put(t, s, tag, link(3))
		put(t, s, another, link(3))
		holds(t, s, tag, link(3))
		holds(t, s, another, link(3))
		if got := kindOf(c, name); got != test.want {
			t.Errorf("registry %q, %q before: a tag is %s, want %s", test.version, test.before, got, test.want)
		}
		if got := kindOf(c, o.Prefix+"/"+another); got != block {
			t.Errorf("registry %q: what is never overwritten is %s", test.version, got)
		}
		s.Close()
	}
	if left := namesWith(t, c, ".regferry"); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if !n.has("another type") {
		t.Error("nobody was told that blobs were removed")
	}
}

// testTypeOfBlobs: a registry's blobs are append blobs, which take no blocks.
func testTypeOfBlobs(t *testing.T, server *servers.AzuriteServer) {
	g, c, o, _ := gated(t, server)
	g.Meet(strict(c))
	s := open(t, o)
	defer s.Close()
	for _, size := range []int{1000, 3 * partSize} {
		key, b := fmt.Sprintf("docker/registry/v2/blobs/sha256/aa/%d/data", size), random(size)
		appendBlob(t, c, key, []byte("broken"))
		holds(t, s, key, []byte("broken"))
		put(t, s, key, b)
		holds(t, s, key, b)
	}
}

// testGoodInTheWay: an append blob that is in the way of blocks goes when the
// content is known to be good, and not before.
func testGoodInTheWay(t *testing.T, server *servers.AzuriteServer) {
	_, c, o, _ := gated(t, server)
	o.Parallel = 1 // the refusal comes before the source's verdict
	s := open(t, o)
	defer s.Close()
	const key = "docker/registry/v2/blobs/sha256/aa/aa/data"
	b, good := random(4*partSize), []byte("the only good copy")
	appendBlob(t, c, key, good)
	for name, test := range map[string]struct {
		reader func() io.Reader
		want   backends.Class
	}{
		"wrong": {func() io.Reader { return io.MultiReader(bytes.NewReader(b), failing{}) }, backends.Corrupt},
		"short": {func() io.Reader { return bytes.NewReader(b[1:]) }, backends.Changed},
		"long":  {func() io.Reader { return io.MultiReader(bytes.NewReader(b), strings.NewReader("x")) }, backends.Changed},
	} {
		wrong := content(b)
		wrong.Open = func(context.Context, int64) (io.ReadCloser, error) { return io.NopCloser(test.reader()), nil }
		if _, err := s.Put(t.Context(), key, wrong); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
		holds(t, s, key, good)
	}
	put(t, s, key, b)
	holds(t, s, key, b)
}

// testChangedInTheWay: what is in the way is removed only while it is what was
// seen before the content was read.
func testChangedInTheWay(t *testing.T, server *servers.AzuriteServer) {
	_, c, o, _ := gated(t, server)
	o.Parallel = 1
	s := open(t, o)
	defer s.Close()
	b, repaired := random(4*partSize), []byte("what somebody pushed meanwhile")
	appendBlob(t, c, "k", []byte("broken"))
	opened, changing := 0, content(b)
	changing.Open = func(_ context.Context, off int64) (io.ReadCloser, error) {
		if opened++; opened == 2 { // to be proved
			blockBlob(t, c, "k", repaired)
		}
		return io.NopCloser(bytes.NewReader(b[off:])), nil
	}
	if _, err := s.Put(t.Context(), "k", changing); !errors.Is(err, backends.Changed) {
		t.Errorf("%v after %d readings", err, opened)
	}
	holds(t, s, "k", repaired)
}

// testLinksAreWholeThroughout reads while a tag is written again and again.
func testLinksAreWholeThroughout(t *testing.T, server *servers.AzuriteServer) {
	_, c, o, _ := gated(t, server)
	o.RegistryVersion = "3.0.0"
	s := open(t, o)
	defer s.Close()
	put(t, s, tag, link(0))
	done := make(chan struct{})
	var wg sync.WaitGroup
	reads := 0
	wg.Go(func() {
		for last := 0; ; reads++ {
			select {
			case <-done:
				return
			default:
			}
			b, err := s.Open(t.Context(), tag, 0)
			if err != nil {
				t.Errorf("a tag is gone: %v", err)
				return
			}
			got, err := io.ReadAll(b)
			b.Close()
			n := 0
			if _, e := fmt.Sscanf(string(got), "sha256:%x", &n); err != nil || e != nil || len(got) != 71 || n < last {
				t.Errorf("after %d: %q, %v", last, got, err)
				return
			}
			last = n
		}
	})
	for i := range 100 {
		put(t, s, tag, link(i+1))
	}
	close(done)
	wg.Wait()
	if reads < 20 {
		t.Errorf("read %d times only", reads)
	}
	if kindOf(c, tag) != "AppendBlob" {
		t.Error("no append blob")
	}
}

// testAppendIsRepeated: an append whose answer is lost happens once, which is
// what registries got wrong.
func testAppendIsRepeated(t *testing.T, server *servers.AzuriteServer) {
	g, _, o, _ := gated(t, server)
	o.RegistryVersion = "3.1.1"
	s := open(t, o)
	defer s.Close()
	lost := false
	g.Meet(func(w http.ResponseWriter, r *http.Request, forward http.Handler) bool {
		if lost || r.URL.Query().Get("comp") != "appendblock" {
			return false
		}
		lost = true
		forward.ServeHTTP(nothing{}, r)
		panic(http.ErrAbortHandler)
	})
	put(t, s, tag, link(1))
	if !lost {
		t.Error("no answer was lost")
	}
	holds(t, s, tag, link(1))
}

type nothing struct{}

func (nothing) Header() http.Header         { return http.Header{} }
func (nothing) Write(p []byte) (int, error) { return len(p), nil }
func (nothing) WriteHeader(int)             {}

// testPendingCopy: the copy of a link takes its time, or fails.
func testPendingCopy(t *testing.T, server *servers.AzuriteServer) {
	g, c, o, _ := gated(t, server)
	o.RegistryVersion = "3.0"
	s := open(t, o)
	defer s.Close()
	put(t, s, tag, link(1))
	for _, test := range []struct {
		ends  string
		fails bool
	}{{"success", false}, {"failed", true}, {"aborted", true}} {
		polls := 0
		g.Meet(func(w http.ResponseWriter, r *http.Request, forward http.Handler) bool {
			switch {
			case r.Header.Get("X-Ms-Copy-Source") != "":
				w.Header().Set("X-Ms-Copy-Id", "copy-1")
				w.Header().Set("X-Ms-Copy-Status", "pending")
				w.WriteHeader(http.StatusAccepted)
				return true
			case r.Method == http.MethodHead && strings.Contains(r.URL.Path, "current/link"):
				polls++
				w.Header().Set("X-Ms-Copy-Id", "copy-1")
				w.Header().Set("X-Ms-Copy-Status", map[bool]string{true: "pending", false: test.ends}[polls < 3])
				w.WriteHeader(http.StatusOK)
				return true
			}
			return false
		})
		_, err := s.Put(t.Context(), tag, content(link(2)))
		if (err != nil) != test.fails || test.fails && !errors.Is(err, backends.Transient) || polls < 3 {
			t.Errorf("%s after %d polls: %v", test.ends, polls, err)
		}
	}
	if left := namesWith(t, c, ".regferry"); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}
