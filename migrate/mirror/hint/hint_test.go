package hint

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/opencontainers/go-digest"
)

const (
	v1      = "application/vnd.docker.distribution.events.v1+json"
	v2      = "application/vnd.docker.distribution.events.v2+json"
	plain   = "application/json"
	limit   = 1 << 20
	shaA    = digest.Digest("sha256:fea8895f450959fa676bcc1df0611ea93823a735a01205fd8622846041d0c7cf")
	shaB    = digest.Digest("sha256:b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c")
	tagPush = `{
  "events": [{
    "id": "320678d8-ca14-430f-8bb6-4ca139cd83f7",
    "timestamp": "2016-03-09T14:44:26.402973972-08:00",
    "action": "push",
    "target": {
      "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
      "size": 708,
      "digest": "sha256:fea8895f450959fa676bcc1df0611ea93823a735a01205fd8622846041d0c7cf",
      "length": 708,
      "repository": "team/hello-world",
      "url": "http://192.168.100.227:5000/v2/hello-world/manifests/sha256:fea8895f450959fa676bcc1df0611ea93823a735a01205fd8622846041d0c7cf",
      "tag": "latest",
      "references": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "digest": "sha256:b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c"}]
    },
    "request": {"id": "6df24a34-0959-4923-81ca-14f09767db19", "addr": "192.168.64.11:42961", "host": "192.168.100.227:5000", "method": "PUT", "useragent": "curl/7.38.0"},
    "actor": {"name": "builder"},
    "source": {"addr": "xtal.local:5000", "instanceID": "a53db899-3b4b-4a62-a067-8dd013beaca4"}
  }]
}`
	msrPush = `{
  "type": "TAG_PUSH",
  "createdAt": "2019-05-15T19:39:40.607337713Z",
  "contents": {
    "namespace": "foo", "repository": "bar", "tag": "latest",
    "digest": "sha256:b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c",
    "imageName": "foo/bar:latest", "os": "linux", "architecture": "amd64", "author": "", "pushedAt": "2015-01-02T15:04:05Z"
  },
  "location": "/repositories/foo/bar/tags/latest"
}`
)

func event1(action, target string) string {
	return `{"action":"` + action + `","target":{` + target + `}}`
}

func batch(events ...string) string { return `{"events":[` + strings.Join(events, ",") + `]}` }

func webhook(typ, contents string) string {
	return `{"type":"` + typ + `","createdAt":"2019-05-15T19:39:40Z","contents":` + contents + `}`
}

