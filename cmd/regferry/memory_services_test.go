//go:build linux

package main

import (
	"fmt"
	"os"
	"testing"

	"github.com/regferry/regferry/backends/backendtest/servers"
)

// TestMemoryServices holds the bound with each service as a destination and as
// a source. What the servers can bear decides how much it is: the emulator of
// GCS gets slower with each object and each chunk.
func TestMemoryServices(t *testing.T) {
	if os.Getenv("REGFERRY_MEMORY") != "full" {
		t.Skip("REGFERRY_MEMORY=full takes half an hour")
	}
	program := built(t)
	t.Setenv("TMPDIR", inMemory(t))
	for _, s := range []struct {
		name  string
		start func(t *testing.T) (at, _ func(place string) string)
		many  []int
		large int64
	}{
		{"azure", azureForBoth, []int{20_000, 60_000}, 4 << 30},
		{"gcs", gcsForBoth, []int{5_000}, 512 * mebi},
		{"swift", swiftForBoth, []int{20_000}, 4 << 30},
		{"oss", ossForBoth, []int{20_000, 60_000}, 4 << 30},
	} {
		t.Run(s.name, func(t *testing.T) {
			at, _ := s.start(t)
			for _, n := range s.many {
				place := at(fmt.Sprint("objects", n))
				to, _ := peakOf(t, program, place, n)
				from := peakFrom(t, program, place)
				t.Logf("%d objects: %d MiB to it, %d MiB from it", n, to/mebi, from/mebi)
				if max(to, from) > 256*mebi {
					t.Error("more than 256 MiB")
				}
			}
			place := at("blob")
			to := peakOfBlob(t, program, place, s.large)
			from := peakFrom(t, program, place)
			t.Logf("one blob of %d MiB: %d MiB to it, %d MiB from it", s.large/mebi, to/mebi, from/mebi)
			if max(to, from) > 256*mebi {
				t.Error("more than 256 MiB")
			}
		})
	}
}

// peakFrom migrates what is there to a directory.
func peakFrom(t *testing.T, program, from string) int64 {
	dir := inMemory(t)
	_, peak := timed(t, program, "migrate", "--from", from, "--to", dir+"/to", "--checkpoint", dir+"/checkpoint")
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	return peak
}

// ossForBoth is of regferry only, see TestCompareServices.
func ossForBoth(t *testing.T) (regferry, rclone func(string) string) {
	s := servers.OSS(t)
	s.Bucket(t, "images")
	s.Credentials(t)
	return func(place string) string {
		return at("oss", "images", place, "region", s.Region, "endpoint", s.Endpoint)
	}, nil
}
