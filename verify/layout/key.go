package layout

import "github.com/opencontainers/go-digest"

// Key is what a key of the store says. It is comparable.
type Key struct {
	Kind       Kind
	Repository string        // for everything below a repository's _layers, _manifests, _uploads or other _directory; else ""
	Tag        string        // TagLink, TagIndexLink
	Digest     digest.Digest // of the blob, or what the link is named for (not what it holds)
	Signature  digest.Digest // SignatureLink
	Path       string        // the whole key for Unknown, Upload, Junk, Outside; "" where the other fields say it
}

// String prints the key: Parse(s).String() == s for every s.
func (k Key) String() string {
	switch k.Kind {
	case Blob:
		return BlobKey(k.Digest)
	case LayerLink:
		return LayerKey(k.Repository, k.Digest)
	case RevisionLink:
		return RevisionKey(k.Repository, k.Digest)
	case SignatureLink:
		return SignatureKey(k.Repository, k.Digest, k.Signature)
	case TagLink:
		return TagKey(k.Repository, k.Tag)
	case TagIndexLink:
		return TagIndexKey(k.Repository, k.Tag, k.Digest)
	}
	return k.Path
}
