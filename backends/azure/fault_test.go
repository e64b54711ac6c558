package azure_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blockblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/azure"
	"github.com/regferry/regferry/backends/backendtest/servers"
)

func testClasses(t *testing.T, server *servers.AzuriteServer) {
	g, _, o, _ := gated(t, server)
	s := open(t, o)
	defer s.Close()
	put(t, s, "k", []byte("old"))
	for _, test := range []struct {
		status int
		code   string
		want   backends.Class
		text   string
	}{
		{403, "AuthenticationFailed", backends.Denied, "clock"},
		{403, "AuthorizationFailure", backends.Denied, "network rules"},
		{403, "AuthorizationPermissionMismatch", backends.Denied, "Storage Blob Data"},
		{403, "AuthorizationSourceIPMismatch", backends.Denied, ""},
		{403, "KeyBasedAuthenticationNotPermitted", backends.Denied, "takes no keys"},
		{403, "AccountIsDisabled", backends.Denied, ""},
		{403, "SomethingNew", backends.Denied, ""},
		{404, "ContainerNotFound", backends.Denied, "no container of the name gated"},
		{404, "BlobNotFound", backends.NotFound, ""},
		{409, "BlobArchived", backends.Unsupported, "set-tier"},
		{409, "BlobBeingRehydrated", backends.Unsupported, "hours"},
		{409, "ContainerBeingDeleted", backends.Transient, ""},
		{409, "BlobImmutableDueToPolicy", backends.Denied, "retention"},
		{409, "BlobImmutableDueToLegalHold", backends.Denied, "legal hold"},
		{400, "Md5Mismatch", backends.Corrupt, ""},
		{400, "Crc64Mismatch", backends.Corrupt, ""},
		{400, "InvalidBlobOrBlock", backends.Unsupported, "week"},
		{400, "SomethingNew", backends.Unknown, ""},
		{412, "ConditionNotMet", backends.Changed, ""},
		{507, "", backends.Full, ""},
	} {
		g.Meet(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
			says(test.status, test.code)(w, r)
			return true
		})
		_, stat := s.Stat(t.Context(), "k")
		_, open := s.Open(t.Context(), "k", 0)
		_, put := s.Put(t.Context(), "k", content([]byte("new")))
		var list error
		for _, err := range s.List(t.Context(), "", "") {
			list = err
		}
		for op, err := range map[string]error{"stat": stat, "open": open, "put": put, "list": list} {
			var e *backends.Error
			if !errors.As(err, &e) || e.Op != op || backends.ClassOf(err) != test.want {
				t.Errorf("%d %s: %s: %v, want %v", test.status, test.code, op, err, test.want)
				continue
			}
			text := err.Error()
			for _, part := range []string{test.code, test.text, fmt.Sprintf("HTTP %d", test.status), "request-1"} {
				if !strings.Contains(text, part) {
					t.Errorf("%s: %q does not say %q", op, text, part)
				}
			}
			if strings.Contains(text, "\n") || strings.Contains(text, "----") || len(text) > 400 {
				t.Errorf("%s: too long: %q", op, text)
			}
		}
	}
	g.Meet(nil)
	holds(t, s, "k", []byte("old"))
}

// testRetries: a service that is away for a moment is asked again, and what was
// sent twice is there once.
func testRetries(t *testing.T, server *servers.AzuriteServer) {
	g, _, o, _ := gated(t, server)
	s := open(t, o)
	defer s.Close()
	b := random(3*partSize + 5)
	for _, test := range []struct {
		name string
		f    http.HandlerFunc
	}{
		{"busy", says(503, "ServerBusy")}, {"timed out", says(500, "OperationTimedOut")},
		{"dropped", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }},
	} {
		for _, what := range []string{"block", "blocklist"} {
			meet, count := once(2, comp(what), test.f)
			g.Meet(meet)
			put(t, s, "k", b)
			g.Meet(nil)
			holds(t, s, "k", b)
			if count() < 3 {
				t.Errorf("%s %s: %d requests", test.name, what, count())
			}
		}
	}
}

