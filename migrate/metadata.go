package migrate

import "github.com/regferry/regferry/verify"

// Metadata says where a registry keeps its tags and references.
type Metadata = verify.Metadata

// The places.
const (
	MetadataAuto     = verify.MetadataAuto
	MetadataStorage  = verify.MetadataStorage
	MetadataDatabase = verify.MetadataDatabase
)

// ParseMetadata reads the flag --metadata.
func ParseMetadata(s string) (Metadata, error) { return verify.ParseMetadata(s) }
