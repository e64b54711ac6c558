package mirror

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/verify"
	"github.com/regferry/regferry/verify/layout"
)

// needed is what stays in a repository of the destination needs there.
type needed struct{ revisions, layers map[digest.Digest]bool }

// needs finds out what of gone something needs that stays: what a tag names, and
// what a revision names that stays.
func (d *deletion) needs(ctx context.Context, name string, gone []absence) (needed, error) {
	n := needed{make(map[digest.Digest]bool), make(map[digest.Digest]bool)}
	going := make(map[digest.Digest]bool)
	for _, a := range gone {
		if k := layout.Parse(a.Key); k.Kind == layout.RevisionLink {
			going[k.Digest] = true
		}
	}
	keep, err := d.staying(ctx, name, going)
	if err != nil {
		return n, err
	}
	for len(keep) > 0 {
		last := keep[len(keep)-1]
		keep = keep[:len(keep)-1]
		if n.revisions[last] {
			continue
		}
		n.revisions[last] = true
		refs, err := d.manifest(ctx, last)
		if err != nil {
			return n, err
		}
		for _, r := range refs {
			n.layers[r.Digest] = true
			if going[r.Digest] { // a child that the source has lost, of an index that it has
				keep = append(keep, r.Digest)
			}
		}
	}
	return n, nil
}

// staying are the revisions of a repository that are not going, and those that
// a tag names.
func (d *deletion) staying(ctx context.Context, name string, going map[digest.Digest]bool) (keep []digest.Digest, err error) {
	for o, err := range backends.Ordered(d.dst.List(ctx, layout.RepositoryPrefix(name)+"_", "")) {
		if err != nil {
			return nil, backends.At(backends.Destination, err)
		}
		k := layout.Parse(o.Key)
		switch {
		case k.Kind == layout.RevisionLink && !going[k.Digest]:
			keep = append(keep, k.Digest)
		case k.Kind == layout.TagLink:
			data, err := readObject(ctx, d.dst, o.Key)
			if err != nil {
				return nil, backends.At(backends.Destination, err)
			}
			if named, err := layout.ParseLink(data); err == nil {
				keep = append(keep, named)
			}
		}
	}
	return keep, nil
}

// manifest returns what the manifest d of the destination refers to. One that
// is not there, or is none, refers to nothing that could be pulled.
func (d *deletion) manifest(ctx context.Context, m digest.Digest) ([]layout.Reference, error) {
	b, err := d.dst.Open(ctx, layout.BlobKey(m), 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, backends.At(backends.Destination, err)
	}
	data, err := io.ReadAll(io.LimitReader(b, verify.MaxManifest+1))
	if err = errors.Join(err, b.Close()); err != nil {
		return nil, backends.At(backends.Destination, err)
	}
	parsed, err := layout.ParseManifest(data)
	if err != nil {
		return nil, nil //nolint:nilerror // see above
	}
	return parsed.References, nil
}
