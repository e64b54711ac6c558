package layout

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

func dg(s string) digest.Digest { return digest.FromString(s) }

// desc is a descriptor with more fields after it.
func desc(mediaType, of string, size int, more string) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d%s}`, mediaType, dg(of), size, more)
}

const (
	ociLayer     = v1.MediaTypeImageLayerGzip
	ociConfig    = v1.MediaTypeImageConfig
	dockerLayer  = "application/vnd.docker.image.rootfs.diff.tar.gzip"
	dockerConfig = "application/vnd.docker.container.image.v1+json"
	cacheConfig  = "application/vnd.buildkit.cacheconfig.v0"

	nonDistributable = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
)

var manifestCases = []struct {
	name, in  string
	mediaType string
	want      []Reference
}{
	{
		"docker schema 2",
		`{"schemaVersion":2,"mediaType":"` + DockerManifest + `","config":` + desc(dockerConfig, "c", 3, "") +
			`,"layers":[` + desc(dockerLayer, "a", 1, "") + `,` + desc(dockerLayer, "b", 2, "") + `,` + desc(dockerLayer, "a", 1, "") + `]}`,
		DockerManifest,
		[]Reference{
			{Digest: dg("c"), Size: 3, MediaType: dockerConfig},
			{Digest: dg("a"), Size: 1, MediaType: dockerLayer},
			{Digest: dg("b"), Size: 2, MediaType: dockerLayer},
		},
	},
	{
		"OCI image without a media type",
		`{"schemaVersion":2,"config":` + desc(ociConfig, "c", 3, "") + `,"layers":[` + desc(ociLayer, "a", 0, "") + `]}`,
		v1.MediaTypeImageManifest,
		[]Reference{{Digest: dg("c"), Size: 3, MediaType: ociConfig}, {Digest: dg("a"), MediaType: ociLayer}},
	},
	{
		"artifact as an image with a subject, an empty config and a manifest for a layer",
		`{"schemaVersion":2,"mediaType":"` + v1.MediaTypeImageManifest + `","artifactType":"x/y","config":` +
			desc(v1.MediaTypeEmptyJSON, "{}", 2, `,"data":"e30="`) + `,"layers":[` + desc(v1.MediaTypeImageManifest, "m", 9, "") + `],"subject":` +
			desc(DockerManifest, "s", 7, "") + `}`,
		v1.MediaTypeImageManifest,
		[]Reference{
			{Digest: dg("{}"), Size: 2, MediaType: v1.MediaTypeEmptyJSON},
			{Digest: dg("m"), Size: 9, MediaType: v1.MediaTypeImageManifest},
			{Digest: dg("s"), Size: 7, MediaType: DockerManifest, Role: Subject},
		},
	},
	{
		"foreign layers, by type and urls",
		`{"mediaType":"` + DockerManifest + `","layers":[` + desc(DockerForeign, "a", 1, `,"urls":["https://x/"]`) + `,` +
			desc(nonDistributable, "b", 1, "") + `,` + desc(nonDistributable, "f", 1, `,"urls":["https://x/"]`) + `,` +
			desc(DockerForeign, "g", 1, "") + `,` + desc("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", "h", 1, `,"urls":["https://x/"]`) + `,` +
			desc(ociLayer, "d", 1, `,"urls":["https://x/"]`) + `,` + desc(ociLayer, "e", 1, `,"urls":[]`) + `],"config":` +
			desc(ociConfig, "c", 1, `,"urls":["https://x/"]`) + `}`,
		DockerManifest,
		[]Reference{
			{Digest: dg("c"), Size: 1, MediaType: ociConfig},
			{Digest: dg("a"), Size: 1, MediaType: DockerForeign, Foreign: true},
			{Digest: dg("b"), Size: 1, MediaType: nonDistributable},
			{Digest: dg("f"), Size: 1, MediaType: nonDistributable, Foreign: true},
			{Digest: dg("g"), Size: 1, MediaType: DockerForeign},
			{Digest: dg("h"), Size: 1, MediaType: "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd"},
			{Digest: dg("d"), Size: 1, MediaType: ociLayer},
			{Digest: dg("e"), Size: 1, MediaType: ociLayer},
		},
	},
	{
		"manifest list",
		`{"schemaVersion":2,"mediaType":"` + DockerList + `","manifests":[` +
			desc(DockerManifest, "a", 1, `,"platform":{"architecture":"arm","os":"linux","variant":"v7"}`) + `,` +
			desc(DockerManifest, "a", 1, `,"platform":{"architecture":"amd64","os":"windows","os.version":"10"}`) + `,` +
			desc(DockerSigned1, "b", 1, `,"platform":{}`) + `]}`,
		DockerList,
		[]Reference{
			{Digest: dg("a"), Size: 1, MediaType: DockerManifest, Role: Child, Platform: "linux/arm/v7"},
			{Digest: dg("a"), Size: 1, MediaType: DockerManifest, Role: Child, Platform: "windows/amd64"},
			{Digest: dg("b"), Size: 1, MediaType: DockerSigned1, Role: Child},
		},
	},
	{
		"index of indexes, artifacts and the unknown, with a subject",
		`{"schemaVersion":2,"manifests":[` + desc(v1.MediaTypeImageIndex, "a", 1, "") + `,` + desc(OCIArtifact, "b", 1, "") + `,` +
			desc("x/unknown", "c", 1, "") + `,{"digest":"` + string(dg("d")) + `"}],"subject":` + desc("", "s", 1, "") + `}`,
		v1.MediaTypeImageIndex,
		[]Reference{
			{Digest: dg("a"), Size: 1, MediaType: v1.MediaTypeImageIndex, Role: Child},
			{Digest: dg("b"), Size: 1, MediaType: OCIArtifact, Role: Child},
			{Digest: dg("c"), Size: 1, MediaType: "x/unknown", Role: Either},
			{Digest: dg("d"), Size: -1, Role: Either},
			{Digest: dg("s"), Size: 1, Role: Subject},
		},
	},
	{
		"BuildKit cache",
		`{"schemaVersion":2,"mediaType":"` + v1.MediaTypeImageIndex + `","manifests":[` + desc(ociLayer, "a", 1, "") + `,` + desc(cacheConfig, "b", 2, "") + `]}`,
		v1.MediaTypeImageIndex,
		[]Reference{{Digest: dg("a"), Size: 1, MediaType: ociLayer}, {Digest: dg("b"), Size: 2, MediaType: cacheConfig}},
	},
	{
		"schema 1, signed",
		`{"schemaVersion":1,"name":"a","fsLayers":[{"blobSum":"` + string(dg("a")) + `"},{"blobSum":"` + string(dg("b")) + `"},{"blobSum":"` + string(dg("a")) + `"}],` +
			`"history":[{"v1Compatibility":"{\"id\":\"[[[\"}"}],"signatures":[{"header":{}}]}`,
		DockerSigned1,
		[]Reference{{Digest: dg("a"), Size: -1}, {Digest: dg("b"), Size: -1}},
	},
	{
		"schema 1, plain",
		`{"schemaVersion":1,"fsLayers":[{"blobSum":"` + string(dg("a")) + `"}]}`,
		DockerSchema1,
		[]Reference{{Digest: dg("a"), Size: -1}},
	},
	{
		"OCI artifact",
		`{"mediaType":"` + OCIArtifact + `","artifactType":"x/y","blobs":[` + desc("x/z", "a", 1, "") + `],"subject":` + desc(DockerManifest, "s", 1, "") + `}`,
		OCIArtifact,
		[]Reference{{Digest: dg("a"), Size: 1, MediaType: "x/z"}, {Digest: dg("s"), Size: 1, MediaType: DockerManifest, Role: Subject}},
	},
	{
		"unknown media type judged by shape",
		`{"mediaType":"x/y","manifests":[` + desc(DockerManifest, "a", 1, "") + `]}`,
		"x/y",
		[]Reference{{Digest: dg("a"), Size: 1, MediaType: DockerManifest, Role: Child}},
	},
	{"empty index", `{"schemaVersion":2,"mediaType":"` + v1.MediaTypeImageIndex + `","manifests":[]}`, v1.MediaTypeImageIndex, nil},
	{"index with a null list", `{"schemaVersion":2,"manifests":null}`, v1.MediaTypeImageIndex, nil},
	{"index with null config and layers", `{"manifests":[],"layers":null,"config":null}`, v1.MediaTypeImageIndex, nil},
	{"index with no list", `{"mediaType":"` + v1.MediaTypeImageIndex + `"}`, v1.MediaTypeImageIndex, nil},
	{
		"a media type decides over fields of later inventions",
		`{"mediaType":"` + v1.MediaTypeImageManifest + `","layers":[],"blobs":[7],"fsLayers":7}`, v1.MediaTypeImageManifest, nil,
	},
	{
		"of two fields with one name the last counts, in any case, and alone",
		`{"layers":[` + desc(ociLayer, "a", 1, `,"urls":["x"]`) + `],"Layers":[{"digest":"` + string(dg("b")) + `"}]}`,
		v1.MediaTypeImageManifest,
		[]Reference{{Digest: dg("b"), Size: -1}},
	},
	{"brackets in a string are no nesting", `{"layers":[],"x":"\"` + strings.Repeat("[", 70) + `\\"}`, v1.MediaTypeImageManifest, nil},
	{
		"sha512",
		`{"layers":[{"digest":"sha512:` + hexB + `","size":9}]}`, v1.MediaTypeImageManifest,
		[]Reference{{Digest: shaB, Size: 9}},
	},
}

func TestParseManifest(t *testing.T) {
	for _, c := range manifestCases {
		m, err := ParseManifest([]byte(c.in))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if m.MediaType != c.mediaType || !slices.Equal(m.References, c.want) {
			t.Errorf("%s: %s\n got %+v\nwant %+v", c.name, m.MediaType, m.References, c.want)
		}
	}
}

var badManifests = []struct{ name, in, says string }{
	{"empty", "", "empty"},
	{"blank", " \n", "unexpected end"},
	{"half", `{"layers":[`, "unexpected end"},
	{"two", `{"layers":[]}{}`, "after top-level value"},
	{"array", `[]`, "not a JSON object"},
	{"null", `null`, "not a JSON object"},
	{"binary", "\x1f\x8b\x08\x00", "not a JSON object"},
	{"BOM", "\xef\xbb\xbf{}", "not a JSON object"},
	{"nothing", `{}`, "neither layers"},
	{"a config blob", `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers"}}`, "neither layers"},
	{"mediaType of a number", `{"mediaType":3,"layers":[]}`, "mediaType"},
	{"layers an object", `{"layers":{}}`, "layers: not an array"},
	{"layers a string", `{"mediaType":"` + DockerManifest + `","layers":"x"}`, "layers: not an array"},
	{"layer a string", `{"layers":["x"]}`, "layers[0]: "},
	{"layer null", `{"layers":[null]}`, "layers[0].digest: empty"},
	{"config an array", `{"config":[],"layers":[]}`, "config: "},
	{"no digest", `{"layers":[` + desc("", "a", 1, "") + `,{}]}`, "layers[1].digest: empty"},
	{"path for a digest", `{"config":{"digest":"sha256:../../x"}}`, "config.digest"},
	{"upper case", `{"blobs":[{"digest":"sha256:` + strings.ToUpper(hexA) + `"}]}`, "blobs[0].digest: not lower-case hex"},
	{"bad blobSum", `{"fsLayers":[{"blobSum":"sha256:00"}]}`, "fsLayers[0].blobSum: 2 characters"},
	{"digest for a blobSum", `{"fsLayers":[{"digest":"sha256:` + hexA + `"}]}`, "fsLayers[0].blobSum: empty"},
	{"bad subject", `{"manifests":[],"subject":{"digest":"x"}}`, "subject.digest: no colon"},
	{"negative", `{"manifests":[` + desc("", "a", -1, "") + `]}`, "manifests[0].size: negative"},
	{"size of a fraction", `{"layers":[{"digest":"sha256:` + hexA + `","size":1.5}]}`, "size"},
	{"size too large", `{"layers":[{"digest":"sha256:` + hexA + `","size":9223372036854775808}]}`, "size"},
	{"both", `{"manifests":[],"layers":[]}`, "depending on who reads it"},
	{"both, says image", `{"mediaType":"` + DockerManifest + `","layers":[],"manifests":[]}`, "depending on who reads it"},
	{"both, says index", `{"mediaType":"` + v1.MediaTypeImageIndex + `","manifests":[],"config":{}}`, "depending on who reads it"},
	{"both, another case", `{"Manifests":[],"LAYERS":[]}`, "depending on who reads it"},
	{"image with manifests", `{"mediaType":"` + v1.MediaTypeImageManifest + `","manifests":[]}`, "depending on who reads it"},
	{"index with layers", `{"mediaType":"` + DockerList + `","layers":[]}`, "depending on who reads it"},
	{"schema 1 and 2", `{"fsLayers":[],"layers":[]}`, "more than one"},
	{"deep", `{"layers":[],"x":` + strings.Repeat("[", 70) + strings.Repeat("]", 70) + `}`, "deeper"},
	{"very deep", strings.Repeat(`{"a":`, 1<<20), "deeper"},
	{"large", `{"layers":[],"x":"` + strings.Repeat("x", MaxManifest) + `"}`, "bytes, more than"},
	{"many", `{"layers":[` + strings.Repeat(desc("", "a", 1, "")+",", MaxReferences) + desc("", "a", 1, "") + `]}`, "more than 65536 entries"},
}

func TestParseManifestRefuses(t *testing.T) {
	for _, c := range badManifests {
		m, err := ParseManifest([]byte(c.in))
		if !errors.Is(err, ErrManifest) || !reflect.DeepEqual(m, Manifest{}) {
			t.Errorf("%s: %+v, %v", c.name, m, err)
			continue
		}
		if !strings.Contains(err.Error(), c.says) || len(err.Error()) > 500 {
			t.Errorf("%s: %v\nwants %q", c.name, err, c.says)
		}
	}
}

func FuzzManifest(f *testing.F) {
	for _, c := range manifestCases {
		f.Add([]byte(c.in))
	}
	for _, c := range badManifests {
		if len(c.in) < 1000 {
			f.Add([]byte(c.in))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseManifest(b)
		if err != nil {
			if !errors.Is(err, ErrManifest) || m.References != nil {
				t.Fatalf("%+v, %v", m, err)
			}
			return
		}
		if m.MediaType == "" {
			t.Fatal("no media type")
		}
		seen := map[Reference]bool{}
		for _, r := range m.References {
			if k := Parse(BlobKey(r.Digest)); k.Kind != Blob && len(r.Digest) < 500 {
				t.Fatalf("%q names no blob", r.Digest)
			}
			if r.Size < -1 || r.Foreign && r.Role != Layer || seen[r] {
				t.Fatalf("%+v", r)
			}
			seen[r] = true
		}
	})
}
