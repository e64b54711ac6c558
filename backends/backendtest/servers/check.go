package servers

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

// Broken is a tag that the registry shows and that cannot be pulled.
type Broken struct {
	Repository, Tag string
	Why             error
}

func (b Broken) String() string { return fmt.Sprintf("%s:%s: %v", b.Repository, b.Tag, b.Why) }

// Stats counts what a check did.
type Stats struct {
	Repositories, Tags int
	Manifests          int64 // read, once for each repository they are in
	Blobs              int64 // bodies read and proved, once each
	Bytes              int64 // of those
	Asked              int64 // blobs asked for by HEAD, once for each repository
	Foreign            int64 // layers that are elsewhere, not fetched
}

// Checker pulls every tag a registry shows, as a client would.
type Checker struct {
	Client
	HeadAbove int64 // blobs of more bytes are asked for but not read; 0 means all are read
	Workers   int   // tags looked at at a time; 0 means 8
}

// CheckAll is Checker.All with every blob read.
func CheckAll(ctx context.Context, baseURL string) ([]Broken, Stats, error) {
	return Checker{Client: Client{URL: baseURL}}.All(ctx)
}

// All reads the catalog, the tags of each repository and the closure of each
// tag: every manifest is read and its digest proved, every config and layer is
// asked for in the repository it is used in, and each distinct blob is read
// and proved once. It returns every tag that cannot be pulled, with the first
// reason found, sorted. The error is for a registry that cannot be listed.
//
// Memory grows with the number of distinct manifests and blobs.
func (c Checker) All(ctx context.Context) ([]Broken, Stats, error) {
	run := check{Checker: c}
	repositories, err := c.Repositories(ctx)
	if err != nil {
		return nil, run.Stats, err
	}
	run.Repositories = len(repositories)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex
	var broken []Broken
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(cmp.Or(c.Workers, 8))
	for _, repository := range repositories {
		tags, err := c.Tags(ctx, repository)
		var status *StatusError
		if errors.As(err, &status) && status.Status == http.StatusNotFound {
			continue // revisions without tags: the registry knows no list of them
		}
		if err != nil {
			cancel()
			return nil, run.Stats, errors.Join(err, g.Wait())
		}
		run.Tags += len(tags)
		for _, tag := range tags {
			g.Go(func() error {
				why := run.manifest(ctx, repository, tag)
				if ctx.Err() != nil {
					return ctx.Err()
				}
				if why != nil {
					mu.Lock()
					defer mu.Unlock()
					broken = append(broken, Broken{repository, tag, why})
				}
				return nil
			})
		}
	}
	err = g.Wait()
	slices.SortFunc(broken, func(a, b Broken) int {
		return cmp.Or(strings.Compare(a.Repository, b.Repository), strings.Compare(a.Tag, b.Tag))
	})
	return broken, run.Stats, err
}

// check is one run of All. Its maps remember what was asked already.
type check struct {
	Checker
	Stats
	manifests, asked, read once
}

// manifest pulls a manifest by tag or digest, and all it references.
func (c *check) manifest(ctx context.Context, repository, reference string) error {
	body, d, err := c.Manifest(ctx, repository, reference)
	if err != nil {
		return err
	}
	return c.manifests.do(repository+"@"+d.Digest.String(), func() error {
		atomic.AddInt64(&c.Stats.Manifests, 1)
		return c.references(ctx, repository, body)
	})
}

// references pulls what a manifest names. The kinds are told apart by shape: an
// index lists manifests, but a BuildKit cache index lists layers.
func (c *check) references(ctx context.Context, repository string, body []byte) error {
	var m struct {
		Manifests, Layers, Blobs []v1.Descriptor
		Config                   *v1.Descriptor
		FSLayers                 []struct{ BlobSum digest.Digest }
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return err
	}
	blobs := append(m.Layers, m.Blobs...)
	if m.Config != nil {
		blobs = append(blobs, *m.Config)
	}
	for _, l := range m.FSLayers {
		blobs = append(blobs, v1.Descriptor{Digest: l.BlobSum, Size: -1})
	}
	for _, child := range m.Manifests {
		if !strings.Contains(accept, child.MediaType) {
			blobs = append(blobs, child)
			continue
		}
		if err := c.manifest(ctx, repository, child.Digest.String()); err != nil {
			return fmt.Errorf("manifest %s: %w", child.Digest, err)
		}
	}
	for _, blob := range blobs {
		if err := c.blob(ctx, repository, blob); err != nil {
			return fmt.Errorf("blob %s: %w", blob.Digest, err)
		}
	}
	return nil
}

// blob asks for a blob in its repository, where a layer link lets it be seen,
// and reads it unless that was done, in this or another repository.
func (c *check) blob(ctx context.Context, repository string, d v1.Descriptor) error {
	if len(d.URLs) > 0 {
		atomic.AddInt64(&c.Foreign, 1)
		return nil
	}
	if err := d.Digest.Validate(); err != nil {
		return err
	}
	path := "/v2/" + repository + "/blobs/" + d.Digest.String()
	err := c.asked.do(repository+"@"+d.Digest.String(), func() error {
		atomic.AddInt64(&c.Asked, 1)
		resp, err := c.do(ctx, http.MethodHead, path, "", nil, http.StatusOK)
		if err != nil {
			return err
		}
		return checkSize(d.Size, resp.ContentLength, resp.Body.Close())
	})
	if err != nil || (c.HeadAbove > 0 && d.Size > c.HeadAbove) {
		return err
	}
	return c.read.do(d.Digest.String(), func() error {
		resp, err := c.do(ctx, http.MethodGet, path, "", nil, http.StatusOK)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		verifier := d.Digest.Verifier()
		n, err := io.Copy(verifier, resp.Body)
		if err := checkSize(d.Size, n, err); err != nil {
			return err
		}
		if !verifier.Verified() {
			return errors.New("its content has another digest")
		}
		atomic.AddInt64(&c.Blobs, 1)
		atomic.AddInt64(&c.Bytes, n)
		return nil
	})
}

func checkSize(want, got int64, err error) error {
	if err == nil && want >= 0 && got != want {
		return fmt.Errorf("%d bytes, its manifest says %d", got, want)
	}
	return err
}

// once runs a function once for each key; others who ask meanwhile wait for
// its result. Digests cannot form a circle, so no two wait for each other.
type once struct{ m sync.Map }

func (o *once) do(key string, f func() error) error {
	result, _ := o.m.LoadOrStore(key, sync.OnceValue(f))
	return result.(func() error)()
}
