package layout

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// The limits of a manifest. A registry accepts 4 MiB
// (registry/handlers/manifests.go, maxManifestBodySize).
const (
	MaxManifest   = 16 << 20 // bytes
	MaxReferences = 1 << 16
	MaxDepth      = 64 // of nested objects and arrays
)

// ErrManifest is what every error of ParseManifest is.
var ErrManifest = errors.New("not a manifest")

// Manifest is what a manifest needs.
type Manifest struct {
	MediaType  string      // as it says, or as its shape does if it says none
	References []Reference // in the order of the document, none twice
}

// Reference is something that a manifest names.
type Reference struct {
	Digest    digest.Digest
	Size      int64 // bytes; -1 where the manifest does not say (schema 1)
	MediaType string
	Role      Role
	Foreign   bool   // a layer that may be absent: clients fetch it from its urls
	Platform  string // os/architecture[/variant] of a child, "" if none is given
}

// Role is how a registry finds what a reference names.
type Role uint8

// The roles.
const (
	Layer   Role = iota // a config, layer or other blob: needs a layer link in the repository
	Child               // a manifest: needs a revision link in the repository
	Either              // an entry of an index of unknown media type: a child if the repository has that revision, else a blob
	Subject             // the manifest that this one is about; may be absent
)

// String names the role: "layer", "child", "either", "subject".
func (r Role) String() string {
	switch r {
	case Layer:
		return "layer"
	case Child:
		return "child"
	case Either:
		return "either"
	case Subject:
		return "subject"
	}
	return fmt.Sprintf("role %d", uint8(r))
}

// document holds the fields of all shapes. Each is kept raw, so that of two
// fields with one name the last is taken alone: json would merge them.
type document struct {
	MediaType  string          `json:"mediaType"`
	Config     json.RawMessage `json:"config"`
	Layers     json.RawMessage `json:"layers"`
	Manifests  json.RawMessage `json:"manifests"`
	FSLayers   json.RawMessage `json:"fsLayers"`
	Blobs      json.RawMessage `json:"blobs"`
	Subject    json.RawMessage `json:"subject"`
	Signatures json.RawMessage `json:"signatures"`
}

// ParseManifest reads a Docker schema 2 manifest or list, an OCI image
// manifest, index or artifact, or a schema 1 manifest, signed or not.
//
// A media type that is known says which fields count: manifests, or config and
// layers, or fsLayers, or blobs. With any other, or none, it is the one that
// the document has. Names of fields are matched, and of two with one name the last
// is taken, as the registry does; both are what encoding/json does.
//
// A document with both manifests and layers or config is refused whatever
// its media type: an old client reads one, a new one the other, and only half of it
// would have been verified (CVE-2021-41190). Registry 3 refuses to serve these, but for
// Docker's schema 2, where containerd refuses in its place.
//
// It refuses what names anything unusable: a bad digest, a negative size.
// The error names the field. It does not look at schemaVersion: an artifact
// has none.
func ParseManifest(data []byte) (Manifest, error) {
	m, err := parseManifest(data)
	if err != nil {
		return Manifest{}, fmt.Errorf("%w: %w", ErrManifest, err)
	}
	return m, nil
}

func parseManifest(data []byte) (Manifest, error) {
	if len(data) > MaxManifest {
		return Manifest{}, fmt.Errorf("%d bytes, more than %d", len(data), MaxManifest)
	}
	if len(data) == 0 {
		return Manifest{}, errors.New("empty")
	}
	if deeper(data, MaxDepth) {
		return Manifest{}, fmt.Errorf("nested deeper than %d", MaxDepth)
	}
	if b := bytes.TrimLeft(data, " \t\r\n"); len(b) > 0 && b[0] != '{' {
		return Manifest{}, fmt.Errorf("not a JSON object: %s", quote(string(data)))
	}
	var doc document
	if err := json.Unmarshal(data, &doc); err != nil {
		return Manifest{}, err
	}
	s, err := doc.shape()
	if err != nil {
		return Manifest{}, err
	}
	var r references
	switch s {
	case image:
		r.one("config", doc.Config, Layer)
		r.list("layers", doc.Layers, image)
	case index:
		r.list("manifests", doc.Manifests, index)
	case schema1:
		r.list("fsLayers", doc.FSLayers, schema1)
	case artifact:
		r.list("blobs", doc.Blobs, artifact)
	}
	if s != schema1 {
		r.one("subject", doc.Subject, Subject)
	}
	if doc.MediaType == "" {
		doc.MediaType = doc.implied(s)
	}
	return Manifest{MediaType: doc.MediaType, References: r.all}, r.err
}

// shape says which fields count.
func (d *document) shape() (shape, error) {
	isImage := has(d.Layers) || has(d.Config)
	known := shapeOf(d.MediaType)
	if has(d.Manifests) && (isImage || known == image) || known == index && isImage {
		return noShape, errors.New("both manifests and layers or config: an index or an image, depending on who reads it")
	}
	if known != noShape {
		return known, nil
	}
	found, n := noShape, 0
	for _, c := range []struct {
		shape shape
		has   bool
	}{{image, isImage}, {index, has(d.Manifests)}, {schema1, has(d.FSLayers)}, {artifact, has(d.Blobs)}} {
		if c.has {
			found, n = c.shape, n+1
		}
	}
	switch {
	case n == 1:
		return found, nil
	case n > 1:
		return noShape, errors.New("more than one of layers, manifests, fsLayers and blobs, and no media type that decides")
	case d.Manifests != nil:
		return index, nil // null: an empty list, as some write it
	case d.Layers != nil:
		return image, nil
	case d.FSLayers != nil:
		return schema1, nil
	case d.Blobs != nil:
		return artifact, nil
	}
	return noShape, errors.New("has neither layers, manifests, fsLayers nor blobs")
}

func (d *document) implied(s shape) string {
	switch {
	case s == image:
		return v1.MediaTypeImageManifest
	case s == index:
		return v1.MediaTypeImageIndex
	case s == artifact:
		return OCIArtifact
	case has(d.Signatures):
		return DockerSigned1
	}
	return DockerSchema1
}

func has(field json.RawMessage) bool { return field != nil && string(field) != "null" }

// deeper says whether data nests more than most deep. It counts brackets
// outside strings, which is exact for what turns out to be JSON.
func deeper(data []byte, most int) bool {
	depth, quoted := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > most {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}
