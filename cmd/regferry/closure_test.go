//go:build linux

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
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
	view
	hash bool // also prove each blob; else presence and size
	seen map[string]error
	tags int
}

// view is one look at a registry, below docker/registry/v2.
type view interface {
	// each calls f with each tag, as repository:tag, and its link, which was
	// read before anything is looked at that f asks for. Where there is no link,
	// it is empty.
	each(f func(tag, link string)) error
	size(key string) (int64, error)
	holds(key, content string) error
	copyTo(w io.Writer, key string) error
}

// broken returns the reason for each broken tag of a directory, by
// repository:tag.
func (a *audit) broken(dir string) (map[string]error, error) {
	return a.look(&dirView{root: filepath.Join(dir, "docker/registry/v2")})
}

func (a *audit) look(v view) (map[string]error, error) {
	a.view, a.seen, a.tags = v, map[string]error{}, 0
	found := map[string]error{}
	err := v.each(func(tag, link string) {
		a.tags++
		repository, _, _ := strings.Cut(tag, ":")
		if why := a.manifest("repositories/"+repository, link); why != nil {
			found[tag] = why
		}
	})
	return found, err
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
	var data bytes.Buffer
	if err := a.copyTo(&data, blobKey(digest)); err != nil {
		return err
	}
	if sum := sha256.Sum256(data.Bytes()); "sha256:"+hex.EncodeToString(sum[:]) != digest {
		return fmt.Errorf("manifest %s has other content", digest)
	}
	var m struct {
		Config            *descriptor
		Layers, Manifests []descriptor
	}
	if err := json.Unmarshal(data.Bytes(), &m); err != nil {
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
	size, err := a.size(blobKey(d.Digest))
	if err == nil && size != d.Size {
		err = fmt.Errorf("blob %s has %d bytes, not %d", d.Digest, size, d.Size)
	}
	if err == nil && a.hash {
		h := sha256.New()
		err = a.copyTo(h, blobKey(d.Digest))
		if sum := hex.EncodeToString(h.Sum(nil)); err == nil && "sha256:"+sum != d.Digest {
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
	return a.holds(repository+"/"+kind+"/sha256/"+hex+"/link", digest)
}

func blobKey(digest string) string {
	hex := strings.TrimPrefix(digest, "sha256:")
	return "blobs/sha256/" + hex[:2] + "/" + hex + "/data"
}

// dirView is a directory, read as it is.
type dirView struct{ root string }

func (v *dirView) each(f func(tag, link string)) error {
	repositories := filepath.Join(v.root, "repositories")
	return filepath.WalkDir(repositories, func(path string, d fs.DirEntry, err error) error {
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
		repository := strings.TrimPrefix(filepath.Dir(filepath.Dir(path)), repositories+"/")
		tags, err := os.ReadDir(path)
		for _, tag := range tags {
			link, _ := os.ReadFile(filepath.Join(path, tag.Name(), "current/link"))
			f(repository+":"+tag.Name(), string(link))
		}
		if err != nil {
			return err
		}
		return fs.SkipDir
	})
}

func (v *dirView) size(key string) (int64, error) {
	info, err := os.Stat(filepath.Join(v.root, key))
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (v *dirView) holds(key, content string) error {
	b, err := os.ReadFile(filepath.Join(v.root, key))
	if err == nil && string(b) != content {
		err = fmt.Errorf("%s holds %q", key, b)
	}
	return err
}

func (v *dirView) copyTo(w io.Writer, key string) error {
	f, err := os.Open(filepath.Join(v.root, key))
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}
