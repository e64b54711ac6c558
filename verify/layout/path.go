package layout

import (
	"strings"

	"github.com/opencontainers/go-digest"
)

// Root is where the tree begins. Keys have no leading slash.
const Root = "docker/registry/v2/"

const (
	blobsRoot        = Root + "blobs/"
	repositoriesRoot = Root + "repositories/"

	layersDir    = "_layers/"
	revisionsDir = "_manifests/revisions/"
	tagsDir      = "_manifests/tags/"
	uploadsDir   = "_uploads/"
	signatures   = "/signatures/"
	link         = "/link"
	currentLink  = "/current/link"
	indexDir     = "/index/"
)

// BlobKey returns where the registry keeps the bytes of a blob.
//
// Like all functions here that make a key, it expects valid arguments (a
// digest from ParseLink, Parse or ParseManifest; a name from Parse) and
// does not check them; other arguments give a key that Parse calls Unknown.
func BlobKey(d digest.Digest) string {
	alg, hex := splitDigest(d)
	return blobsRoot + algPath(alg) + "/" + hex[:min(2, len(hex))] + "/" + hex + "/data"
}

// LayerKey returns the link that lets a repository serve a layer or config.
func LayerKey(repo string, d digest.Digest) string {
	return LayersPrefix(repo) + digestPath(d) + link
}

// RevisionKey returns the link that lets a repository serve a manifest.
func RevisionKey(repo string, d digest.Digest) string {
	return RevisionsPrefix(repo) + digestPath(d) + link
}

// SignatureKey returns the link from a schema 1 revision to a signature.
func SignatureKey(repo string, revision, signature digest.Digest) string {
	return RevisionsPrefix(repo) + digestPath(revision) + signatures + digestPath(signature) + link
}

// TagKey returns the link from a tag to its revision.
func TagKey(repo, tag string) string { return TagsPrefix(repo) + tag + currentLink }

// TagIndexKey returns the link that remembers that a tag had a revision.
func TagIndexKey(repo, tag string, d digest.Digest) string {
	return TagsPrefix(repo) + tag + indexDir + digestPath(d) + link
}

// RepositoryPrefix is where all keys of a repository begin, and those of the
// repositories nested in it.
func RepositoryPrefix(repo string) string { return repositoriesRoot + repo + "/" }

// TagsPrefix is where all tag links and tag index links of a repository begin.
func TagsPrefix(repo string) string { return RepositoryPrefix(repo) + tagsDir }

// RevisionsPrefix is where all revision links of a repository begin.
func RevisionsPrefix(repo string) string { return RepositoryPrefix(repo) + revisionsDir }

// LayersPrefix is where all layer links of a repository begin.
func LayersPrefix(repo string) string { return RepositoryPrefix(repo) + layersDir }

// UploadsPrefix is where all unfinished uploads of a repository begin.
func UploadsPrefix(repo string) string { return RepositoryPrefix(repo) + uploadsDir }

func digestPath(d digest.Digest) string {
	alg, hex := splitDigest(d)
	return algPath(alg) + "/" + hex
}

// algPath does what the registry's blobAlgorithmReplacer does
// (registry/storage/paths.go).
func algPath(alg string) string {
	if !strings.ContainsAny(alg, "+.;") {
		return alg
	}
	return strings.NewReplacer("+", "/", ".", "/", ";", "/").Replace(alg)
}
