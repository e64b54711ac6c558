//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends/backendtest/servers"
)

// TestEndToEnd is the proof: a real registry is pushed to by real clients, its
// storage is moved by the real program, and a second registry serves all of it.
func TestEndToEnd(t *testing.T) {
	servers.Tool(t, "crane")
	program := build(t)
	for _, c := range []struct {
		version  servers.Version
		from, to kind
		more     bool // with REGFERRY_E2E=full: the other rows have each side with each registry, too
	}{
		{servers.Version3, directory, directory, false},
		{servers.Version2, directory, directory, false},
		{servers.Version3, directory, versitygw, true},
		{servers.Version2, directory, versitygw, true},
		{servers.Version3, versitygw, directory, true},
		{servers.Version2, versitygw, directory, true},
		{servers.Version3, directory, minio, true},
		{servers.Version2, directory, minio, true},
		{servers.Version3, minio, directory, true},
		{servers.Version2, minio, directory, true},
		{servers.Version3, versitygw, minio, true},
		{servers.Version2, minio, versitygw, false},
	} {
		if c.more && os.Getenv("REGFERRY_E2E") != "full" {
			continue
		}
		t.Run(fmt.Sprintf("%s %s to %s", c.version, c.from, c.to), func(t *testing.T) {
			a, b := newPlaces(t, t.TempDir(), c.from, c.to)
			endToEnd(t, program, c.version, a, b)
		})
	}
}

func endToEnd(t *testing.T, program string, v servers.Version, a, b place) {
	t.Helper()
	move(t, program, v, v, a, b)
}

// move is the proof with a registry of one version on the source and one of
// another on the destination.
func move(t *testing.T, program string, source, destination servers.Version, a, b place) {
	t.Helper()
	args := []string{"migrate", "--from", a.location, "--to", b.location, "--checkpoint", filepath.Join(t.TempDir(), "state")}
	large, many := int64(300<<20), 200
	if a.dir == "" || b.dir == "" || a.bucket != nil || b.bucket != nil {
		large, many = 70<<20, 40 // five parts
	}
	from := servers.Registry(t, source, a.config, a.env...)
	tags := servers.PushEverything(t, from, large, many)
	want := images(t, from.Client)
	from.Stop()
	before := a.tree(t)

	first := migrateTo(t, program, args...)
	if first.Copied == 0 || first.CopiedBytes < large || first.TagsWritten != tags {
		t.Errorf("first run: %+v, want %d tags", first, tags)
	}
	sameTrees(t, before, a.tree(t), "the source changed")
	sameTrees(t, before, b.tree(t), "the destination is not the source")

	before = b.tree(t)
	second := migrateTo(t, program, args...)
	if second.Copied+second.Replaced+second.Links+second.TagsWritten+second.Unknown != 0 || second.CopiedBytes != 0 || second.Tags != tags {
		t.Errorf("second run: %+v, want nothing written and %d tags", second, tags)
	}
	if !maps.Equal(before, b.tree(t)) {
		t.Error("the second run wrote something")
	}
	if left := b.leftovers(t); len(left) > 0 {
		t.Errorf("left at the destination: %v", left)
	}

	to := servers.Registry(t, destination, b.config, b.env...)
	if got := images(t, to.Client); !maps.Equal(got, want) {
		t.Errorf("the second registry serves %v\nwant %v", got, want)
	}
	pull(t, to, tags)
}

// TestExample is the README's command on the registry in examples.
func TestExample(t *testing.T) {
	servers.Tool(t, "crane")
	program := build(t)
	example, b := filepath.Join("..", "..", "examples", "registry"), filepath.Join(t.TempDir(), "new-registry")
	source := tree(t, example)
	first := migrateTo(t, program, "migrate", "--from", example, "--to", b, "--checkpoint", filepath.Join(t.TempDir(), "state"))
	sameTrees(t, source, tree(t, b), "the destination is not the source")
	sameTrees(t, source, tree(t, example), "the example changed")
	to := servers.Registry(t, servers.Version3, b)
	if first.Repositories != 3 || first.Tags != len(images(t, to.Client)) {
		t.Errorf("%+v", first)
	}
	pull(t, to, first.Tags)
}

