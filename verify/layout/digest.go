package layout

import (
	// go-digest computes what is linked in and panics on what is not. A digest
	// that this package calls good can be computed wherever it is used.
	_ "crypto/sha256"
	_ "crypto/sha512"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
)

// minHex is the shortest digest we take from an algorithm we do not know, and
// one more than the longest component of an algorithm's name.
const minHex = 32

// DigestOf returns the digest that the bytes under key must have: that in the
// key of a blob, "" and false for any other key. A link's name is no digest of
// its bytes.
func DigestOf(key string) (digest.Digest, bool) {
	k := Parse(key)
	if k.Kind != Blob {
		return "", false
	}
	return k.Digest, true
}

// splitDigest works on any string; go-digest's own accessors panic on a digest
// without a colon.
func splitDigest(d digest.Digest) (alg, hex string) {
	alg, hex, _ = strings.Cut(string(d), ":")
	return alg, hex
}

// checkDigest says what is wrong with a digest, without quoting it.
func checkDigest(s string) error {
	if s == "" {
		return fmt.Errorf("empty")
	}
	alg, hex, ok := strings.Cut(s, ":")
	if !ok {
		return fmt.Errorf("no colon")
	}
	if !validAlgorithm(alg) {
		return fmt.Errorf("bad algorithm")
	}
	if want := hexLen(alg); want != 0 && len(hex) != want {
		return fmt.Errorf("%d characters after %s:, not %d", len(hex), alg, want)
	}
	if len(hex) < minHex {
		return fmt.Errorf("only %d characters of digest", len(hex))
	}
	if !isHex(hex) {
		return fmt.Errorf("not lower-case hex")
	}
	return nil
}

// hexLen is 0 for an algorithm we cannot compute.
func hexLen(alg string) int {
	switch alg {
	case "sha256":
		return 64
	case "sha384":
		return 96
	case "sha512":
		return 128
	}
	return 0
}

// validAlgorithm follows the OCI grammar: runs of lower-case letters and
// digits with one of "+", ".", "_", "-" between two. It refuses what could be
// taken for something else in a path: a component as long as a digest, or one
// after the first that looks like a shard (a copy of blobs/sha256/5b into
// itself is no new algorithm).
func validAlgorithm(alg string) bool {
	start := 0  // of the path component
	sep := true // whether a letter or digit must come
	for i := range len(alg) {
		switch c := alg[i]; {
		case 'a' <= c && c <= 'z' || '0' <= c && c <= '9':
			sep = false
		case sep:
			return false
		case c == '+' || c == '.':
			if !validAlgorithmPart(alg, start, i) {
				return false
			}
			start, sep = i+1, true
		case c == '_' || c == '-':
			sep = true
		default:
			return false
		}
	}
	return !sep && validAlgorithmPart(alg, start, len(alg))
}

func validAlgorithmPart(alg string, start, end int) bool {
	n := end - start
	return n < minHex && (start == 0 || n != 2 || !isHex(alg[start:end]))
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; !('0' <= c && c <= '9' || 'a' <= c && c <= 'f') {
			return false
		}
	}
	return s != ""
}

// quote shows what came from a store: quoted, ASCII, at most 80 bytes of it.
func quote(s string) string {
	const most = 80
	if len(s) <= most {
		return fmt.Sprintf("%+q", s)
	}
	return fmt.Sprintf("%+q and %d bytes more", s[:most], len(s)-most)
}