func TestParse(t *testing.T) {
	pushed := Hint{"team/hello-world", "latest", shaA, Push}
	for _, c := range []struct {
		name, contentType, body string
		want                    []Hint
	}{
		{"registry 2.x", v1, tagPush, []Hint{pushed}},
		{"registry 3.x", v2, tagPush, []Hint{pushed}},
		{"plain", plain, tagPush, []Hint{pushed}},
		{"parameters", v1 + "; charset=utf-8", tagPush, []Hint{pushed}},
		{"case", "Application/JSON;charset=UTF-8", tagPush, []Hint{pushed}},
		{"a bad parameter", plain + "; charset", tagPush, []Hint{pushed}},
		{"a blob", v2, batch(event1(Push, `"repository":"a","digest":"`+string(shaB)+`"`)), []Hint{{"a", "", shaB, Push}}},
		{"a mount", v2, batch(event1(Mount, `"repository":"a","fromRepository":"b","digest":"`+string(shaB)+`"`)), []Hint{{"a", "", shaB, Mount}}},
		{"a tag deleted", v2, batch(event1(Delete, `"repository":"a/b","tag":"v1"`)), []Hint{{"a/b", "v1", "", Delete}}},
		{"a repository deleted", v2, batch(event1(Delete, `"repository":"a/b"`)), []Hint{{"a/b", "", "", Delete}}},
		{"a pull", v2, batch(event1("pull", `"repository":"a"`)), nil},
		{"an action to come", v2, batch(event1("sign", `"repository":"../a"`)), nil},
		{"none", v2, batch(), nil},
		{"batched, repeated, mixed", v2, batch(
			event1(Push, `"repository":"b"`), event1("pull", `"repository":"b"`), event1(Push, `"repository":"a"`), event1(Push, `"repository":"b"`),
		), []Hint{{"b", "", "", Push}, {"a", "", "", Push}}},
		{"capitals, which a proxy's names have", v2, batch(event1(Push, `"repository":"Host.example/a__b-c"`)), []Hint{{"Host.example/a__b-c", "", "", Push}}},
		{"the longest name", v2, batch(event1(Push, `"repository":"`+strings.Repeat("a", 255)+`"`)), []Hint{{strings.Repeat("a", 255), "", "", Push}}},

		{"MSR", plain, msrPush, []Hint{{"foo/bar", "latest", shaB, Push}}},
		{"MSR, a tag deleted", plain, webhook("TAG_DELETE", `{"namespace":"foo","repository":"bar","tag":"v1"}`), []Hint{{"foo/bar", "v1", "", Delete}}},
		{"MSR, a manifest", plain, webhook("MANIFEST_PUSH", `{"namespace":"foo","repository":"bar","digest":"`+string(shaA)+`"}`), []Hint{{"foo/bar", "", shaA, Push}}},
		{"MSR, a manifest deleted", plain, webhook("MANIFEST_DELETE", `{"namespace":"foo","repository":"bar","digest":"`+string(shaA)+`"}`), []Hint{{"foo/bar", "", shaA, Delete}}},
		{"MSR, the whole name in one", plain, webhook("POLL_MIRRORING", `{"repository":"foo/bar"}`), []Hint{{"foo/bar", "", "", Push}}},
		{"MSR, a promotion", plain, webhook("PROMOTION", `{"namespace":"foo","repository":"bar","tag":"x"}`), []Hint{{"foo/bar", "x", "", Push}}},
		{"MSR, a promotion that names nothing", plain, webhook("PROMOTION", `{}`), nil},
		{"MSR, mirroring that names half", plain, webhook("PUSH_MIRRORING", `{"repository":"bar"}`), nil},
		{"MSR, a pull", plain, webhook("TAG_PULL", `{"namespace":"foo","repository":"bar"}`), nil},
		{"MSR, a scan", plain, webhook("SCAN_COMPLETED", `{"namespace":"foo","repository":"bar"}`), nil},
		{"MSR, a repository", plain, webhook("REPO_CREATED", `null`), nil},
		{"MSR, a type to come", plain, webhook("CHART_PUSH", `["?"]`), nil},
	} {
		got, err := Parse(c.contentType, strings.NewReader(c.body), limit)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v; want %v", c.name, got, err, c.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	bad := func(repository string) string {
		name, err := json.Marshal(repository)
		if err != nil {
			t.Fatal(err)
		}
		return batch(event1(Push, `"repository":"a"`), event1(Push, `"repository":`+string(name)))
	}
	const place = "events[1].target.repository: "
	for _, c := range []struct {
		name, contentType, body string
		is                      error
		says                    string
	}{
		{"no type", "", tagPush, ErrType, "application/json"},
		{"a form", "application/x-www-form-urlencoded", tagPush, ErrType, `"application/x-www-form-urlencoded"`},
		{"a manifest", "application/vnd.docker.distribution.manifest.v2+json", tagPush, ErrType, "manifest.v2"},
		{"too large", v1, tagPush + strings.Repeat(" ", limit), ErrTooLarge, "more than 1048576 bytes"},
		{"too many", v1, batch(slices.Repeat([]string{"{}"}, MaxEvents+1)...), ErrTooLarge, "more than 10000 events"},
		{"empty", v1, "", nil, "not what a registry sends"},
		{"cut short", v1, tagPush[:300], nil, "not what a registry sends"},
		{"two", v1, tagPush + tagPush, nil, "not what a registry sends"},
		{"an array", v1, "[]", nil, "not what a registry sends"},
		{"something else", plain, `{"a":1}`, nil, "neither"},
		{"null", plain, `null`, nil, "neither"},
		{"MSR's under the registry's type", v1, msrPush, nil, "neither"},
		{"events of another type", v1, `{"events":{}}`, nil, "events: it is not an array"},
		{"an event of another type", v1, batch(`{}`, `1`), nil, "events[1]: "},
		{"a target of another type", v1, batch(`{"action":"push","target":"a"}`), nil, "events[0]: "},
		{"no repository", v1, batch(event1(Push, ``)), nil, "events[0].target.repository: "},
		{"climbs", v1, bad("../../etc"), nil, place + `"../../etc" is not the name of a repository`},
		{"climbs later", v1, bad("a/../b"), nil, place},
		{"absolute", v1, bad("/a"), nil, place},
		{"ends in a slash", v1, bad("a/"), nil, place},
		{"a directory of the registry", v1, bad("a/_layers"), nil, place},
		{"inside a tag", v1, bad("a/_manifests/tags/x/current/link"), nil, place},
		{"a space", v1, bad("a b"), nil, place},
		{"a terminal", v1, bad("a\x1b[2J"), nil, place + `"a\x1b[2J"`},
		{"a line end", v1, bad("a\nb"), nil, place + `"a\nb"`},
		{"not ASCII", v1, bad("é"), nil, place + `"\u00e9"`},
		{"too long", v1, bad(strings.Repeat("a", 256)), nil, "aaa...\""},
		{"a bad tag", v1, batch(event1(Push, `"repository":"a","tag":"x/../y"`)), nil, `events[0].target.tag: "x/../y" is not a tag`},
		{"a bad digest", v1, batch(event1(Push, `"repository":"a","digest":"sha256:../.."`)), nil, "events[0].target.digest: "},
		{"MSR, no name", plain, webhook("TAG_PUSH", `{"repository":"bar"}`), nil, `contents of TAG_PUSH: namespace "" and repository "bar"`},
		{"MSR, nothing", plain, `{"type":"TAG_DELETE"}`, nil, "contents of TAG_DELETE: "},
		{"MSR, a bad name", plain, webhook("TAG_PUSH", `{"namespace":"..","repository":"bar"}`), nil, `contents of TAG_PUSH: repository: "../bar"`},
		{"MSR, bad contents", plain, webhook("TAG_PUSH", `["x"]`), nil, "contents of TAG_PUSH: "},
	} {
		got, err := Parse(c.contentType, strings.NewReader(c.body), limit)
		if err == nil || got != nil || !strings.Contains(err.Error(), c.says) || strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("%s: %v, %v; want an error with %q", c.name, got, err, c.says)
			continue
		}
		for _, is := range []error{ErrType, ErrTooLarge} {
			if errors.Is(err, is) != (c.is == is) {
				t.Errorf("%s: %v is %v: %v", c.name, err, is, errors.Is(err, is))
			}
		}
	}
	reset := errors.New("reset")
	if _, err := Parse(v1, iotest.ErrReader(reset), limit); !errors.Is(err, reset) {
		t.Errorf("a body that ends early: %v", err)
	}
}

