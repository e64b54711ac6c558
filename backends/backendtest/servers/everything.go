package servers

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

// PushEverything pushes one of each thing a registry may hold: a layer of big
// bytes, an empty layer, a multi-arch index, an image in a nested repository,
// many tags (at least four) in one repository, a tag that looks like a
// temporary file, an artifact with its referrers' tag, a foreign layer and an
// index of layers. It returns the number of all tags. What is in the repository
// "by/hand" does not pass crane validate: a layer of zero bytes is no gzip.
//
// Registry 2.8 on S3 gets no empty layer: it completes an upload of no parts,
// which S3 refuses.
func PushEverything(t testing.TB, s *RegistryServer, big int64, many int) (tags int) {
	t.Helper()
	pushImages(t, s, big)
	pushByHand(t, s)
	pushTags(t, s, many)
	return 6 + 4 + many
}

func pushImages(t testing.TB, s *RegistryServer, big int64) {
	t.Helper()
	dir := t.TempDir()
	base, large, empty := filepath.Join(dir, "base.tar"), filepath.Join(dir, "large.tar.gz"), filepath.Join(dir, "empty.tar")
	Tar(t, base, map[string]string{"etc/hello": "hello\n"})
	BigTar(t, large, big, 1)
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	app := s.Addr + "/app"
	for _, arch := range []string{"amd64", "arm64"} {
		layer := filepath.Join(dir, arch+".tar")
		Tar(t, layer, map[string]string{"bin/hello": "a program for " + arch})
		Crane(t, "append", "-f", base, "-f", layer, "-t", app+":"+arch)
		Crane(t, "mutate", app+":"+arch, "--set-platform", "linux/"+arch, "-t", app+":"+arch)
	}
	Crane(t, "index", "append", "-m", app+":amd64", "-m", app+":arm64", "-t", app+":multi")
	Crane(t, "append", "-f", base, "-f", large, "-t", s.Addr+"/big:latest")
	Crane(t, "append", "--oci-empty-base", "-f", empty, "-t", s.Addr+"/empty:latest")
	Crane(t, "copy", app+":multi", s.Addr+"/team/web/front/app:v1.tmp")
}

// pushByHand pushes an image with a layer of zero bytes and a foreign layer, an
// artifact that has it as its subject, and an index of layers, as BuildKit's
// cache is.
func pushByHand(t testing.TB, s *RegistryServer) {
	t.Helper()
	const repository = "by/hand"
	ctx := t.Context()
	blob := func(content, mediaType string) v1.Descriptor {
		d, err := s.PutBlob(ctx, repository, []byte(content))
		if err != nil {
			t.Fatal(err)
		}
		d.MediaType = mediaType
		return d
	}
	manifest := func(d v1.Descriptor, err error) v1.Descriptor {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	foreign := v1.Descriptor{
		MediaType: "application/vnd.oci.image.layer.nondistributable.v1.tar",
		Digest:    digest.FromString("elsewhere"), Size: 9, URLs: []string{"http://127.0.0.1:1/layer"},
	}
	zero := ""
	if s.refusesEmpty {
		zero = "not empty"
	}
	image := manifest(s.PutImage(ctx, repository, "zero", "", nil, blob(zero, v1.MediaTypeImageLayer), foreign))
	note := blob("a note about the image", "text/plain")
	artifact := manifest(s.PutImage(ctx, repository, "note", "text/x-note", &image, note))
	manifest(s.PutIndex(ctx, repository, "sha256-"+image.Digest.Encoded(), artifact))
	manifest(s.PutIndex(ctx, repository, "cache", blob("a cached layer", "application/vnd.buildkit.cacheconfig.v0")))
}

// pushTags gives n tags to four images. One tag is moved, so that its index
// has two entries.
func pushTags(t testing.TB, s *RegistryServer, n int) {
	t.Helper()
	dir, repository := t.TempDir(), s.Addr+"/many"
	for i := range 4 {
		layer := filepath.Join(dir, fmt.Sprintf("%d.tar", i))
		Tar(t, layer, map[string]string{"version": fmt.Sprint(i)})
		Crane(t, "append", "-f", layer, "-t", fmt.Sprintf("%s:t%03d", repository, i))
	}
	Crane(t, "tag", repository+":t003", "t002")
	var g errgroup.Group
	g.SetLimit(4)
	for i := 4; i < n; i++ {
		g.Go(func() error {
			_, err := crane(t, "tag", fmt.Sprintf("%s:t%03d", repository, i%4), fmt.Sprintf("t%03d", i))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}
