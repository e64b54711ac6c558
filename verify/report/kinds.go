package report

import "slices"

// kinds is the vocabulary from the gravest to the least, with a name for
// people and one sentence on what it means.
var kinds = []struct {
	Kind    Kind
	Title   string
	Meaning string
}{
	{ContentCorrupt, "Corrupt content", "The bytes are not those that the digest in the name stands for."},
	{Missing, "Missing", "A blob or manifest that something refers to is not there."},
	{TagIncomplete, "Incomplete tags", "A pull of the tag fails: something it needs is missing or damaged."},
	{TagDiffers, "Tags that differ", "Both sides have the tag, and it names different manifests."},
	{SizeDiffers, "Sizes that differ", "Both sides have the object, with different sizes."},
	{RevIncomplete, "Incomplete manifests", "A pull of the manifest by its digest fails."},
	{LinkMalformed, "Malformed links", "A link holds no digest, or that of something else, so what it stood for cannot be found through it."},
	{LinkDangling, "Dangling links", "A link names a blob that is not there. A registry's own garbage collection leaves such layer links; they harm nothing."},
	{Extra, "Only at the destination", "The destination has a tag, link or blob that the source does not have."},
	{Unproved, "Not proved", "The content could not be checked, by its digest's algorithm or because it may not be read."},
	{UnknownObject, "Unknown objects", "Below the registry's root, and nothing that a registry writes."},
	{Unreferenced, "Unreferenced", "Nothing in the storage refers to the blob. It takes room and harms nothing."},
	{Skipped, "Skipped", "An upload in progress, or what a killed registry left behind."},
}

// rank orders kinds as in the vocabulary; a word it does not have comes last.
func rank(k Kind) int {
	for i, v := range kinds {
		if v.Kind == k {
			return i
		}
	}
	return len(kinds)
}

// severities from the gravest to the least.
var severities = []Severity{Damage, Warning, Notice}

func gravity(s Severity) int {
	if i := slices.Index(severities, s); i >= 0 {
		return i
	}
	return len(severities)
}
