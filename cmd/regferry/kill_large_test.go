//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/verify/layout"
	"github.com/regferry/regferry/verify/layout/layouttest"
)

// TestKillLargeLayer is killed near the end of a large layer, and goes on there.
func TestKillLargeLayer(t *testing.T) {
	times(t, "", 1)
	for _, c := range [][2]kind{{directory, directory}, {directory, versitygw}, {versitygw, directory}} {
		t.Run(fmt.Sprintf("%s to %s", c[0], c[1]), func(t *testing.T) { killLargeLayer(t, c[0], c[1]) })
	}
}

func killLargeLayer(t *testing.T, from, to kind) {
	const size = 300 << 20
	dir := fastDir(t, 3*size)
	t.Setenv("TMPDIR", dir) // for the services
	source, destination := newPlaces(t, dir, from, to)
	state := filepath.Join(dir, "state")
	made := source.fill(t, layouttest.Shape{Repositories: 1, Tags: 1, Layers: 1, MinLayer: size, MaxLayer: size})
	var layer digest.Digest
	for d, n := range made.Blobs {
		if n == size {
			layer = d
		}
	}
	args := []string{"migrate", "--from", source.location, "--to", destination.location, "--checkpoint", state, "--bandwidth", "60MiB"}
	p := launch(t, args...)
	for destination.unfinished(t) < size/10*9 && p.running(time.Millisecond) {
	}
	if !p.kill() {
		t.Fatalf("it had ended with %d:\n%s", p.exit, p.out)
	}
	left, claimed := destination.unfinished(t), claim(t, state, layout.BlobKey(layer))
	if left < size/10*9 || left >= size {
		t.Fatalf("killed with %d bytes of %d", left, size)
	}

	p = launch(t, args...)
	p.end(t, exitDone)
	read := p.io.read
	if destination.bucket == nil {
		read -= left - claimed // what lies beyond the claim is read on both sides and compared
	}
	t.Logf("killed at %.1f %%, went on at %.1f %%; read %d MB and wrote %d MB after that", 100*float64(left)/size, 100*float64(claimed)/size, read>>20, p.io.written>>20)
	if claimed < size/10*8 || read > size/5 || p.io.written > size/5 {
		t.Errorf("killed at %d of %d bytes; the checkpoint says %d, and then %d were read and %d written", left, size, claimed, read, p.io.written)
	}
	sameTrees(t, source.tree(t), destination.tree(t), "after the kill")
	if left := destination.leftovers(t); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// unfinished is the size of the one unfinished upload at a destination.
func (p place) unfinished(t *testing.T) (size int64) {
	t.Helper()
	if p.bucket == nil {
		return unfinished(p.dir)
	}
	uploads := p.bucket.uploads(t)
	if len(uploads) != 1 {
		return 0
	}
	out, err := p.bucket.client.ListParts(t.Context(), &s3.ListPartsInput{Bucket: &p.bucket.name, Key: uploads[0].Key, UploadId: uploads[0].UploadId})
	if err != nil {
		return 0 // finished meanwhile
	}
	for _, part := range out.Parts {
		size += *part.Size
	}
	return size
}

// unfinished is that of a directory.
func unfinished(dir string) int64 {
	names, _ := filepath.Glob(filepath.Join(dir, ".regferry", "partial", "*"))
	if len(names) != 1 {
		return 0
	}
	info, err := os.Stat(names[0])
	if err != nil {
		return 0
	}
	return info.Size()
}

// claim is how far the checkpoint says an upload is durable.
func claim(t *testing.T, state, key string) int64 {
	t.Helper()
	cmd := exec.Command(os.Args[0], "checkpoint", "show", "--json", state)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var shown struct {
		Uploads []struct {
			Key    string
			Offset int64
		}
	}
	if err := json.Unmarshal(out, &shown); err != nil {
		t.Fatal(err)
	}
	for _, u := range shown.Uploads {
		if u.Key == key {
			return u.Offset
		}
	}
	return 0
}

// TestKillThenPush pushes to a repository that the killed run had passed and
// takes a blob away that it had copied.
func TestKillThenPush(t *testing.T) {
	times(t, "", 1)
	for to, repositories := range map[kind]int{directory: 60, versitygw: 20} {
		t.Run(string(to), func(t *testing.T) { killThenPush(t, to, repositories) })
	}
}

func killThenPush(t *testing.T, to kind, repositories int) {
	servers.Tool(t, "registry")
	dir := fastDir(t, 1<<30)
	t.Setenv("TMPDIR", dir) // for the services
	source, destination := newPlaces(t, dir, directory, to)
	state := filepath.Join(dir, "state")
	made := source.fill(t, layouttest.Shape{Seed: 5, Repositories: repositories, Tags: 4, Layers: 3, Shared: 0.2, Indexes: 1, Nested: true})
	args := []string{"migrate", "--from", source.location, "--to", destination.location, "--checkpoint", state, "--workers", "3"}
	k := killing{made: made, destination: destination}
	p := launch(t, args...)
	for k.tags() < len(made.TagNames())/2 && p.running(time.Millisecond) {
	}
	if !p.kill() || k.tags() == len(made.TagNames()) {
		t.Fatalf("it was not killed half-way: %d tags of %d, exit %d:\n%s", k.tags(), len(made.TagNames()), p.exit, p.out)
	}
	passed := slices.IndexFunc(made.Repositories, func(r layouttest.Repository) bool { return k.whole(r) })
	if passed < 0 {
		t.Fatal("no repository was passed")
	}
	r := made.Repositories[passed]
	t.Logf("killed with %d of %d tags; %s was passed", len(k.seen), len(made.TagNames()), r.Name)

	from := servers.Registry(t, servers.Version3, source.config)
	pushed := push(t, from.Client, r.Name, "pushed", "after it was passed")
	from.Stop()
	lost := storage(destination.dir, strings.TrimSuffix(layout.BlobKey(made.Needs[r.Tags["latest"]][0]), "/data"))
	if err := os.RemoveAll(lost); err != nil {
		t.Fatal(err)
	}

	p = launch(t, args...)
	p.end(t, exitDone)
	sameTrees(t, source.tree(t), destination.tree(t), "after the push")
	after := servers.Registry(t, servers.Version3, destination.config)
	if _, d, err := after.Manifest(t.Context(), r.Name, "pushed"); err != nil || d.Digest != pushed {
		t.Errorf("the pushed tag is %s, want %s, error %v", d.Digest, pushed, err)
	}
	after.Stop()
	if n := served(t, destination); n != len(made.TagNames())+1 {
		t.Errorf("%d tags, want %d", n, len(made.TagNames())+1)
	}
}

// whole says whether all tags of a repository are in sight.
func (k *killing) whole(r layouttest.Repository) bool {
	for tag := range r.Tags {
		if !k.seen[layout.TagKey(r.Name, tag)] {
			return false
		}
	}
	return true
}

// push pushes an image with one layer of its own.
func push(t *testing.T, c servers.Client, repository, tag, content string) digest.Digest {
	t.Helper()
	d, err := pushTo(t.Context(), c, repository, tag, content)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func pushTo(ctx context.Context, c servers.Client, repository, tag, content string) (digest.Digest, error) {
	layer, err := c.PutBlob(ctx, repository, []byte(content))
	if err != nil {
		return "", err
	}
	d, err := c.PutImage(ctx, repository, tag, "", nil, layer)
	return d.Digest, err
}