// A body of exactly the limit is read, and no more than that of a longer one.
func TestParseLimit(t *testing.T) {
	if _, err := Parse(v1, strings.NewReader(tagPush), int64(len(tagPush))); err != nil {
		t.Error(err)
	}
	r := strings.NewReader(tagPush)
	if _, err := Parse(v1, r, 100); !errors.Is(err, ErrTooLarge) || r.Len() != len(tagPush)-101 {
		t.Errorf("%v, and %d bytes were read", err, len(tagPush)-r.Len())
	}
}

// Whatever comes in, what goes out is bounded and has names that a store can
// have.
func FuzzParse(f *testing.F) {
	for _, s := range []string{tagPush, msrPush, batch(event1(Push, `"repository":"../a"`)), batch(event1(Delete, `"repository":"a/b","tag":"v"`)), webhook("PROMOTION", "{}"), `{"events":null,"type":"TAG_PUSH"}`} {
		f.Add(plain, []byte(s))
	}
	f.Add(v2, []byte(tagPush))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		got, err := Parse(contentType, strings.NewReader(string(body)), 1<<16)
		if err != nil {
			if got != nil || strings.ContainsAny(err.Error(), "\n\r\x1b") {
				t.Errorf("%v with %q", got, err)
			}
			return
		}
		if len(got) > MaxEvents {
			t.Errorf("%d hints", len(got))
		}
		for _, h := range got {
			if err := h.check(); err != nil || h.Action != Push && h.Action != Mount && h.Action != Delete {
				t.Errorf("%+v: %v", h, err)
			}
			for part := range strings.SplitSeq(h.Repository, "/") {
				if part == "" || part[0] == '.' || part[0] == '_' {
					t.Errorf("repository %q", h.Repository)
				}
			}
		}
	})
}
