package location

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/regferry/regferry/backends/filesystem"
)

func TestParseFile(t *testing.T) {
	owner := func(uid, gid int) *filesystem.Owner { return &filesystem.Owner{UID: uid, GID: gid} }
	for raw, want := range map[string]volume{
		"/var/lib/registry":                   {dir: "/var/lib/registry"},
		"relative/dir":                        {dir: "relative/dir"},
		".":                                   {dir: "."},
		"a dir?uid=1":                         {dir: "a dir?uid=1"}, // a path is taken as it is
		"-":                                   {dir: "-"},
		"./s3:/bucket":                        {dir: "./s3:/bucket"},
		"http:/x":                             {dir: "http:/x"},
		"file:///mnt/x":                       {dir: "/mnt/x"},
		"file:///mnt/a%20b":                   {dir: "/mnt/a b"},
		"file:///":                            {dir: "/"},
		"file:///x?file_mode=0640":            {dir: "/x", o: filesystem.Options{FileMode: 0o640}},
		"file:///x?dir_mode=750&file_mode=44": {dir: "/x", o: filesystem.Options{FileMode: 0o44, DirMode: 0o750}},
		"file:///x?uid=1000&gid=0":            {dir: "/x", o: filesystem.Options{Owner: owner(1000, 0)}},
		"file:///x?gid=5":                     {dir: "/x", o: filesystem.Options{Owner: owner(-1, 5)}},
		"file:///x?fsync=each":                {dir: "/x", o: filesystem.Options{Fsync: filesystem.FsyncEach}},
	} {
		p, err := (Opener{}).parse(raw)
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		got := p.place.(volume)
		if got.dir != want.dir || got.o.FileMode != want.o.FileMode || got.o.DirMode != want.o.DirMode || got.o.Fsync != want.o.Fsync || (got.o.Owner == nil) != (want.o.Owner == nil) ||
			got.o.Owner != nil && *got.o.Owner != *want.o.Owner {
			t.Errorf("%s: %+v, want %+v", raw, got, want)
		}
		if dir, err := Path(raw); err != nil || dir != want.dir {
			t.Errorf("%s: path %q, %v", raw, dir, err)
		}
	}
}

func TestParseFileRefuses(t *testing.T) {
	for raw, want := range map[string]string{
		"":                               "empty",
		"file://relative":                "three slashes",
		"file://host/x":                  "three slashes",
		"file://":                        "three slashes",
		"file:///x#frag":                 "nothing else",
		"file://user:hunter2@/x":         "",
		"file:///x?owner=1":              "these are: dir_mode, file_mode, fsync, gid, uid",
		"file:///x?uid=1&uid=2":          "2 times",
		"file:///x?uid=-1":               "no number such as 1000",
		"file:///x?uid=99999999999":      "no number",
		"file:///x?gid=wheel":            "no number",
		"file:///x?file_mode=rw":         "no octal mode such as 0644",
		"file:///x?file_mode=0999":       "no octal mode",
		"file:///x?dir_mode=0o755":       "no octal mode",
		"file:///x?file_mode=7777777":    "no octal mode",
		"file:///x?uid=1;gid=2":          "",
		"file:///%zz":                    "",
		"file:/mnt/x":                    "did you mean file:///mnt/x?",
		"file:x":                         "did you mean file:///x?",
		"ftp://host/x":                   `scheme "ftp"`,
		"http://user:hunter2@host/x?k=v": `scheme "http"`,
		"://x":                           "scheme",
	} {
		_, err := Opener{}.Source(t.Context(), raw)
		var wrong *Error
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "/var/lib/registry") {
			t.Errorf("%s: %v does not say %q and show a right one", raw, err, want)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", raw, err)
		}
		if _, err := (Opener{}).Destination(t.Context(), raw); !errors.As(err, &wrong) {
			t.Errorf("%s as a destination: %v", raw, err)
		}
	}
}

// A destination is made, a source is not, and looking at one makes nothing.
func TestOpenFile(t *testing.T) {
	dir := t.TempDir()
	at := filepath.Join(dir, "new")
	if _, err := (Opener{}).Source(t.Context(), at); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a source that is not there: %v", err)
	}
	s, err := Opener{}.AsItIs(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	for o, err := range s.List(context.Background(), "", "") {
		t.Errorf("%+v, %v", o, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(at); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("looking made it: %v", err)
	}
	d, err := Opener{}.Destination(t.Context(), "file://"+at+"?dir_mode=0750")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(at); err != nil || info.Mode() != fs.ModeDir|0o750 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if entries, err := os.ReadDir(at); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	if _, err := (Opener{}).Destination(t.Context(), filepath.Join(dir, "no", "parent")); err == nil {
		t.Error("a parent was made")
	}
}

// Two ways to write one place are one place.
func TestFileIdentity(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	a, errA := Identity("x")
	b, errB := Identity("file://" + filepath.Join(dir, "x") + "?uid=1")
	c, errC := Identity("./y/../x/")
	if a != b || b != c || errors.Join(errA, errB, errC) != nil {
		t.Errorf("%q %q %q", a, b, c)
	}
	if d, err := Identity("y"); d == a || err != nil {
		t.Errorf("%q, %v", d, err)
	}
}

func TestCheckApart(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "a/in", "ab"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("a", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for _, c := range []struct {
		from, to string
		nested   bool
	}{
		{"a", "ab", false}, {"a", "new", false}, {"a", "ab/a", false},
		{"a", "a", true}, {"a", "./a/", true}, {"a", "a/in", true}, {"a/in", "a", true}, {"a", "a/not/yet", true},
		{"a", "link", true}, {"link", "a/in", true}, {"link/in", "a", true}, {"a", "link/new", true},
		{"a", "file://" + dir + "/a/x", true}, {"file://" + dir + "/link?uid=1", "a", true}, {"/", dir + "/ab", true},
	} {
		err := CheckApart(c.from, c.to)
		if errors.Is(err, ErrNested) != c.nested || !c.nested && err != nil {
			t.Errorf("%s to %s: %v", c.from, c.to, err)
		}
		if c.nested && !strings.Contains(err.Error(), "choose a destination beside") {
			t.Errorf("%v", err)
		}
	}
	var wrong *Error
	if err := CheckApart("a", "nfs://x"); !errors.As(err, &wrong) {
		t.Errorf("%v", err)
	}
	if err := CheckApart("", "a"); !errors.As(err, &wrong) {
		t.Errorf("%v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, raw := range []string{"", "/x", "file:///x?uid=1&file_mode=0644", "s3://b/x?region=r", "file://u:p@/x", "://", "file:///%2e%2e", "s3://a:hunter2@b"} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		p, err := (Opener{}).parse(raw)
		if err == nil == (p.place == nil) {
			t.Errorf("%q: %v and %v", raw, p.place, err)
		}
		if err != nil && err.Error() == "" {
			t.Error("an empty error")
		}
	})
}
