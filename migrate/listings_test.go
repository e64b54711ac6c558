package migrate

import (
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/regferry/regferry/verify/layout"
)

// A destination without a blob is asked for that once, and not for each shard;
// who looks on is told of all shards nevertheless.
func TestListingsOfAnEmptyDestination(t *testing.T) {
	dir, _ := small(t)
	for name, key := range map[string]string{"empty": "", "no blob": layout.Root + "NOTES", "a blob": layout.BlobKey(digestOf("x"))} {
		t.Run(name, func(t *testing.T) {
			dst := memory(t)
			if key != "" {
				put(t, dst, key, "x")
			}
			var shards int
			w := &watched{Store: dst, list: func(prefix string) {
				if slices.Contains(layout.Shards(), prefix) {
					shards++
				}
			}}
			var mu sync.Mutex
			var told []string
			o := quick()
			o.Checkpoint = filepath.Join(tempDir(t), "c")
			o.Watch.Listed = func(prefix string) error {
				mu.Lock()
				defer mu.Unlock()
				if strings.HasPrefix(prefix, blobsPrefix+"sha256/") {
					told = append(told, prefix)
				}
				return nil
			}
			got, _ := transfer(t, reader(t, dir), watch(w), o)
			clean(t, got)
			if want := len(layout.Shards()); got.Copied != got.Blobs || shards != 0 && key != layout.BlobKey(digestOf("x")) || len(told) != want {
				t.Errorf("%d shards listed, %d told of: %+v", shards, len(told), got)
			}
			if got, _ = transfer(t, reader(t, dir), watch(w), o); got.Present != got.Blobs || got.Work() != 0 {
				t.Errorf("again: %+v", got)
			}
		})
	}
}
