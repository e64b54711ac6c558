package s3

import (
	"strings"
	"unicode/utf8"

	"github.com/regferry/regferry/backends"
)

// checkKey refuses names that are legal on AWS and mean another object, or
// none, elsewhere: a gateway to a file system takes "a//b" and "a/./b" for
// "a/b", proxies clean paths, and XML cannot hold control characters.
// No registry has such keys.
func checkKey(key string) error {
	switch {
	case len(key) > maxKey:
		return &refusal{backends.Unsupported, "a key has at most 1024 bytes"}
	case !utf8.ValidString(key):
		return &refusal{backends.Unsupported, "a key is UTF-8"}
	case strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return &refusal{backends.Unsupported, "a control character is in the key"}
	}
	for name := range strings.SplitSeq(key, "/") {
		if name == "" || name == "." || name == ".." {
			return &refusal{backends.Unsupported, "an empty name, . or .. is in the key"}
		}
	}
	return nil
}
