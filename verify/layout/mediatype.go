package layout

import (
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Media types that image-spec does not define.
const (
	DockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	DockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	DockerSchema1  = "application/vnd.docker.distribution.manifest.v1+json"
	DockerSigned1  = "application/vnd.docker.distribution.manifest.v1+prettyjws"
	DockerForeign  = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
	OCIArtifact    = "application/vnd.oci.artifact.manifest.v1+json" // of the image-spec 1.1 candidates, withdrawn
)

// shape is which fields of a manifest hold its references.
type shape uint8

const (
	noShape  shape = iota
	image          // config, layers
	index          // manifests
	schema1        // fsLayers
	artifact       // blobs
)

// shapeOf is noShape for a media type that is unknown or none.
func shapeOf(mediaType string) shape {
	switch mediaType {
	case DockerManifest, v1.MediaTypeImageManifest:
		return image
	case DockerList, v1.MediaTypeImageIndex:
		return index
	case DockerSchema1, DockerSigned1:
		return schema1
	case OCIArtifact:
		return artifact
	}
	return noShape
}

// The beginnings of the media types of blobs that were seen as entries of an
// index. BuildKit's registry cache is one, unless made with image-manifest=true.
var blobTypes = [...]string{
	"application/vnd.oci.image.layer.",
	"application/vnd.oci.image.config.",
	"application/vnd.docker.image.rootfs.",
	"application/vnd.docker.container.image.",
	"application/vnd.buildkit.cacheconfig.",
}

// entryRole is what an entry of an index is, by its media type.
func entryRole(mediaType string) Role {
	if shapeOf(mediaType) != noShape {
		return Child
	}
	for _, t := range blobTypes {
		if strings.HasPrefix(mediaType, t) {
			return Layer
		}
	}
	return Either
}

// isForeign says whether a layer with urls may live elsewhere, by its media
// type: for these alone registry 3 takes a manifest whose layer it has not
// (registry/storage/schema2manifesthandler.go and ocimanifesthandler.go).
// Registry 2.8 asked for no layer that had urls; clients of Docker ask the
// registry for all but these.
func isForeign(mediaType string) bool {
	switch mediaType {
	case DockerForeign, "application/vnd.oci.image.layer.nondistributable.v1.tar", "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip":
		return true
	}
	return false
}
