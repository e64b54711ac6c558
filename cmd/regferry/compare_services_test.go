//go:build linux

package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/verify/layout/layouttest"
)

// service is one to which regferry and rclone write in turn, each to a server
// of its own: the emulators get slower the more they hold.
type service struct {
	name  string
	start func(t *testing.T) (regferry, rclone func(place string) string)
	tags  int   // in each of 10 repositories; each has 6 blobs
	blob  int64 // bytes
}

// services get 5,000 small blobs and one of 1 GB, but for one: fake-gcs-server looks
// through all objects for each that it is given, and computes the checksums of
// all that it has of a blob with each chunk.
var services = []service{
	{"azure", azureForBoth, 84, 1 << 30},
	{"gcs", gcsForBoth, 21, 1 << 28},
	{"swift", swiftForBoth, 84, 1 << 30},
}

// transfers are what rclone does best with: the default, 4, is slower with
// small objects, and more than 32 are not faster.
var transfers = []string{"8", "32"}

// TestCompareServices compares the first copy of a registry to each service
// with rclone's, in one run, and prints ratios of medians. It fails where
// regferry, which proves everything, is slower than 0.8 of rclone with the
// transfers that are best, or where they did not write equally many objects.
// REGFERRY_ROUNDS is how often each is run (3). There is no rclone for the fake
// of OSS: its S3 is not OSS's.
func TestCompareServices(t *testing.T) {
	if os.Getenv("REGFERRY_BENCH") != "full" {
		t.Skip("REGFERRY_BENCH=full compares with other programs")
	}
	program, rclone := built(t), servers.Tool(t, "rclone")
	t.Setenv("TMPDIR", inMemory(t))
	for _, s := range services {
		t.Run(fmt.Sprintf("%s, %d blobs of 4 KB", s.name, s.tags*60), func(t *testing.T) {
			s.compare(t, program, rclone, layouttest.Shape{Seed: 1, Repositories: 10, Tags: s.tags, Layers: 4, MinLayer: 4096, MaxLayer: 4096})
		})
		t.Run(fmt.Sprintf("%s, one blob of %d MB", s.name, s.blob>>20), func(t *testing.T) {
			s.compare(t, program, rclone, layouttest.Shape{Seed: 2, Repositories: 1, Tags: 1, Layers: 1, MinLayer: s.blob, MaxLayer: s.blob})
		})
	}
}

func (s service) compare(t *testing.T, program, rclone string, shape layouttest.Shape) {
	from := filepath.Join(inMemory(t), "from")
	made, err := layouttest.WriteDir(from, shape)
	if err != nil {
		t.Fatal(err)
	}
	rounds, _ := strconv.Atoi(cmp.Or(os.Getenv("REGFERRY_ROUNDS"), "3"))
	all := map[string][]time.Duration{}
	run := func(name, program string, args func(ours, theirs string) []string) {
		// A # in a directory's name, as a second test of one name has it, begins a
		// comment in Swift's configurations.
		t.Run(fmt.Sprintf("%s, round %d", name, len(all[name])+1), func(t *testing.T) {
			ours, theirs := s.start(t)
			took, _ := timed(t, program, args(ours("place"), theirs("place"))...)
			all[name] = append(all[name], took)
			if n := len(keysAt(t, ours("place"))); n != made.Objects {
				t.Errorf("it wrote %d objects of %d", n, made.Objects)
			}
		})
	}
	for range rounds {
		run("regferry", program, func(to, _ string) []string {
			return []string{"migrate", "--from", from, "--to", to, "--checkpoint", "none"}
		})
		for _, n := range transfers {
			run("rclone "+n, rclone, func(_, to string) []string {
				return []string{"copy", "--config", "/dev/null", "--transfers", n, "--checkers", n, from, to}
			})
		}
	}
	ours, best := all["regferry"], all["rclone "+transfers[0]]
	for _, n := range transfers {
		if median(all["rclone "+n]) < median(best) {
			best = all["rclone "+n]
		}
	}
	t.Logf("%d objects, %d MB: regferry %v, rclone %v, %.2f times as long; all: %v", made.Objects, made.Bytes/1e6,
		median(ours).Round(time.Millisecond), median(best).Round(time.Millisecond), ratio(best, ours), all)
	if ratio(best, ours) < 0.8 {
		t.Error("rclone is too fast")
	}
}

func remote(t *testing.T, name string, config map[string]string) {
	for key, value := range config {
		t.Setenv("RCLONE_CONFIG_"+name+"_"+key, value)
	}
}

func azureForBoth(t *testing.T) (regferry, rclone func(string) string) {
	s := servers.Azurite(t)
	s.Container(t, "images")
	t.Setenv("AZURE_STORAGE_ACCOUNT", s.Account)
	t.Setenv("AZURE_STORAGE_KEY", s.Key)
	remote(t, "AZ", map[string]string{"TYPE": "azureblob", "ACCOUNT": s.Account, "KEY": s.Key, "ENDPOINT": s.Endpoint})
	return func(place string) string {
		return at("azblob", "images", place, "accountname", s.Account, "serviceurl", s.Endpoint)
	}, func(place string) string { return "az:images/" + place }
}

func gcsForBoth(t *testing.T) (regferry, rclone func(string) string) {
	s := servers.GCS(t)
	s.Bucket(t, "images")
	remote(t, "GC", map[string]string{"TYPE": "google cloud storage", "ANONYMOUS": "true", "ENDPOINT": s.Endpoint + "/storage/v1/", "BUCKET_POLICY_ONLY": "true", "NO_CHECK_BUCKET": "true"})
	return func(place string) string {
			return at("gs", "images", place, "endpoint", s.Endpoint, "anonymous", "true")
		},
		func(place string) string { return "gc:images/" + place }
}

func swiftForBoth(t *testing.T) (regferry, rclone func(string) string) {
	s := servers.Swift(t)
	if err := s.Account(t).ContainerCreate(t.Context(), "images", nil); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ST_KEY", s.Key)
	remote(t, "SW", map[string]string{"TYPE": "swift", "USER": s.User, "KEY": s.Key, "AUTH": s.AuthURL, "CHUNK_SIZE": "64Mi"})
	return func(place string) string {
			return at("swift", "images", place, "authurl", s.AuthURL, "username", s.User)
		},
		func(place string) string { return "sw:images/" + place + "/files" } // where regferry has its keys
}
