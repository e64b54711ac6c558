package swift_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	ncw "github.com/ncw/swift/v2"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest"
	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/backends/swift"
)

const partSize = 1 << 20

// TestConformance is on a real Swift. Each request is one to three Python
// servers, so there are few objects.
func TestConformance(t *testing.T) {
	server := servers.Swift(t)
	for _, kind := range []string{"slo", "dlo"} {
		t.Run(kind, func(t *testing.T) { backendtest.Run(t, harness(t, server, kind)) })
	}
}

// harness gives each store a prefix of its own in one container. Segments go
// one after the other, so that an upload that is to be interrupted cannot be
// over before.
func harness(t *testing.T, server *servers.SwiftServer, kind string) backendtest.Harness {
	account := server.Account(t)
	container := "conformance-" + kind
	makeContainer(t, account, container)
	o := options(server, container)
	o.LargeObjects, o.Parallel = kind, 1
	var only []string
	if kind == "dlo" && os.Getenv("REGFERRY_MATRIX") != "full" {
		only = []string{"L4", "R", "P1", "P5", "P6", "P9", "Resume", "Powers", "D2", "D4", "D5"} // what large objects have to do with
	}
	var n atomic.Int64
	return backendtest.Harness{
		Open: func(t *testing.T) backends.Store {
			o := o
			o.Prefix = fmt.Sprintf("store %d/of", n.Add(1))
			return open(t, o)
		},
		Reopen: func(t *testing.T, s backends.Store) backends.Store {
			o := o
			o.Prefix = prefixOf(t, s)
			return open(t, o)
		},
		Leftovers: func(t *testing.T, s backends.Store) []string {
			return orphans(t, account, container, prefixOf(t, s)+"/")
		},
		Deletes: true, FileUnderFile: true, LongSegments: true, Objects: map[string]int{"slo": 100, "dlo": 20}[kind],
		PartSize: partSize, Resumes: true, Only: only,
	}
}

func options(server *servers.SwiftServer, container string) swift.Options {
	return swift.Options{
		AuthURL: server.AuthURL, Username: server.User, Password: backends.Secret(server.Key),
		Container: container, PartSize: partSize,
	}
}

func open(t *testing.T, o swift.Options) *swift.Store {
	t.Helper()
	s, err := swift.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func prefixOf(t *testing.T, s backends.Store) string {
	t.Helper()
	u, err := url.Parse(s.Location())
	if err != nil {
		t.Fatal(err)
	}
	return strings.Trim(u.Path, "/")
}

func makeContainer(t *testing.T, account *ncw.Connection, name string) {
	t.Helper()
	if err := account.ContainerCreate(t.Context(), name, nil); err != nil {
		t.Fatal(err)
	}
}

// orphans are the segments below a prefix that no object there is made of.
func orphans(t *testing.T, account *ncw.Connection, container, prefix string) []string {
	t.Helper()
	ctx := context.Background()
	defer account.Transport.(interface{ CloseIdleConnections() }).CloseIdleConnections()
	names, err := account.ObjectNamesAll(ctx, container, &ncw.ObjectsOpts{Prefix: prefix})
	if err != nil {
		t.Fatal(err)
	}
	var used []string
	for _, name := range names {
		_, h, err := account.Object(ctx, container, name)
		if err != nil {
			t.Fatal(err)
		}
		if h.IsLargeObjectDLO() {
			at, _ := url.PathUnescape(h["X-Object-Manifest"])
			used = append(used, strings.TrimPrefix(at, container+"/"))
		}
		if !h.IsLargeObjectSLO() {
			continue
		}
		_, segments, err := account.LargeObjectGetSegments(ctx, container, name)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range segments {
			used = append(used, s.Name)
		}
	}
	return slices.DeleteFunc(names, func(name string) bool {
		return !strings.HasPrefix(name, prefix+"segments/") ||
			slices.ContainsFunc(used, func(u string) bool { return strings.HasPrefix(name, u) })
	})
}
