package verify

import "fmt"

// Metadata says where a registry keeps its tags and references. In a database
// (MSR, GitLab with its metadata database, Harbor from 2.15 on) the storage
// does not know them all: a migration is as complete, but the storage alone
// cannot prove that each tag can be pulled.
type Metadata string

// The places.
const (
	MetadataAuto     Metadata = "auto" // judged from what the storage holds
	MetadataStorage  Metadata = "storage"
	MetadataDatabase Metadata = "database"
)

// ParseMetadata reads the flag --metadata.
func ParseMetadata(s string) (Metadata, error) {
	switch m := Metadata(s); m {
	case MetadataAuto, MetadataStorage, MetadataDatabase:
		return m, nil
	}
	return "", fmt.Errorf("--metadata %q: say storage, database or auto, for example --metadata database for MSR", s)
}

// fewTags is the number of revisions a tag from which on auto takes the tags
// to be elsewhere. A pipeline that pushes one moving tag leaves hundreds.
const fewTags = 1000

// Database decides for a storage that holds so many of each.
func (m Metadata) Database(blobs, revisions, tags int64) bool {
	switch m {
	case MetadataStorage:
		return false
	case MetadataDatabase:
		return true
	}
	return blobs > 0 && (revisions == 0 || tags*fewTags < revisions)
}
