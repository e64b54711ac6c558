package layout

import "fmt"

// Kind is what a key is in the registry's tree.
type Kind uint8

// The kinds.
const (
	Unknown       Kind = iota // below Root, nothing we know: carried byte for byte
	Blob                      // blobs/.../data
	LayerLink                 // a blob this repository may serve
	RevisionLink              // a manifest this repository may serve
	SignatureLink             // of a schema 1 manifest, by a very old registry
	TagIndexLink              // a revision that a tag has, or had
	TagLink                   // current/link: the revision of a tag
	Upload                    // below a repository's _uploads
	Junk                      // folder markers, .nfs*, temporary files of a killed registry
	Outside                   // not below Root
)

var kindNames = [...]string{
	"unknown", "blob", "layer link", "revision link", "signature link",
	"tag index link", "tag link", "upload", "junk", "outside",
}

// String names the kind in plain English: "blob", "layer link".
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Skipped says whether keys of this kind are left where they are: an
// unfinished upload belongs to the process that began it, junk to nobody.
func (k Kind) Skipped() bool { return k == Upload || k == Junk }

// Order is the place of a kind in the order of writing, from 0. A kind needs
// only kinds of a lower order, or, among revisions, of its own (an index needs
// its children).
//
// Unknown comes before the tags, because a tag may need it in a way we do not
// know. What is not below Root, or skipped, comes last: nothing needs it.
func (k Kind) Order() int {
	switch k {
	case Blob:
		return 0
	case LayerLink:
		return 1
	case RevisionLink, SignatureLink:
		return 2
	case Unknown:
		return 3
	case TagLink:
		return 4
	case TagIndexLink:
		return 5
	}
	return 6
}
