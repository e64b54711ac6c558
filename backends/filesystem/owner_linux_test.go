package filesystem_test

import (
	"io/fs"
	"os"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/regferry/regferry/backends/filesystem"
)

// squashed opens a store as root does on an NFS that squashes it: what is made
// belongs to uid, and nothing can be given away.
func squashed(t *testing.T, uid int, root string, o filesystem.Options) (*filesystem.Store, error) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Setfsuid(uid); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Setfsuid(0); err != nil {
			t.Error(err)
		}
	}()
	s, err := filesystem.Open(root, o)
	if err == nil {
		t.Cleanup(func() { s.Close() })
	}
	return s, err
}

// A registry that cannot push to what is written is said before it is written.
func TestCautionOfAnotherOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can be another user")
	}
	for name, c := range map[string]struct {
		directory, as int
		o             filesystem.Options
		mode          fs.FileMode // of the directory
		says          []string    // nil: nothing
	}{
		"root gives it away":           {1234, 0, filesystem.Options{}, 0o755, nil},
		"root's own":                   {0, 0, filesystem.Options{}, 0o755, nil},
		"an owner that was asked for":  {1234, 0, filesystem.Options{Owner: &filesystem.Owner{UID: 2345, GID: -1}}, 0o755, nil},
		"squashed":                     {1234, 65534, filesystem.Options{}, 0o777, []string{"uid 65534", "uid 1234", "push", "chown"}},
		"squashed, of root":            {0, 65534, filesystem.Options{}, 0o777, []string{"uid 65534", "uid 0"}},
		"squashed to the owner":        {1234, 1234, filesystem.Options{}, 0o755, nil},
		"squashed, of a group":         {1234, 65534, filesystem.Options{FileMode: 0o664, DirMode: 0o775}, 0o777, nil},
		"squashed, of a group by half": {1234, 65534, filesystem.Options{DirMode: 0o775}, 0o777, []string{"uid 65534"}},
		"squashed, everybody's":        {1234, 65534, filesystem.Options{FileMode: 0o666, DirMode: 0o777}, 0o777, nil},
	} {
		t.Run(name, func(t *testing.T) {
			root, err := os.MkdirTemp("", "regferry") // others may not look into t.TempDir
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(root) })
			if err := os.Chown(root, c.directory, 0); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(root, c.mode); err != nil {
				t.Fatal(err)
			}
			s, err := squashed(t, c.as, root, c.o)
			if err != nil {
				t.Fatal(err)
			}
			said := strings.Join(s.Cautions(t.Context()), "\n")
			if strings.Contains(said, "belongs to") != (c.says != nil) {
				t.Errorf("it says %q", said)
			}
			for _, word := range c.says {
				if !strings.Contains(said, word) {
					t.Errorf("%q does not say %s", said, word)
				}
			}
		})
	}
}
