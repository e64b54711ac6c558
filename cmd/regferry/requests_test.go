//go:build linux

package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/layout/layouttest"
)

// What a service is asked is paid for: a small object costs one PUT, and a
// pass with nothing to do no request for any object, only listings.
func TestRequests(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a server")
	}
	gw := servers.VersityGW(t)
	gw.Credentials(t)
	gw.Bucket(t, "images")
	gate := servers.NewGate(t, gw)
	bucket := locationOf(gate.URL, "images", "")
	dir := fastDir(t, 50<<20)
	from, state := filepath.Join(dir, "from"), filepath.Join(dir, "state")
	made, err := layouttest.WriteDir(from, layouttest.Shape{Seed: 7, Repositories: 5, Tags: 40, Layers: 2, MinLayer: 100, MaxLayer: 3000})
	if err != nil {
		t.Fatal(err)
	}
	// A shard or partition is asked for by itself, and a page has 1,000 keys. What
	// lies between them takes some more, the same for any registry.
	lists := func(sides int) int {
		return sides * (len(layout.Shards()) + len(layout.Partitions()) + made.Objects/1000 + 40)
	}
	defer func() { // what was copied, by then
		gate.Counted()
		for name, gets := range map[string]int{"--references=false": 0, "--references": len(made.Needs)} {
			launch(t, "verify", "--from", from, "--to", bucket, "--level", "presence", name, "--log-level", "error").end(t, exitDone)
			got := gate.Counted()
			t.Logf("verify %s: %v", name, got)
			if n := got["GetObject"] + got["HeadObject"]; n > gets+1 || got["ListObjectsV2"] > lists(1) || got["PutObject"] > 0 {
				t.Errorf("verify %s asks for %v, want at most %d manifests", name, got, gets)
			}
		}
	}()
	for _, c := range []struct {
		name     string
		from, to string
		puts     int // beside those of the probe
		lists    int
	}{
		{"the first copy", from, bucket, made.Objects, lists(1) + 8*len(made.Repositories)},
		{"nothing to do", from, bucket, 0, lists(1)},
		{"back, the first copy", bucket, filepath.Join(dir, "back"), 0, lists(1) + 8*len(made.Repositories)},
		{"back, nothing to do", bucket, filepath.Join(dir, "back"), 0, lists(1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			gate.Counted()
			name := state + fmt.Sprint(len(c.from))
			launch(t, "migrate", "--from", c.from, "--to", c.to, "--checkpoint", name, "--log-level", "error").end(t, exitDone)
			got := gate.Counted()
			t.Logf("%d objects: %v", made.Objects, got)
			probe := 0
			if c.to == bucket {
				probe = 5 // what checks are made, and one is tried
			}
			if n := got["PutObject"]; n < c.puts || n > c.puts+probe {
				t.Errorf("%d PutObject for %d objects", n, c.puts)
			}
			if got["ListObjectsV2"] > c.lists {
				t.Errorf("%d ListObjectsV2, want at most %d", got["ListObjectsV2"], c.lists)
			}
			reads := 0 // but for the one that learns what ETags are
			if strings.HasPrefix(c.name, "back, the first") {
				reads = made.Objects + 4*made.Objects/10 // tags are read twice
			}
			if c.to == bucket {
				reads += 5 // of what is tried, of the bucket's configuration, and of the mark of a move that is finished
			}
			if n := got["GetObject"] + got["HeadObject"]; n > reads+1 {
				t.Errorf("%d GetObject and HeadObject, want at most %d", n, reads+1)
			}
		})
	}
}
