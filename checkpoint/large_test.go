package checkpoint

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/opencontainers/go-digest"
)

const largeEnv = "REGFERRY_CHECKPOINT_LARGE"

// large is a run with 400,000 blobs over 256 shards, 16 at a time, at 100,000
// blobs a second (or the rate in blobs a second that REGFERRY_RATE gives),
// with the default interval.
func large(path string) {
	rate := 100_000
	if s := os.Getenv("REGFERRY_RATE"); s != "" {
		_, err := fmt.Sscan(s, &rate)
		check(err)
	}
	commits := 0
	o := Options{Sync: func(context.Context) error { commits++; return nil }}
	f, err := Open(path, testID, o)
	check(err)
	check(f.BeginPass(""))
	start, n := time.Now(), 0
	for group := 0; group < 256; group += 16 {
		for i := range 400_000 / 256 {
			for s := group; s < group+16; s++ {
				name := fmt.Sprintf("blobs/sha256/%02x", s)
				var raw [32]byte
				raw[0] = byte(s)
				binary.BigEndian.PutUint32(raw[1:], rand.Uint32())
				binary.BigEndian.PutUint32(raw[5:], uint32(i))
				d := digest.NewDigestFromBytes(digest.SHA256, raw[:])
				f.Proved(name, d)
				f.Advance(name, "docker/registry/v2/"+name+"/"+d.Encoded()+"/data")
				n++
			}
			if ahead := time.Duration(n)*time.Second/time.Duration(rate) - time.Since(start); ahead > 10*time.Millisecond {
				time.Sleep(ahead)
			}
		}
		for s := group; s < group+16; s++ {
			f.FinishShard(fmt.Sprintf("blobs/sha256/%02x", s))
		}
	}
	check(f.FinishPass())
	check(f.Close())
	took := time.Since(start)
	open := time.Now()
	f, err = Open(path, testID, Options{})
	check(err)
	opened := time.Since(open)
	load := time.Now()
	s, err := f.Shard("blobs/sha256/80")
	check(err)
	loaded := time.Since(load)
	check(f.Close())
	fmt.Printf("%d blobs, %d commits in %v; opens in %v; a shard of %d in %v\n", n, commits, took.Round(time.Millisecond), opened, s.Proved.Len(), loaded)
}
