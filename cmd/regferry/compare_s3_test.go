//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/regferry/regferry/backends/backendtest/servers"
)

// TestCompareS3 is TestCompare with a bucket of versitygw, on a tmpfs as well,
// for the destination, where a directory is a bucket.
func TestCompareS3(t *testing.T) {
	if os.Getenv("REGFERRY_BENCH") != "full" {
		t.Skip("REGFERRY_BENCH=full compares with other programs")
	}
	program, rclone, mc := built(t), servers.Tool(t, "rclone"), servers.Tool(t, "mc")
	t.Setenv("TMPDIR", inMemory(t))
	gw := servers.VersityGW(t)
	gw.Credentials(t)
	for name, value := range map[string]string{
		"TYPE": "s3", "PROVIDER": "Other", "ENV_AUTH": "true", "REGION": "us-east-1", "ENDPOINT": gw.Endpoint,
	} {
		t.Setenv("RCLONE_CONFIG_GW_"+name, value)
	}
	t.Setenv("MC_HOST_gw", strings.Replace(gw.Endpoint, "://", "://"+gw.AccessKey+":"+gw.SecretKey+"@", 1))
	for name, shape := range compared {
		idle := 5.0
		if name != smallOnes {
			idle = 0 // some 350 listings, more than it has thousands of objects
		}
		t.Run(name, func(t *testing.T) {
			compare(t, shape, gw.Dir, []contender{
				{"regferry", program, []string{"migrate", "--from", "FROM", "--to", "TO", "--checkpoint", "STATE"}, func(dir string) string { return locationOf(gw.Endpoint, filepath.Base(dir), "") }},
				{"rclone copy, 32 transfers", rclone, []string{"copy", "--config", "/dev/null", "--transfers", "32", "--checkers", "32", "FROM", "TO"}, func(dir string) string { return "gw:" + filepath.Base(dir) }},
				{"mc mirror", mc, []string{"--config-dir", t.TempDir(), "--quiet", "mirror", "FROM", "TO"}, func(dir string) string { return "gw/" + filepath.Base(dir) }},
			}, idle)
		})
	}
}
