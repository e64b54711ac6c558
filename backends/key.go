package backends

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// CheckKey refuses names that one service keeps and that mean another object,
// or none, elsewhere: a gateway to a file system takes "a//b" and "a/./b" for
// "a/b", proxies clean paths, and XML cannot hold control characters. No
// registry has such keys. The longest one has most bytes.
func CheckKey(key string, most int) error {
	switch {
	case len(key) > most:
		return Refuse(Unsupported, fmt.Sprintf("a key has at most %d bytes", most))
	case !utf8.ValidString(key):
		return Refuse(Unsupported, "a key is UTF-8")
	case strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return Refuse(Unsupported, "a control character is in the key")
	}
	for name := range strings.SplitSeq(key, "/") {
		if name == "" || name == "." || name == ".." {
			return Refuse(Unsupported, "an empty name, . or .. is in the key")
		}
	}
	return nil
}
