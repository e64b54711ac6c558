package azure_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/azure"
	"github.com/regferry/regferry/backends/backendtest"
	"github.com/regferry/regferry/backends/backendtest/servers"
)

const partSize = 512 << 10

// TestConformance is on the plain root; testRoots has the other. Blocks go one
// after the other, so that an upload that is to be interrupted cannot be over
// before.
func TestConformance(t *testing.T) {
	server := servers.Azurite(t)
	c := server.Container(t, "conformance")
	o := options(server, "conformance")
	o.Parallel = 1
	backendtest.Run(t, harness(o, c))
}

// harness gives each store a prefix of its own.
func harness(o azure.Options, c *container.Client) backendtest.Harness {
	var n atomic.Int64
	return backendtest.Harness{
		Open: func(t *testing.T) backends.Store {
			o := o
			o.Prefix = fmt.Sprintf("store %d/of", n.Add(1))
			return open(t, o)
		},
		Reopen: func(t *testing.T, s backends.Store) backends.Store {
			o := o
			o.Prefix = prefixOf(s, o.Container)
			return open(t, o)
		},
		Leftovers: func(t *testing.T, s backends.Store) []string {
			return namesWith(t, c, prefixOf(s, o.Container)+"/.regferry/")
		},
		FileUnderFile: true, LongSegments: true,
		PartSize: partSize, Objects: 400,
		Resumes: true, Deletes: true, Replaces: true,
		Violates: map[string]string{
			"Keys with odd names are kept as they are": "the service takes a backslash for a slash, so one in a key is refused; testOddNames has the others",
		},
	}
}

func prefixOf(s backends.Store, container string) string {
	_, rest, _ := strings.Cut(s.Location(), container+"/")
	prefix, _, _ := strings.Cut(strings.ReplaceAll(rest, "%20", " "), "?")
	return prefix
}

func options(server *servers.AzuriteServer, name string) azure.Options {
	return azure.Options{
		Account: server.Account, Container: name, ServiceURL: server.Endpoint,
		Credentials: azure.Credentials{Key: server.Key}, PartSize: partSize,
	}
}

func open(t *testing.T, o azure.Options) *azure.Store {
	t.Helper()
	s, err := azure.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// namesWith lists all names in a container that have a text in them.
func namesWith(t *testing.T, c *container.Client, text string) []string {
	t.Helper()
	var all []string
	for p := c.NewListBlobsFlatPager(nil); p.More(); {
		page, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range page.Segment.BlobItems {
			if strings.Contains(*b.Name, text) {
				all = append(all, *b.Name)
			}
		}
	}
	return all
}
