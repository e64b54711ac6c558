package mirror

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify/layout"
)

// referenced takes out of the blobs those that anything at the destination
// refers to: links by name and by content, and manifests.
func (d *deletion) referenced(ctx context.Context) error {
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(max(1, d.Migrate.Workers))
	found := make(chan string)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for name := range found {
			delete(d.blobs, name)
		}
	}()
	note := func(name string) error {
		select {
		case found <- name:
			return nil
		case <-inner.Done():
			return context.Cause(inner)
		}
	}
	for _, prefix := range layout.Partitions() {
		g.Go(func() error { return d.referencedBelow(inner, prefix, note) })
	}
	err := g.Wait()
	close(found)
	<-done
	return backends.At(backends.Destination, err)
}

func (d *deletion) referencedBelow(ctx context.Context, prefix string, note func(string) error) error {
	for o, err := range backends.Ordered(d.dst.List(ctx, prefix, "")) {
		if err != nil {
			return err
		}
		k := layout.Parse(o.Key)
		switch k.Kind {
		case layout.Upload: // which may have found a blob to be there
			if err := d.strange("a push in progress", uploadOf(k), o.Key); err != nil {
				return err
			}
			continue
		case layout.LayerLink, layout.RevisionLink, layout.SignatureLink, layout.TagLink, layout.TagIndexLink:
		default:
			continue
		}
		if err := d.linkRefers(ctx, k, o, note); err != nil {
			return err
		}
	}
	return nil
}

// linkRefers reads a link whose content may not be its name, and the manifest
// of a revision.
func (d *deletion) linkRefers(ctx context.Context, k layout.Key, o backends.Object, note func(string) error) error {
	if k.Digest != "" {
		if err := note(string(k.Digest)); err != nil {
			return err
		}
	}
	if k.Kind == layout.SignatureLink {
		if err := note(string(k.Signature)); err != nil {
			return err
		}
	}
	if k.Kind == layout.TagLink || k.Kind == layout.LayerLink && !strings.HasPrefix(string(k.Digest), "sha256:") {
		data, err := readObject(ctx, d.dst, o.Key)
		if err != nil {
			return fmt.Errorf("what it refers to is not known: %w", err)
		}
		if named, err := layout.ParseLink(data); err == nil {
			if err := note(string(named)); err != nil {
				return err
			}
		}
	}
	if k.Kind != layout.RevisionLink {
		return nil
	}
	d.show.touch()
	refs, err := d.manifest(ctx, k.Digest)
	if err != nil {
		return err
	}
	for _, r := range refs {
		if err := note(string(r.Digest)); err != nil {
			return err
		}
	}
	return nil
}
