package oss_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest"
	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/backends/oss"
)

const partSize = 1 << 20

func TestConformanceV4(t *testing.T) { conformance(t, "v4", 2500) }

// TestConformanceV1 has fewer objects, since pages are not what differs.
func TestConformanceV1(t *testing.T) { conformance(t, "v1", 200) }

// conformance gives each store a prefix of its own in one bucket. Parts go one
// after the other, so that an upload that is to be interrupted cannot be over
// before.
func conformance(t *testing.T, signature string, objects int) {
	server := servers.OSS(t)
	server.Bucket(t, "conformance")
	var n atomic.Int64
	options := func(prefix string) oss.Options {
		o := optionsOf(server, "conformance")
		o.Prefix, o.Signature, o.PartSize, o.Parallel = prefix, signature, partSize, 1
		return o
	}
	prefixOf := func(s backends.Store) string {
		_, rest, _ := strings.Cut(s.Location(), "conformance/")
		prefix, _, _ := strings.Cut(strings.ReplaceAll(rest, "%20", " "), "?")
		return prefix
	}
	backendtest.Run(t, backendtest.Harness{
		Open: func(t *testing.T) backends.Store {
			return open(t, options(fmt.Sprintf("store %d/of", n.Add(1))))
		},
		Reopen: func(t *testing.T, s backends.Store) backends.Store {
			return open(t, options(prefixOf(s)))
		},
		Leftovers:     func(*testing.T, backends.Store) []string { return server.Fake.Uploads("conformance") },
		PartSize:      partSize,
		Resumes:       true,
		Deletes:       true,
		FileUnderFile: true,
		LongSegments:  true,
		Objects:       objects,
	})
}

func optionsOf(server *servers.OSSServer, bucket string) oss.Options {
	return oss.Options{
		Bucket: bucket, Endpoint: server.Endpoint, Region: server.Region,
		AccessKeyID: server.AccessKeyID, AccessKeySecret: backends.Secret(server.AccessKeySecret),
	}
}

func open(t *testing.T, o oss.Options) *oss.Store {
	t.Helper()
	s, err := oss.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
