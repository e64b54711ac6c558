package verify

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/verify/layout"
)

// Image is a tag as an API knows it: what it names, wherever that is kept.
type Image struct {
	Repository, Tag string
	Digest          digest.Digest
}

// ParseImages reads the file of --tags: a line "repository:tag@sha256:..." for
// each tag. Empty lines, and those that begin with #, are left out. An error
// names the line. It keeps some 200 bytes for each tag.
func ParseImages(r io.Reader) ([]Image, error) {
	var all []Image
	s := bufio.NewScanner(r)
	for n := 1; s.Scan(); n++ {
		text := strings.TrimSpace(s.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		i, err := parseImage(text)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w; write repository:tag@sha256:..., for example team/app:1.0@sha256:%s", n, err, strings.Repeat("0123456789abcdef", 4))
		}
		all = append(all, i)
	}
	return all, s.Err()
}

func parseImage(text string) (Image, error) {
	name, sum, ok := strings.Cut(text, "@")
	if !ok {
		return Image{}, fmt.Errorf("there is no @ before a digest in %.100q", text)
	}
	d, err := layout.ParseLink([]byte(sum))
	if err != nil {
		return Image{}, err
	}
	colon := strings.LastIndexByte(name, ':')
	if colon < 0 {
		return Image{}, fmt.Errorf("there is no colon before a tag in %.100q", text)
	}
	i := Image{Repository: name[:colon], Tag: name[colon+1:], Digest: d}
	k := layout.Parse(layout.TagKey(i.Repository, i.Tag))
	if k.Kind != layout.TagLink || k.Repository != i.Repository || k.Tag != i.Tag {
		return Image{}, fmt.Errorf("%.100q is no repository and tag", name)
	}
	return i, nil
}
