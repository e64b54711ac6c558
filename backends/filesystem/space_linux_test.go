package filesystem

import (
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

func TestSince(t *testing.T) {
	for release, want := range map[string][2]bool{ // 5.8, 5.17
		"4.19.0": {false, false}, "5.4.0-26-generic": {false, false}, "5.7.19": {false, false}, "5.8.0": {true, false}, "5.15.0-97-generic": {true, false},
		"5.16": {true, false}, "5.17-rc1": {true, true}, "6.1.0-28-amd64": {true, true}, "10.0": {true, true}, "": {false, false}, "5": {false, false}, "x.y": {false, false},
	} {
		if got := [2]bool{since(release, 5, 8), since(release, 5, 17)}; got != want {
			t.Errorf("%q: %v, want %v", release, got, want)
		}
	}
}

// onLoop mounts a new file system of a kind.
func onLoop(t *testing.T, kind string, size int64) string {
	t.Helper()
	missing := func(err error, out []byte) {
		t.Helper()
		if os.Getenv("REGFERRY_CI") != "" {
			t.Fatalf("%s: %v\n%s", kind, err, out)
		}
		t.Skipf("%s: %v\n%s", kind, err, out)
	}
	image, at := t.TempDir()+"/image", t.TempDir()
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, size); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs", "-t", kind, image).CombinedOutput(); err != nil {
		missing(err, out)
	}
	if out, err := exec.Command("mount", "-t", kind, "-o", "loop", image, at).CombinedOutput(); err != nil {
		missing(err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", at).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
	return at
}

// A journal that ended, as one does that could not be written, is told of where
// syncfs may say that all is well.
func TestSyncJournal(t *testing.T) {
	for kind, size := range map[string]int64{"ext4": 16 << 20, "xfs": 320 << 20} {
		t.Run(kind, func(t *testing.T) {
			root := onLoop(t, kind, size)
			s, err := Open(root, Options{Fsync: FsyncGroup})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			for range 3 {
				if err := s.syncBoth(); err != nil {
					t.Fatal(err)
				}
			}
			const goingDown, withoutTheLog = 0x8004587d, 2
			if err := unix.IoctlSetPointerInt(s.tree.fd, goingDown, withoutTheLog); err != nil {
				t.Fatal(err)
			}
			t.Logf("syncfs says %v", s.tree.syncfs())
			if err := s.scratch.syncJournal(); err == nil {
				t.Error("a journal that ended is as well as any")
			} else {
				t.Log(err)
			}
		})
	}
}