// testChecksumsAreCompared: a byte that is changed on the way is refused by the
// service, and nothing is stored.
func testChecksumsAreCompared(t *testing.T, server *servers.AzuriteServer) {
	g, _, o, _ := gated(t, server)
	s := open(t, o)
	defer s.Close()
	if s.Proof() != "x-ms-content-crc64, Content-MD5" {
		t.Errorf("the service compares %q", s.Proof())
	}
	put(t, s, "k", []byte("old"))
	for _, size := range []int{100, 2*partSize + 7} {
		g.Meet(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
			if r.Method == http.MethodPut && r.URL.Query().Get("comp") != "blocklist" {
				r.Body = &flipped{ReadCloser: r.Body}
			}
			return false
		})
		_, err := s.Put(t.Context(), "k", content(random(size)))
		if !errors.Is(err, backends.Corrupt) {
			t.Errorf("%d bytes: %v", size, err)
		}
		g.Meet(nil)
		holds(t, s, "k", []byte("old"))
	}
}

type flipped struct {
	io.ReadCloser
	done bool
}

func (f *flipped) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	if n > 0 && !f.done {
		p[n-1], f.done = p[n-1]^1, true
	}
	return n, err
}

// testUnproved: a service that compares nothing is not written to.
func testUnproved(t *testing.T, server *servers.AzuriteServer) {
	g, c, o, _ := gated(t, server)
	g.Meet(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if r.Method == http.MethodPut {
			w.WriteHeader(http.StatusCreated)
		}
		return r.Method == http.MethodPut
	})
	_, err := azure.Open(t.Context(), o)
	if !errors.Is(err, backends.Unsupported) || !strings.Contains(err.Error(), "CRC64") {
		t.Errorf("%v", err)
	}
	if left := namesWith(t, c, ""); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// testDroppedBlocks: another process stores the same blob meanwhile, and the
// service drops the blocks of this one.
func testDroppedBlocks(t *testing.T, server *servers.AzuriteServer) {
	g, c, o, _ := gated(t, server)
	s := open(t, o)
	defer s.Close()
	b, stored := random(3*partSize), false
	g.Meet(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if r.URL.Query().Get("comp") == "blocklist" && r.Method == http.MethodPut && !stored {
			stored = true
			blockBlob(t, c, "k", []byte("theirs"))
		}
		return false
	})
	put(t, s, "k", b)
	holds(t, s, "k", b)
	if !stored {
		t.Error("nobody else came")
	}
}

// testBlocksOfOthers: what an interrupted run left is not in the blob of the
// next one, and the MD5 that is stored is that of the whole, or none.
func testBlocksOfOthers(t *testing.T, server *servers.AzuriteServer) {
	g, c, o, _ := gated(t, server)
	o.Parallel = 1
	s := open(t, o)
	defer s.Close()
	old, b := random(4*partSize), random(3*partSize+1)
	var last backends.Upload
	meet, _ := once(100, comp("blocklist"), says(403, "AuthenticationFailed"))
	g.Meet(meet)
	interrupted := content(old)
	interrupted.Saved = func(u backends.Upload) error { last = u; return nil }
	if _, err := s.Put(t.Context(), "k", interrupted); !errors.Is(err, backends.Denied) || last.Offset != 4*partSize {
		t.Fatalf("%v, %+v", err, last)
	}
	g.Meet(nil)
	blocks, err := c.NewBlockBlobClient("k").GetBlockList(t.Context(), blockblob.BlockListTypeUncommitted, nil)
	if err != nil || len(blocks.UncommittedBlocks) != 4 {
		t.Fatalf("%d blocks, %v", len(blocks.UncommittedBlocks), err)
	}
	opened := int64(-1)
	resumed := content(old)
	resumed.From = last
	resumed.Open = func(_ context.Context, off int64) (io.ReadCloser, error) {
		opened = off
		return io.NopCloser(strings.NewReader("")), nil
	}
	if _, err := s.Put(t.Context(), "k2", content(b)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), "k", resumed); err != nil || opened != 4*partSize {
		t.Fatalf("opened at %d: %v", opened, err)
	}
	holds(t, s, "k", old)
	put(t, s, "k", b)
	holds(t, s, "k", b)
	p, err := c.NewBlobClient("k").GetProperties(t.Context(), nil)
	if err != nil || len(p.ContentMD5) != 16 {
		t.Errorf("no MD5 is stored: %v", err)
	}
}

