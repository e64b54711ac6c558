package layout

import (
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"
)

// ErrLink is what every error of ParseLink is.
var ErrLink = errors.New("not a link")

// ParseLink reads the content of a link: exactly algorithm, colon, hex. The
// registry accepts nothing around it either, and one bad link stops its
// garbage collection (distribution issue 1960), so there is no mercy for a
// newline. The error quotes what was found.
//
// Registries before 3.1 truncate a link before they write it, so that a crash
// leaves it empty: that is the commonest damage.
func ParseLink(content []byte) (digest.Digest, error) {
	if len(content) == 0 {
		return "", fmt.Errorf("%w: empty", ErrLink)
	}
	if err := checkDigest(string(content[:min(len(content), maxKey)])); err != nil || len(content) > maxKey {
		if err == nil {
			err = errors.New("too long")
		}
		return "", fmt.Errorf("%w: %w: %s", ErrLink, err, quote(string(content)))
	}
	return digest.Digest(content), nil
}
