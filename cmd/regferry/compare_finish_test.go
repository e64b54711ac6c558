//go:build linux

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/verify/layout/layouttest"
)

// TestCompareWindows measures how long nobody can push while a mirror of 2,000
// tags is brought to its end, 10 pushes behind, for a volume and for services.
func TestCompareWindows(t *testing.T) {
	if os.Getenv("REGFERRY_BENCH") != "full" {
		t.Skip("REGFERRY_BENCH=full measures")
	}
	t.Setenv("TMPDIR", inMemory(t))
	first := layouttest.Shape{Seed: 1, Repositories: 10, Tags: 200, Layers: 4, MinLayer: 100, MaxLayer: 4096}
	for _, s := range []struct {
		name  string
		start func(t *testing.T) string
	}{
		{"volume", func(t *testing.T) string { return filepath.Join(inMemory(t), "to") }},
		{"S3", func(t *testing.T) string {
			gw := servers.VersityGW(t)
			gw.Credentials(t)
			gw.Bucket(t, "images")
			return locationOf(gw.Endpoint, "images", "")
		}},
		{"Swift", func(t *testing.T) string { to, _ := swiftForBoth(t); return to("place") }},
		{"Azure", func(t *testing.T) string { to, _ := azureForBoth(t); return to("place") }},
	} {
		t.Run(s.name, func(t *testing.T) {
			from, to, state := filepath.Join(inMemory(t), "from"), s.start(t), t.TempDir()
			made, err := layouttest.WriteDir(from, first)
			if err != nil {
				t.Fatal(err)
			}
			args := []string{"--from", from, "--to", to, "--state", state}
			p := launch(t, append([]string{"mirror", "--once"}, args...)...)
			if <-p.done; p.exit != 0 {
				t.Fatalf("exit code %d:\n%s", p.exit, p.out)
			}
			pusher := newPusher(from, made, false, first.Seed)
			for range 10 {
				if err := pusher.step(); err != nil {
					t.Fatal(err)
				}
			}
			start := time.Now()
			p = launch(t, append([]string{"mirror", "finish"}, args...)...)
			<-p.done
			window := regexp.MustCompile(`Nobody could push for (\S+)\.`).FindStringSubmatch(p.out.String())
			if p.exit != 0 || window == nil {
				t.Fatalf("exit code %d:\n%s", p.exit, p.out)
			}
			t.Logf("%d objects, 10 pushes behind: nobody could push for %s, of %v that mirror finish took", made.Objects, window[1], time.Since(start).Round(time.Millisecond))
		})
	}
}
