package filesystem

import (
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestMountCautions(t *testing.T) {
	for _, c := range []struct {
		line string
		want []string // a word of each caution
	}{
		{"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue", nil},
		{"36 35 0:50 / /mnt/nfs rw,relatime shared:9 - nfs4 server:/export rw,vers=4.2,hard,timeo=600", nil},
		{"36 35 0:50 / /mnt/nfs rw,relatime shared:9 - nfs4 server:/export rw,vers=4.2,soft,timeo=10", []string{"soft"}},
		{"36 35 0:50 / /mnt/nfs rw - nfs server:/export rw,vers=3,soft", []string{"soft"}},
		{"36 35 0:51 / / rw,relatime - overlay overlay rw,lowerdir=/a", []string{"container"}},
		{"36 35 0:52 / /dev/shm rw,nosuid a:1 b:2 c:3 - tmpfs tmpfs rw,size=9k", []string{"memory"}},
	} {
		m, ok := parseMount(c.line)
		if !ok {
			t.Fatalf("%s cannot be read", c.line)
		}
		got := m.cautions()
		if len(got) != len(c.want) {
			t.Fatalf("%s: %q", c.line, got)
		}
		for i, word := range c.want {
			if !strings.Contains(got[i], word) {
				t.Errorf("%s: %q does not say %s", c.line, got[i], word)
			}
		}
	}
	for _, line := range []string{"", "1 2 3", "36 35 98:0 / / rw ext3 root rw", "36 35 98:0 / / rw - ext3", "- - - - - - -"} {
		if m, ok := parseMount(line); ok {
			t.Errorf("%q is %+v", line, m)
		}
	}
}

// A trial leaves nothing behind, and knows the clock of the disk.
func TestTry(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	before := everything(t, dir)
	trial, err := s.Try(t.Context())
	if err != nil || trial.Clock != 0 || trial.Took <= 0 {
		t.Errorf("%+v, %v", trial, err)
	}
	if after := everything(t, dir); !slices.Equal(before, after) {
		t.Errorf("%v became %v", before, after)
	}
}

func everything(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		all = append(all, path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
