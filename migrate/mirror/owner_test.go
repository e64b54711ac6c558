//go:build unix

package mirror

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// What root leaves in the state of a service is the service's.
func TestOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may give files away")
	}
	p := newPair(t)
	const nobody = 65534
	if err := errors.Join(os.Mkdir(p.dir, 0o700), os.Chown(p.dir, nobody, nobody)); err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(t.TempDir(), "outside")
	if err := errors.Join(os.WriteFile(outside, nil, 0o600), os.Symlink(outside, filepath.Join(p.dir, "symbolic"))); err != nil {
		t.Fatal(err)
	}
	hard := filepath.Join(p.dir, "hard")
	if err := os.WriteFile(hard, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(hard, filepath.Join(p.dir, "hard too")); err != nil {
		t.Fatal(err)
	}
	p.deleting()
	p.rounds(1)
	p.collect()
	p.o.MaxDelete, _ = ParseLimit("0")
	s := p.rounds(3)
	if s.Refused == nil {
		t.Fatal("no plan waits")
	}
	if err := Approve(p.dir, s.Refused.ID); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(p.dir)
	if err != nil || len(entries) < 6 {
		t.Fatal(entries, err)
	}
	for _, e := range entries {
		path, want := filepath.Join(p.dir, e.Name()), uint32(nobody)
		if e.Name() == "hard" || e.Name() == "hard too" || e.Name() == "symbolic" {
			want = 0
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Sys().(*syscall.Stat_t).Uid; got != want {
			t.Errorf("%s belongs to %d, not to %d", e.Name(), got, want)
		}
	}
}
