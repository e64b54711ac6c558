package gcs_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest"
	"github.com/regferry/regferry/backends/backendtest/fakegcs"
	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/backends/gcs"
)

const partSize = 512 << 10

// TestConformanceEmulator is on fake-gcs-server.
func TestConformanceEmulator(t *testing.T) {
	server := servers.GCS(t)
	server.Bucket(t, "conformance")
	h := harness(server.Endpoint, 4<<20) // it copies all that it has with each chunk
	h.Violates = map[string]string{
		"Resume goes on from what was saved": "fake-gcs-server ends an upload when it is asked how far it is; fakegcs does not",
	}
	backendtest.Run(t, h)
}

// TestConformanceSessions is on a fake of our own, which has the sessions that
// the emulator has not.
func TestConformanceSessions(t *testing.T) {
	server := fakegcs.New(t, "conformance")
	h := harness(server.URL, 256<<10)
	h.Leftovers = func(*testing.T, backends.Store) []string { return server.Sessions() }
	h.InMemory = true // the server is in this process
	backendtest.Run(t, h)
}

// harness gives each store a prefix of its own in one bucket.
func harness(endpoint string, partSize int64) backendtest.Harness {
	var n atomic.Int64
	o := gcs.Options{Bucket: "conformance", Endpoint: endpoint, Anonymous: true, PartSize: partSize}
	return backendtest.Harness{
		Open: func(t *testing.T) backends.Store {
			o := o
			o.Prefix = fmt.Sprintf("store %d/of", n.Add(1))
			return open(t, o)
		},
		Reopen: func(t *testing.T, s backends.Store) backends.Store {
			o := o
			_, rest, _ := strings.Cut(s.Location(), "conformance/")
			o.Prefix, _, _ = strings.Cut(strings.ReplaceAll(rest, "%20", " "), "?")
			return open(t, o)
		},
		PartSize: partSize, Resumes: true, Objects: 1200,
		FileUnderFile: true, LongSegments: true, Deletes: true, Replaces: true,
	}
}

func open(t *testing.T, o gcs.Options) *gcs.Store {
	t.Helper()
	s, err := gcs.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
