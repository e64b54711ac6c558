package servers

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// versions runs f against each registry, on a directory of its own.
func versions(t *testing.T, f func(t *testing.T, dir string, s *RegistryServer)) {
	for _, v := range []Version{Version3, Version2} {
		t.Run(string(v), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			f(t, dir, Registry(t, v, dir))
		})
	}
}

// TestEverything pushes every shape that is tested elsewhere and pulls it back.
func TestEverything(t *testing.T) {
	versions(t, func(t *testing.T, dir string, s *RegistryServer) {
		tags := PushEverything(t, s, 1<<20, 8)
		broken, stats, err := CheckAll(t.Context(), s.URL)
		if err != nil || len(broken) > 0 {
			t.Fatalf("broken %v, error %v", broken, err)
		}
		if stats.Repositories != 6 || stats.Tags != tags || stats.Foreign != 1 || stats.Bytes < 1<<20 || stats.Asked <= stats.Blobs {
			t.Errorf("%+v, want %d tags", stats, tags)
		}
		Crane(t, "validate", "--remote", s.Addr+"/team/web/front/app:v1.tmp")
		Crane(t, "validate", "--remote", s.Addr+"/empty:latest")
	})
}

// TestBroken damages the tree in every way that makes a tag unpullable.
func TestBroken(t *testing.T) {
	versions(t, func(t *testing.T, dir string, s *RegistryServer) {
		ctx := t.Context()
		tree := filepath.Join(dir, "docker/registry/v2")
		type made struct{ image, layer v1.Descriptor }
		images := map[string]made{}
		tags := []string{"flipped", "fine", "no-blob", "no-layer-link", "no-link", "no-manifest", "short"}
		for _, tag := range tags {
			layer := must(s.PutBlob(ctx, "a/b", []byte("layer of "+tag)))
			images[tag] = made{must(s.PutImage(ctx, "a/b", tag, "", nil, layer)), layer}
		}
		blob := func(d v1.Descriptor) string {
			return filepath.Join(tree, "blobs/sha256", d.Digest.Encoded()[:2], d.Digest.Encoded(), "data")
		}
		for _, err := range []error{
			os.WriteFile(blob(images["flipped"].layer), []byte("layer of FLIPPED"), 0o600),
			os.Remove(blob(images["no-blob"].layer)),
			os.Remove(filepath.Join(tree, "repositories/a/b/_layers/sha256", images["no-layer-link"].layer.Digest.Encoded(), "link")),
			os.Remove(filepath.Join(tree, "repositories/a/b/_manifests/tags/no-link/current/link")),
			os.Remove(blob(images["no-manifest"].image)),
			os.Truncate(blob(images["short"].layer), 3),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		broken, stats, err := CheckAll(ctx, s.URL)
		if err != nil || stats.Tags != len(tags) {
			t.Fatalf("%+v, error %v", stats, err)
		}
		var got []string
		for _, b := range broken {
			got = append(got, b.Tag)
		}
		want := "flipped no-blob no-layer-link no-link no-manifest short"
		if strings.Join(got, " ") != want {
			t.Errorf("broken %v, want %s", broken, want)
		}
		unread, _, err := Checker{Client: s.Client, HeadAbove: 1}.All(ctx)
		if err != nil || len(unread) != 5 {
			t.Errorf("without reading: %v, error %v; want all but the flipped one", unread, err)
		}
	})
}

// TestPages has more tags and repositories than one page holds.
func TestPages(t *testing.T) {
	versions(t, func(t *testing.T, dir string, s *RegistryServer) {
		ctx := t.Context()
		image := must(s.PutImage(ctx, "many", "t", "", nil))
		manifests := filepath.Join(dir, "docker/registry/v2/repositories/many/_manifests")
		for i := range 1100 {
			link := filepath.Join(manifests, "tags", "t"+hex.EncodeToString([]byte{byte(i >> 8), byte(i)}), "current")
			other := filepath.Join(dir, "docker/registry/v2/repositories/r", hex.EncodeToString([]byte{byte(i >> 8), byte(i)}))
			if err := os.MkdirAll(link, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(link, "link"), []byte(image.Digest), 0o600); err != nil {
				t.Fatal(err)
			}
			// A repository is in the catalog of 2.8 for its _layers, in that of v3
			// for its _manifests.
			for _, d := range []string{"_layers", "_manifests"} {
				if err := os.MkdirAll(filepath.Join(other, d), 0o755); err != nil {
					t.Fatal(err)
				}
			}
		}
		broken, stats, err := CheckAll(ctx, s.URL)
		if err != nil || len(broken) != 0 || stats.Tags != 1101 || stats.Repositories != 1101 {
			t.Fatalf("%d broken, %+v, error %v", len(broken), stats, err)
		}
	})
}

// TestStop leaves nothing that answers, and a second registry can take over.
func TestStop(t *testing.T) {
	versions(t, func(t *testing.T, dir string, s *RegistryServer) {
		must(s.PutImage(t.Context(), "a", "t", "", nil))
		start := time.Now()
		s.Stop()
		s.Stop()
		if took := time.Since(start); took > 4*time.Second {
			t.Errorf("stopping took %v", took)
		}
		if _, _, err := CheckAll(t.Context(), s.URL); err == nil {
			t.Error("it answers after Stop")
		}
		again := Registry(t, Version3, dir)
		if _, stats, err := CheckAll(t.Context(), again.URL); err != nil || stats.Tags != 1 {
			t.Errorf("%+v, %v", stats, err)
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