// testForeignBlocks: another program left blocks, whose names have another
// length than those of this one, and the service wants one length.
func testForeignBlocks(t *testing.T, server *servers.AzuriteServer) {
	g, c, o, _ := gated(t, server)
	s := open(t, o)
	defer s.Close()
	leave := func(key string, length int) {
		t.Helper()
		id := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{0xff}, length))
		if _, err := c.NewBlockBlobClient(key).StageBlock(t.Context(), id, streaming.NopCloser(strings.NewReader("theirs")), nil); err != nil {
			t.Fatal(err)
		}
	}
	for _, length := range []int{12, 16, 20, 32, 36, 48, 64} { // rclone has 16
		key, b := fmt.Sprintf("k%d", length), random(3*partSize+1)
		leave(key, length)
		put(t, s, key, b)
		holds(t, s, key, b)
	}
	leave("short", 5)
	_, err := s.Put(t.Context(), "short", content(random(3*partSize)))
	if !errors.Is(err, backends.Unsupported) || !strings.Contains(err.Error(), "another program") {
		t.Errorf("%v", err)
	}
	if names := namesWith(t, c, "short"); len(names) > 0 {
		t.Errorf("stored: %q", names)
	}

	// What goes on later has names of that length, too.
	leave("resumed", 16)
	b := random(4 * partSize)
	interrupted := content(b)
	var last backends.Upload
	interrupted.Saved = func(u backends.Upload) error { last = u; return nil }
	meet, _ := once(100, comp("blocklist"), says(403, "AuthenticationFailed"))
	g.Meet(meet)
	if _, err := s.Put(t.Context(), "resumed", interrupted); !errors.Is(err, backends.Denied) || last.Offset != 4*partSize {
		t.Fatalf("%v, %+v", err, last)
	}
	g.Meet(nil)
	opened := int64(-1)
	resumed := content(b)
	resumed.From = last
	resumed.Open = func(_ context.Context, off int64) (io.ReadCloser, error) {
		opened = off
		return io.NopCloser(bytes.NewReader(b[off:])), nil
	}
	if _, err := s.Put(t.Context(), "resumed", resumed); err != nil || opened != 4*partSize {
		t.Errorf("opened at %d: %v", opened, err)
	}
	holds(t, s, "resumed", b)
}

// testDigestFails: the source's verdict keeps a blob in blocks from being made.
func testDigestFails(t *testing.T, server *servers.AzuriteServer) {
	_, c, o, _ := gated(t, server)
	s := open(t, o)
	defer s.Close()
	b := random(3 * partSize)
	bad := content(b)
	bad.Open = func(context.Context, int64) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader(string(b)), failing{})), nil
	}
	if _, err := s.Put(t.Context(), "k", bad); !errors.Is(err, backends.Corrupt) {
		t.Errorf("%v", err)
	}
	if names := namesWith(t, c, ""); len(names) > 0 {
		t.Errorf("stored: %q", names)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, fmt.Errorf("the digest: %w", backends.Corrupt) }

// testCutBody: a body that ends early is an error, and nothing is asked again
// behind the reader's back.
func testCutBody(t *testing.T, server *servers.AzuriteServer) {
	g, _, o, _ := gated(t, server)
	s := open(t, o)
	defer s.Close()
	put(t, s, "k", random(500_000))
	var gets atomic.Int32
	g.Meet(func(w http.ResponseWriter, r *http.Request, forward http.Handler) bool {
		if r.Method != http.MethodGet || r.URL.Query().Has("comp") {
			return false
		}
		gets.Add(1)
		forward.ServeHTTP(&cut{ResponseWriter: w, left: 200_000}, r)
		return true
	})
	b, err := s.Open(t.Context(), "k", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	n, err := io.Copy(io.Discard, b)
	if !errors.Is(err, backends.Transient) || n > 200_000 || gets.Load() != 1 {
		t.Errorf("%d bytes in %d requests: %v", n, gets.Load(), err)
	}
}

// testCutListing: a listing that breaks off is asked for again, and is an error
// if that does not help.
func testCutListing(t *testing.T, server *servers.AzuriteServer) {
	g, _, o, _ := gated(t, server)
	s := open(t, o)
	defer s.Close()
	for i := range 20 {
		put(t, s, fmt.Sprintf("k%d", i), link(i))
	}
	var lists atomic.Int32
	g.Meet(func(w http.ResponseWriter, r *http.Request, forward http.Handler) bool {
		if r.URL.Query().Get("comp") != "list" || lists.Add(1) > 2 {
			return false
		}
		forward.ServeHTTP(&cut{ResponseWriter: w, left: 2000}, r)
		return true
	})
	if keys := keysOf(t, s); len(keys) != 20 || lists.Load() != 3 {
		t.Errorf("%d keys in %d requests", len(keys), lists.Load())
	}
	g.Meet(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool { return true }) // 200 and no body
	var last error
	n := 0
	for _, err := range s.List(t.Context(), "", "") {
		last = err
		n++
	}
	if n != 1 || !errors.Is(last, backends.Transient) {
		t.Errorf("%d objects in an empty answer: %v", n, last)
	}
}

// testEmptyAnswer: what a proxy says in the place of the service is no empty
// container.
func testEmptyAnswer(t *testing.T, server *servers.AzuriteServer) {
	g, _, o, _ := gated(t, server)
	for _, root := range []azure.Root{"", azure.RootSlash} {
		g.Meet(func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
			return r.URL.Query().Get("comp") == "list"
		})
		o.Root = root
		if _, err := azure.OpenReader(t.Context(), o); !errors.Is(err, backends.Transient) {
			t.Errorf("%q: %v", root, err)
		}
	}
}