// images is the digest of each repository:tag that a registry shows.
func images(t *testing.T, c servers.Client) map[string]digest.Digest {
	t.Helper()
	found := map[string]digest.Digest{}
	repositories, err := c.Repositories(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, repository := range repositories {
		tags, err := c.Tags(t.Context(), repository)
		if err != nil {
			t.Fatal(err)
		}
		for _, tag := range tags {
			_, d, err := c.Manifest(t.Context(), repository, tag)
			if err != nil {
				t.Fatal(err)
			}
			found[repository+":"+tag] = d.Digest
		}
	}
	return found
}

// pull pulls every tag over HTTP, and with crane every distinct image that was
// pushed with crane.
func pull(t *testing.T, s *servers.RegistryServer, tags int) {
	t.Helper()
	broken, stats, err := servers.CheckAll(t.Context(), s.URL)
	if err != nil || len(broken) > 0 || stats.Tags != tags {
		t.Errorf("broken %v of %+v, want %d tags; error %v", broken, stats, tags, err)
	}
	distinct := map[string]bool{}
	for name, d := range images(t, s.Client) {
		repository, _, _ := strings.Cut(name, ":")
		if repository != "by/hand" {
			distinct[repository+"@"+d.String()] = true
		}
	}
	for _, reference := range slices.Sorted(maps.Keys(distinct)) {
		servers.Crane(t, "validate", "--remote", s.Addr+"/"+reference)
	}
}

// summary is what the test needs of the report.
type summary struct {
	Repositories, Copied, Replaced, Tags int
	CopiedBytes                          int64 `json:"copied_bytes"`
	Links                                int   `json:"links_written"`
	TagsWritten                          int   `json:"tags_written"`
	Unknown                              int   `json:"unknown_copied"`
}

// migrateTo runs the program, which must end with 0, and reads its report.
func migrateTo(t *testing.T, program string, args ...string) summary {
	t.Helper()
	path := filepath.Join(t.TempDir(), "report.json")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append(args, "--report", path)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	start := time.Now()
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, &out)
	}
	t.Logf("%v\n%s", time.Since(start).Round(time.Millisecond), &out)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var document struct{ Totals *summary }
	if err := json.Unmarshal(text, &document); err != nil || document.Totals == nil {
		t.Fatalf("report without totals, error %v:\n%s", err, text)
	}
	return *document.Totals
}

// file is what a tree says of one file.
type file struct {
	sum     string
	modTime time.Time
}

// tree reads every file below docker/ in a registry's directory, but for
// unfinished uploads, which are not the registry's content.
func tree(t *testing.T, dir string) map[string]file {
	t.Helper()
	files := map[string]file{}
	root := filepath.Join(dir, "docker")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.Name() == "_uploads" {
			return fs.SkipDir
		}
		if d.IsDir() {
			return nil
		}
		sum, err := sumOf(path)
		info, infoErr := d.Info()
		if err := errors.Join(err, infoErr); err != nil {
			return err
		}
		files[path[len(root):]] = file{sum, info.ModTime()}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("%s holds no registry", dir)
	}
	return files
}

func sumOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// sameTrees compares names and bytes.
func sameTrees(t *testing.T, want, got map[string]file, otherwise string) {
	t.Helper()
	for name, f := range want {
		if g, ok := got[name]; !ok || g.sum != f.sum {
			t.Errorf("%s: %s: there %v, sum %s, want %s", otherwise, name, ok, g.sum, f.sum)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s: %s is more", otherwise, name)
		}
	}
}

// build makes the program, with the race detector if the test has it.
func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "regferry")
	args := []string{"build", "-o", program}
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		args = append(args, "-race")
	}
	if out, err := exec.CommandContext(t.Context(), "go", append(args, ".")...).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}
