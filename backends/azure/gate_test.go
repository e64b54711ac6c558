package azure_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/azure"
	"github.com/regferry/regferry/backends/backendtest/servers"
)

// TestOnAzurite shares one server, which takes longer to start than most of
// these to run.
func TestOnAzurite(t *testing.T) {
	server := servers.Azurite(t)
	for _, c := range []struct {
		name string
		test func(*testing.T, *servers.AzuriteServer)
	}{
		{"Classes", testClasses},
		{"Retries", testRetries},
		{"ChecksumsAreCompared", testChecksumsAreCompared},
		{"Unproved", testUnproved},
		{"DroppedBlocks", testDroppedBlocks},
		{"BlocksOfOthers", testBlocksOfOthers},
		{"ForeignBlocks", testForeignBlocks},
		{"DigestFails", testDigestFails},
		{"CutBody", testCutBody},
		{"CutListing", testCutListing},
		{"EmptyAnswer", testEmptyAnswer},
		{"OddNames", testOddNames},
		{"Folders", testFolders},
		{"Hierarchical", testHierarchical},
		{"ListedDirectory", testListedDirectory},
		{"MD5", testMD5},
		{"Clean", testClean},
		{"Retention", testRetention},
		{"Types", testTypes},
		{"TypeOfBlobs", testTypeOfBlobs},
		{"GoodInTheWay", testGoodInTheWay},
		{"ChangedInTheWay", testChangedInTheWay},
		{"LinksAreWholeThroughout", testLinksAreWholeThroughout},
		{"AppendIsRepeated", testAppendIsRepeated},
		{"PendingCopy", testPendingCopy},
		{"Roots", testRoots},
		{"Refusals", testRefusals},
		{"Signature", testSignature},
		{"SecretsStayInside", testSecretsStayInside},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, server) })
	}
}

// containers gives each test one of its own.
var containers atomic.Int64

// gated is a container behind a gate, and the options of stores on it.
func gated(t *testing.T, server *servers.AzuriteServer) (*servers.Gate, *container.Client, azure.Options, *notices) {
	t.Helper()
	name := fmt.Sprintf("gated-%d", containers.Add(1))
	c := server.Container(t, name)
	host, account, _ := strings.Cut(strings.TrimPrefix(server.Endpoint, "http://"), "/")
	g := servers.NewGate(t, &servers.S3Server{Endpoint: "http://" + host})
	o, n := options(server, name), &notices{}
	o.ServiceURL, o.Notice = g.URL+"/"+account, n.add
	return g, c, o, n
}

// strict has a gate refuse what Azure refuses and Azurite does: to put a blob
// over one of another type.
func strict(c *container.Client) servers.Meeting {
	at, _ := url.Parse(c.URL())
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		kind, from := r.Header.Get("X-Ms-Blob-Type"), r.Header.Get("X-Ms-Copy-Source")
		if r.Method != http.MethodPut || kind == "" && from == "" {
			return false
		}
		if from != "" {
			source, _ := url.Parse(from)
			kind = kindOf(c, strings.TrimPrefix(source.Path, at.Path+"/"))
		}
		if has := kindOf(c, strings.TrimPrefix(r.URL.Path, at.Path+"/")); has == "" || has == kind {
			return false
		}
		says(409, "InvalidBlobType")(w, r)
		return true
	}
}

// kindOf is the type of a blob, empty if there is none.
func kindOf(c *container.Client, name string) string {
	p, err := c.NewBlobClient(name).GetProperties(context.Background(), nil)
	if err != nil {
		return ""
	}
	return string(*p.BlobType)
}

// says answers with an error of the service.
func says(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Ms-Error-Code", code)
		w.Header().Set("X-Ms-Request-Id", "request-1")
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(status)
		if r.Method != http.MethodHead {
			fmt.Fprintf(w, "\ufeff<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>%s</Code><Message>The words of the service.\nRequestId:request-1\nTime:now</Message></Error>", code)
		}
	}
}

// once has a gate meet the first requests that match with f, and counts those.
func once(times int, match func(*http.Request) bool, f http.HandlerFunc) (servers.Meeting, func() int) {
	var mu sync.Mutex
	n := 0
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
			if !match(r) {
				return false
			}
			mu.Lock()
			n++
			mine := n <= times
			mu.Unlock()
			if mine {
				f(w, r)
			}
			return mine
		}, func() int {
			mu.Lock()
			defer mu.Unlock()
			return n
		}
}

// comp matches a PUT with this comp; empty is Put Blob.
func comp(what string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		return r.Method == http.MethodPut && r.URL.Query().Get("comp") == what && r.Header.Get("X-Ms-Copy-Source") == ""
	}
}

type notices struct {
	mu  sync.Mutex
	all []string
}

func (n *notices) add(text string) { n.mu.Lock(); defer n.mu.Unlock(); n.all = append(n.all, text) }

func (n *notices) has(part string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.ContainsFunc(n.all, func(s string) bool { return strings.Contains(s, part) })
}

func content(b []byte) backends.Content {
	return backends.Content{Size: int64(len(b)), Digest: digest.FromBytes(b), Open: func(_ context.Context, off int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(b[off:])), nil
	}}
}

func random(size int) []byte {
	b := make([]byte, size)
	_, _ = rand.Read(b)
	return b
}

func put(t *testing.T, s backends.Store, key string, b []byte) {
	t.Helper()
	if _, err := s.Put(t.Context(), key, content(b)); err != nil {
		t.Fatal(err)
	}
}

func holds(t *testing.T, s backends.ReadStore, key string, want []byte) {
	t.Helper()
	b, err := s.Open(t.Context(), key, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	got, err := io.ReadAll(b)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s holds %d bytes, want other %d: %v", key, len(got), len(want), err)
	}
}

func keysOf(t *testing.T, s backends.ReadStore) (keys []string) {
	t.Helper()
	for o, err := range s.List(t.Context(), "", "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, o.Key)
	}
	return keys
}