type cut struct {
	http.ResponseWriter
	left int
}

func (c *cut) Write(p []byte) (int, error) {
	if c.left -= len(p); c.left < 0 {
		panic(http.ErrAbortHandler)
	}
	return c.ResponseWriter.Write(p)
}

// testOddNames are the names of the suite but for the backslash.
func testOddNames(t *testing.T, server *servers.AzuriteServer) {
	_, _, o, _ := gated(t, server)
	o.Prefix = "odd"
	s := open(t, o)
	defer s.Close()
	keys := []string{
		"with space/ leading", "trailing /x ", "per%cent/%2f/%2e%2e", "plus+plus/a b", "a=b&c?d#e", "__0x2f__/__0x2f__", `quo'te"`, "semi;colon:comma,",
		"~tilde", ".hidden/.x", "..two/..x", "*star?", "<angle>|", "{brace}[b]", "Case/x", "case/X", "ünï/cødé", "日本/語", "\U0001f6a2", "@at^!",
	}
	slices.Sort(keys)
	for _, k := range keys {
		put(t, s, k, []byte(k))
	}
	if got := keysOf(t, s); !slices.Equal(got, keys) {
		t.Errorf("%q\nwant %q", got, keys)
	}
	for _, k := range keys {
		holds(t, s, k, []byte(k))
	}
	if _, err := s.Put(t.Context(), `back\slash`, content(nil)); !errors.Is(err, backends.Unsupported) {
		t.Errorf("a backslash: %v", err)
	}
}

// testFolders: blobs that some tools make for directories are no objects, where
// the account says that it has no directories.
func testFolders(t *testing.T, server *servers.AzuriteServer) {
	g, c, o, _ := gated(t, server)
	for _, name := range []string{"docker", "docker/registry", "docker/registry/v2"} {
		folder(t, c, name)
	}
	g.Meet(namespace("false"))
	s := open(t, o)
	defer s.Close()
	put(t, s, "docker/registry/v2/k", []byte("k"))
	if got := keysOf(t, s); !slices.Equal(got, []string{"docker/registry/v2/k"}) {
		t.Errorf("%q", got)
	}
	_, stat := s.Stat(t.Context(), "docker")
	_, open := s.Open(t.Context(), "docker", 0)
	if !errors.Is(stat, backends.NotFound) || !errors.Is(open, backends.NotFound) {
		t.Errorf("%v, %v", stat, open)
	}
}

func folder(t *testing.T, c *container.Client, name string) {
	t.Helper()
	_, err := c.NewBlockBlobClient(name).Upload(t.Context(), streaming.NopCloser(strings.NewReader("")), &blockblob.UploadOptions{Metadata: map[string]*string{"hdi_isfolder": to.Ptr("true")}})
	if err != nil {
		t.Fatal(err)
	}
}

// namespace answers whether the account has directories, or, of nothing, that
// this may not be asked.
func namespace(hierarchical string) servers.Meeting {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if r.URL.Query().Get("restype") != "account" {
			return false
		}
		if hierarchical == "" {
			says(403, "AuthorizationPermissionMismatch")(w, r)
		}
		w.Header().Set("X-Ms-Is-Hns-Enabled", hierarchical)
		return true
	}
}

