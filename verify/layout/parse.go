package layout

import (
	"strings"

	"github.com/opencontainers/go-digest"
)

// maxKey is the longest name an object store takes (S3, GCS and Azure: 1024).
// A longer one, on a file system, is Unknown.
const maxKey = 1024

// Parse says what a key is. It never fails: what it does not know is Unknown
// or Outside.
func Parse(key string) Key {
	rest, below := strings.CutPrefix(key, Root)
	if !below {
		return Key{Kind: Outside, Path: key}
	}
	kept := Key{Kind: Unknown, Path: key}
	if strings.HasPrefix(rest, "repositories/") {
		return parseRepository(kept, rest[len("repositories/"):])
	}
	if isJunk(rest) {
		kept.Kind = Junk
		return kept
	}
	blob, ok := strings.CutPrefix(rest, "blobs/")
	if !ok || len(key) > maxKey {
		return kept
	}
	dir, ok := strings.CutSuffix(blob, "/data")
	if !ok {
		return kept
	}
	dir, hex, ok := cutLast(dir)
	if !ok || len(hex) < minHex {
		return kept
	}
	alg, ok := strings.CutSuffix(dir, "/"+hex[:2])
	if !ok {
		return kept
	}
	d, ok := pathDigest(alg, hex)
	if !ok {
		return kept
	}
	return Key{Kind: Blob, Digest: d}
}

// parseRepository parses what follows repositories/. kept is what it returns,
// with kind and repository filled in, for a key that is kept as it is.
func parseRepository(kept Key, rest string) Key {
	repo, sub, ok := cutRepository(rest)
	if ok {
		kept.Repository = repo
	}
	if isJunk(rest) {
		kept.Kind = Junk
		return kept
	}
	if !ok {
		return kept
	}
	if strings.HasPrefix(sub, uploadsDir) {
		kept.Kind = Upload
		return kept
	}
	if len(kept.Path) > maxKey {
		return kept
	}
	k, ok := parseLinkKey(sub)
	if !ok {
		return kept
	}
	k.Repository = repo
	return k
}

// parseLinkKey parses what follows the repository's name.
func parseLinkKey(sub string) (Key, bool) {
	sub, ok := strings.CutSuffix(sub, link)
	if !ok {
		return Key{}, false
	}
	if s, ok := strings.CutPrefix(sub, layersDir); ok {
		d, ok := lastDigest(s)
		return Key{Kind: LayerLink, Digest: d}, ok
	}
	if s, ok := strings.CutPrefix(sub, revisionsDir); ok {
		return parseRevision(s)
	}
	s, ok := strings.CutPrefix(sub, tagsDir)
	if !ok {
		return Key{}, false
	}
	tag, s, ok := strings.Cut(s, "/")
	if !ok || !validTag(tag) {
		return Key{}, false
	}
	if s == "current" {
		return Key{Kind: TagLink, Tag: tag}, true
	}
	s, ok = strings.CutPrefix(s, "index/")
	if !ok {
		return Key{}, false
	}
	d, ok := lastDigest(s)
	return Key{Kind: TagIndexLink, Tag: tag, Digest: d}, ok
}

// parseRevision tries each place where the signatures could begin, because an
// algorithm may bear that name as well.
func parseRevision(s string) (Key, bool) {
	if d, ok := lastDigest(s); ok {
		return Key{Kind: RevisionLink, Digest: d}, true
	}
	for i := 0; ; i++ {
		j := strings.Index(s[i:], signatures)
		if j < 0 {
			return Key{}, false
		}
		i += j
		d, ok := lastDigest(s[:i])
		if !ok {
			continue
		}
		if g, ok := lastDigest(s[i+len(signatures):]); ok {
			return Key{Kind: SignatureLink, Digest: d, Signature: g}, true
		}
	}
}

// lastDigest parses <alg>/<hex>, where alg may have several components.
func lastDigest(s string) (digest.Digest, bool) {
	alg, hex, ok := cutLast(s)
	if !ok {
		return "", false
	}
	return pathDigest(alg, hex)
}

// pathDigest puts a digest together from path components, if it is one that
// would be printed as these.
func pathDigest(alg, hex string) (digest.Digest, bool) {
	if strings.ContainsAny(alg, "+.") {
		return "", false // would print as "/"
	}
	s := strings.ReplaceAll(alg, "/", "+") + ":" + hex
	if checkDigest(s) != nil {
		return "", false
	}
	return digest.Digest(s), true
}

// cutRepository cuts a key below repositories/ before the first component that
// begins with "_".
func cutRepository(s string) (repo, sub string, ok bool) {
	for i := 0; i < len(s); {
		if s[i] == '_' {
			return s[:max(i-1, 0)], s[i:], i > 0
		}
		n := strings.IndexByte(s[i:], '/')
		if n < 0 || !validComponent(s[i:i+n]) {
			return "", "", false
		}
		i += n + 1
	}
	return "", "", false
}

func validComponent(s string) bool {
	if s == "" || !isAlnum(s[0]) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isAlnum(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// validTag is the registry's grammar of a tag: [\w][\w.-]{0,127}.
func validTag(s string) bool {
	if s == "" || len(s) > 128 {
		return false
	}
	return s[0] == '_' && (len(s) == 1 || validComponent("0"+s[1:])) || validComponent(s)
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func cutLast(s string) (dir, last string, ok bool) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+1:], true
}

// isJunk judges the last component only: a tag's directory may have any of
// these names but the markers'.
//
//   - "" (the key ends in "/"): a folder marker, made by a bucket's console
//   - .nfs*: a file that was removed on NFS while somebody had it open
//   - <name>.<uuid>.tmp: what registry 3.1 writes before it renames
//     (registry/storage/driver/filesystem/driver.go), left by a kill
func isJunk(key string) bool {
	_, last, _ := cutLast(key)
	if last == "" || strings.HasPrefix(last, ".nfs") {
		return true
	}
	s, ok := strings.CutSuffix(last, ".tmp")
	if !ok {
		return false
	}
	name, id, _ := strings.Cut(s, ".")
	return (name == "link" || name == "data" || name == "startedat") && isUUID(id)
}

func isUUID(s string) bool {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return false
	}
	return isHex(s[:8] + s[9:13] + s[14:18] + s[19:23] + s[24:])
}
