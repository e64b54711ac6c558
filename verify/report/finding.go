package report

import "github.com/opencontainers/go-digest"

// Kind is one word of the vocabulary of findings. The words are stable: scripts
// match them.
type Kind string

// The vocabulary.
const (
	Missing        Kind = "missing"              // a blob or manifest that something refers to is not there
	SizeDiffers    Kind = "size-differs"         // both sides have it, with different sizes
	ContentCorrupt Kind = "content-corrupt"      // the bytes are not those that the digest names
	LinkMalformed  Kind = "link-malformed"       // a link that holds no digest, or that of something else
	LinkDangling   Kind = "link-dangling"        // a link to a blob that is not there
	TagIncomplete  Kind = "tag-incomplete"       // a pull of the tag would fail
	RevIncomplete  Kind = "revision-incomplete"  // a pull of the manifest by digest would fail
	TagDiffers     Kind = "tag-differs"          // both sides have the tag, and it names different manifests
	Extra          Kind = "extra-at-destination" // a tag, link or blob that the source does not have
	Unreferenced   Kind = "unreferenced"         // a blob that nothing in the storage refers to
	UnknownObject  Kind = "unknown"              // below the registry's root, and nothing a registry writes
	Skipped        Kind = "skipped"              // an upload in progress or what a killed registry left
	Unproved       Kind = "unproved"             // by an algorithm that cannot be computed here, or not to be read
)

// Side says whose damage a finding is.
type Side string

// The sides.
const (
	Source      Side = "source"
	Transfer    Side = "transfer"
	Destination Side = "destination"
)

// Severity orders findings for people.
type Severity string

// The severities.
const (
	Notice  Severity = "notice"  // worth knowing, nothing to do
	Warning Severity = "warning" // something is not as it should be, no pull fails
	Damage  Severity = "damage"  // a pull fails
)

// Finding is one thing found about one object, tag or revision.
type Finding struct {
	Kind       Kind            `json:"kind"`
	Side       Side            `json:"side"`
	Severity   Severity        `json:"severity"`
	Key        string          `json:"key,omitempty"`
	Repository string          `json:"repository,omitempty"`
	Tag        string          `json:"tag,omitempty"`
	Digest     digest.Digest   `json:"digest,omitempty"`
	Expected   string          `json:"expected,omitempty"`
	Found      string          `json:"found,omitempty"`
	Chain      []digest.Digest `json:"chain,omitempty"` // from the tag's manifest to what is missing
	Advice     string          `json:"advice,omitempty"`
}

// Failure is one object that could not be transferred in this pass.
type Failure struct {
	Side    string `json:"side"`
	Op      string `json:"op"`
	Key     string `json:"key"`
	Class   string `json:"class"`
	Message string `json:"message"`
}

// Repository is what a pass did for one repository.
type Repository struct {
	Name      string `json:"name"`
	Objects   int64  `json:"objects,omitempty"` // below its directory, at the side that was audited
	Bytes     int64  `json:"bytes,omitempty"`   // of the blobs that it links, each once
	Tags      int    `json:"tags"`              // at the source
	Revisions int    `json:"revisions"`         // at the source
	Layers    int    `json:"layers"`            // layer links at the source
	Proved    int    `json:"proved"`            // revisions whose closure was proved at the destination
	Written   int    `json:"written"`           // links written
	Broken    int    `json:"broken"`            // tags that are broken at the source
	Held      int    `json:"held"`              // tags kept back because something they need failed to transfer
	Unsettled int    `json:"unsettled"`         // tags that moved faster than they could be copied
}
