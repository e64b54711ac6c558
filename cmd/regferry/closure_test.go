package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// audit looks for tags of a registry's directory that cannot be pulled. It is
// brute force, shares nothing with what it judges, and knows sha256 alone.
//
// It may look while a migration writes: a tag's link is read first, and what
// that needs has to be there already.
type audit struct {
	root string // .../docker/registry/v2
	hash bool   // also prove each blob, once; else presence and size
	seen map[string]error
	tags int
}

// broken returns the reason for each broken tag, by repository:tag.
func (a *audit) broken(dir string) (map[string]error, error) {
	a.root, a.seen, a.tags = filepath.Join(dir, "docker/registry/v2"), map[string]error{}, 0
	found := map[string]error{}
	repositories := filepath.Join(a.root, "repositories")
	err := filepath.WalkDir(repositories, func(path string, d fs.DirEntry, err error) error {
		switch {
		case os.IsNotExist(err) && path == repositories:
			return nil
		case err != nil:
			return err
		case d.Name() == "_layers" || d.Name() == "_uploads" || d.Name() == "revisions":
			return fs.SkipDir
		case d.Name() != "tags" || filepath.Base(filepath.Dir(path)) != "_manifests":
			return nil
		}
		repository := filepath.Dir(filepath.Dir(path))
		tags, err := os.ReadDir(path)
		for _, tag := range tags {
			a.tags++
			if why := a.tag(repository, tag.Name()); why != nil {
				found[strings.TrimPrefix(repository, repositories+"/")+":"+tag.Name()] = why
			}
		}
		if err != nil {
			return err
		}
		return fs.SkipDir
	})
	return found, err
}

func (a *audit) tag(repository, tag string) error {
	link, err := os.ReadFile(filepath.Join(repository, "_manifests/tags", tag, "current/link"))
	if err != nil {
		return err
	}
	return a.manifest(repository, string(link))
}

// manifest judges a manifest and all it names. What is sound stays sound, so
// it is judged once a repository.
func (a *audit) manifest(repository, digest string) error {
	key := repository + " " + digest
	if err, ok := a.seen[key]; ok {
		return err
	}
	err := a.manifestNow(repository, digest)
	a.seen[key] = err
	return err
}

func (a *audit) manifestNow(repository, digest string) error {
	if err := a.link(repository, "_manifests/revisions", digest); err != nil {
		return err
	}
	data, err := os.ReadFile(a.blobPath(digest))
	if err != nil {
		return err
	}
	if sum := sha256.Sum256(data); "sha256:"+hex.EncodeToString(sum[:]) != digest {
		return fmt.Errorf("manifest %s has other content", digest)
	}
	var m struct {
		Config            *descriptor
		Layers, Manifests []descriptor
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return err
	}
	if m.Config != nil {
		m.Layers = append(m.Layers, *m.Config)
	}
	for _, l := range m.Layers {
		if err := a.link(repository, "_layers", l.Digest); err != nil {
			return err
		}
		if err := a.blob(l); err != nil {
			return err
		}
	}
	for _, child := range m.Manifests {
		if err := a.manifest(repository, child.Digest); err != nil {
			return err
		}
	}
	return nil
}

type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

func (a *audit) blob(d descriptor) error {
	if err, ok := a.seen[d.Digest]; ok {
		return err
	}
	info, err := os.Stat(a.blobPath(d.Digest))
	if err == nil && info.Size() != d.Size {
		err = fmt.Errorf("blob %s has %d bytes, not %d", d.Digest, info.Size(), d.Size)
	}
	if err == nil && a.hash {
		var sum string
		if sum, err = sumOf(a.blobPath(d.Digest)); err == nil && "sha256:"+sum != d.Digest {
			err = fmt.Errorf("blob %s has the content of %s", d.Digest, sum)
		}
	}
	a.seen[d.Digest] = err
	return err
}

func (a *audit) link(repository, kind, digest string) error {
	hex, ok := strings.CutPrefix(digest, "sha256:")
	if !ok || len(hex) != 64 {
		return fmt.Errorf("%q is no digest", digest)
	}
	path := filepath.Join(repository, kind, "sha256", hex, "link")
	link, err := os.ReadFile(path)
	if err == nil && string(link) != digest {
		err = fmt.Errorf("%s holds %q", path, link)
	}
	return err
}

func (a *audit) blobPath(digest string) string {
	hex := strings.TrimPrefix(digest, "sha256:")
	return filepath.Join(a.root, "blobs/sha256", hex[:2], hex, "data")
}
