package layouttest

import (
	"fmt"
	"math"
)

// Shape is what a registry shall have. The zero Shape makes nothing.
type Shape struct {
	Seed         uint64
	Repositories int
	Tags         int     // images with a tag, per repository
	Layers       int     // per image, beside the config
	MinLayer     int64   // bytes; 0 means 100
	MaxLayer     int64   // bytes; 0 means 4,000; sizes are log-uniform
	Shared       float64 // share of layers taken from earlier images, 0 to 1
	Indexes      int     // multi-arch tags per repository, of two images each
	Artifacts    int     // per repository, each with a subject; listed under referrers tags
	Nested       bool    // repositories inside others and two levels deep
	EmptyLayer   bool    // a layer of 0 bytes in the first image
	SHA512       bool    // a blob under blobs/sha512 in the first image
	Alias        bool    // a layer in the first image named by sha512 and stored under its sha256, as a registry does
}

// Small is a shape with a bit of everything, about 200 objects and 70 KB.
func Small(seed uint64) Shape {
	return Shape{
		Seed: seed, Repositories: 3, Tags: 3, Layers: 3, Shared: 0.3, Indexes: 1, Artifacts: 1,
		Nested: true, EmptyLayer: true, SHA512: true, Alias: true,
	}
}

func (s Shape) checked() (Shape, error) {
	if s.MinLayer == 0 {
		s.MinLayer = 100
	}
	if s.MaxLayer == 0 {
		s.MaxLayer = max(4000, s.MinLayer)
	}
	if s.Repositories < 0 || s.Tags < 0 || s.Layers < 0 || s.Indexes < 0 || s.Artifacts < 0 {
		return s, fmt.Errorf("shape %+v: a negative count", s)
	}
	if s.MinLayer < 0 || s.MaxLayer < s.MinLayer {
		return s, fmt.Errorf("shape %+v: layers of %d to %d bytes", s, s.MinLayer, s.MaxLayer)
	}
	if s.Shared < 0 || s.Shared > 1 || math.IsNaN(s.Shared) {
		return s, fmt.Errorf("shape %+v: a share of %v", s, s.Shared)
	}
	return s, nil
}

// The first letters differ so that each partition of a listing gets some.
var words = [...]string{
	"alpine", "busybox", "caddy", "debian", "envoy", "fluentd", "golang", "haproxy", "influxdb", "jenkins",
	"kong", "logstash", "mariadb", "nginx", "opensuse", "postgres", "qdrant", "redis", "sonarqube", "traefik",
	"ubuntu", "vault", "wordpress", "xwiki", "yourls", "zookeeper", "7zip", "3proxy",
}

// repositoryName gives each i a name of its own. With nesting, of each three the second is
// inside the first, and the third two levels deep.
func repositoryName(i int, nested bool) string {
	name := fmt.Sprintf("%s-%d", words[i%len(words)], i)
	switch {
	case nested && i%3 == 1:
		return repositoryName(i-1, nested) + "/" + name
	case nested && i%3 == 2:
		return "org/team_" + string(rune('a'+i%26)) + "/" + name
	}
	return name
}

// tagName includes names that were taken for something else before.
func tagName(i int) string {
	switch i {
	case 0:
		return "latest"
	case 1:
		return "v1.tmp"
	case 2:
		return "1.0"
	}
	return fmt.Sprintf("1.0.%d", i)
}