// testHierarchical: an account with directories is refused when it is opened,
// by what it says of itself or by the directories that it lists.
func testHierarchical(t *testing.T, server *servers.AzuriteServer) {
	for _, test := range []struct {
		name           string
		meet           servers.Meeting
		folders        []string
		source, target bool // refused
	}{
		{"it says so", namespace("true"), nil, true, true},
		{"it says that it has none", namespace("false"), []string{"docker/registry/v2/blobs"}, false, false},
		{"a registry's directory", namespace(""), []string{"docker/registry/v2/blobs"}, true, true},
		{"nothing is there yet", namespace(""), nil, false, false},
		{"the directory of the scratch", namespace(""), []string{".regferry"}, false, true},
	} {
		g, c, o, _ := gated(t, server)
		for _, name := range test.folders {
			folder(t, c, name)
		}
		g.Meet(test.meet)
		check := func(what string, s backends.ReadStore, err error, refused bool) {
			if err == nil {
				defer s.Close()
			}
			if (err != nil) != refused || refused && (!errors.Is(err, backends.Unsupported) || !strings.Contains(err.Error(), "hierarchical namespace")) {
				t.Errorf("%s: %s: %v, want a refusal: %v", test.name, what, err, refused)
			}
		}
		r, err := azure.OpenReader(t.Context(), o)
		check("source", r, err, test.source)
		s, err := azure.Open(t.Context(), o)
		check("destination", s, err, test.target)
	}
}

// testListedDirectory: what was not known when the store was opened is found out
// by the first directory, and no listing goes past it.
func testListedDirectory(t *testing.T, server *servers.AzuriteServer) {
	g, c, o, _ := gated(t, server)
	g.Meet(namespace(""))
	s := open(t, o)
	defer s.Close()
	put(t, s, "docker/registry/v2/a", nil)
	folder(t, c, "docker/registry/v2/b")
	put(t, s, "docker/registry/v2/c", nil)
	var keys []string
	var last error
	for o, err := range s.List(t.Context(), "", "") {
		keys, last = append(keys, o.Key), err
	}
	if !slices.Equal(keys, []string{"docker/registry/v2/a", ""}) || !errors.Is(last, backends.Unsupported) {
		t.Errorf("%q, %v", keys, last)
	}
}

// testMD5 is known of small block blobs only.
func testMD5(t *testing.T, server *servers.AzuriteServer) {
	_, c, o, _ := gated(t, server)
	s := open(t, o)
	defer s.Close()
	put(t, s, "small", link(1))
	put(t, s, "large", random(5000))
	appendBlob(t, c, "appended", link(1))
	for o, err := range s.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		if (o.MD5 != nil) != (o.Key == "small") {
			t.Errorf("%s has the MD5 %x", o.Key, o.MD5)
		}
	}
}

// testRetention: where nothing is overwritten or deleted a store opens, and
// cleans with a notice.
func testRetention(t *testing.T, server *servers.AzuriteServer) {
	g, c, o, n := gated(t, server)
	o.DeadAfter = time.Nanosecond
	for _, name := range []string{".regferry/probe-old", ".regferry/link-old"} {
		blockBlob(t, c, name, []byte("x"))
	}
	at, _ := url.Parse(c.URL())
	g.Meet(func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		name := strings.TrimPrefix(r.URL.Path, at.Path+"/")
		if r.Method != http.MethodDelete && (r.Method != http.MethodPut || kindOf(c, name) == "") {
			return false
		}
		says(409, "BlobImmutableDueToPolicy")(w, r)
		return true
	})
	s := open(t, o)
	defer s.Close()
	time.Sleep(1100 * time.Millisecond) // the service's times are whole seconds
	if removed, err := s.Clean(t.Context(), nil); removed != 0 || err != nil {
		t.Errorf("%d removed: %v", removed, err)
	}
	if !n.has("cannot be removed") || len(n.all) != 1 {
		t.Errorf("%q", n.all)
	}
}

func testClean(t *testing.T, server *servers.AzuriteServer) {
	_, c, o, _ := gated(t, server)
	o.Prefix, o.DeadAfter = "root", time.Nanosecond
	s := open(t, o)
	defer s.Close()
	keep := []string{"root/.regferry/lease", ".regferry/link-elsewhere", "root/docker/registry/v2/.regferry/link-x"}
	for _, name := range append(keep, "root/.regferry/link-dead", "root/.regferry/probe-dead") {
		blockBlob(t, c, name, []byte("x"))
	}
	time.Sleep(1100 * time.Millisecond) // the service's times are whole seconds
	n, err := s.Clean(t.Context(), nil)
	if err != nil || n != 2 {
		t.Errorf("%d removed: %v", n, err)
	}
	slices.Sort(keep)
	if left := namesWith(t, c, ""); !slices.Equal(left, keep) {
		t.Errorf("left: %q, want %q", left, keep)
	}
}
