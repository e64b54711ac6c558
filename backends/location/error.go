package location

import (
	"fmt"
	"slices"
	"strings"
)

// Error says what is wrong with a location, and shows a right one.
type Error struct {
	Location string
	Err      error
}

// Error quotes the location, without what may be a secret in it.
func (e *Error) Error() string {
	if _, isFile := configFile(e.Location); isFile {
		return fmt.Sprintf("location %q: %v", e.Location, e.Err)
	}
	example := "write a directory such as /var/lib/registry or file:///mnt/nfs/registry?uid=1000&gid=1000"
	scheme, _, _ := strings.Cut(e.Location, ":")
	if s, ok := schemes[scheme]; ok {
		example = s.example
	}
	return fmt.Sprintf("location %q: %v; %s", Redacted(e.Location), e.Err, example)
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Redacted is a location to be shown: it leaves out user names, passwords and the values of all options but
// those that are known not to be secret. One that cannot be parsed is cut
// where any of these may begin.
func Redacted(raw string) string {
	scheme, rest, isURL := strings.Cut(raw, "://")
	if meant, slip := meantURL(raw); slip { // what is in it is no less secret
		scheme, rest, _ := strings.Cut(raw, ":")
		slashes := rest[:len(rest)-len(strings.TrimLeft(rest, "/"))]
		_, shown, _ := strings.Cut(Redacted(meant), "://")
		return scheme + ":" + slashes + strings.TrimLeft(shown, "/")
	}
	if !isURL {
		return raw
	}
	head, query, hasQuery := strings.Cut(rest, "?")
	if at := strings.LastIndexByte(head, '@'); at >= 0 {
		head = "..." + head[at:]
	}
	out := scheme + "://" + head
	if !hasQuery {
		return out
	}
	options := strings.Split(query, "&")
	for i, o := range options {
		name, value, _ := strings.Cut(o, "=")
		if !harmless(scheme, name) || strings.ContainsAny(value, "@?") || strings.Contains(strings.ToLower(value), "%40") || strings.Contains(strings.ToLower(value), "%3f") {
			options[i] = name + "=..."
		}
	}
	return out + "?" + strings.Join(options, "&")
}

func harmless(scheme, name string) bool {
	if s, ok := schemes[scheme]; ok {
		return slices.Contains(s.options(), name)
	}
	return slices.Contains(fileOptions, name)
}
