package checkpoint

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// asNobody runs do with the file permissions of another user. Tests often run
// as root, whom no mode stops.
func asNobody(t *testing.T, do func()) {
	if os.Getuid() != 0 {
		do()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		syscall.RawSyscall(syscall.SYS_SETFSUID, 65534, 0, 0)
		do()
	}()
	<-done
}

func TestNoPermission(t *testing.T) {
	path := newPath(t)
	closed(t, open(t, path, Options{}))
	dir := filepath.Dir(path)
	ok(t, os.Chmod(filepath.Dir(dir), 0o755))
	ok(t, os.Chmod(path, 0o400))
	for _, c := range []struct {
		what, path string
		mode       fs.FileMode // of the directory
	}{
		{"the file", path, 0o755},
		{"the directory, for a new file", path + ".new", 0o555},
		{"the directory", path, 0o000},
	} {
		ok(t, os.Chmod(dir, c.mode))
		asNobody(t, func() {
			if _, err := Open(c.path, testID, Options{}); !errors.Is(err, fs.ErrPermission) || !errors.Is(err, ErrRefused) || !errors.As(err, new(*AccessError)) {
				t.Errorf("%s: %v", c.what, err)
			}
		})
	}
	ok(t, os.Chmod(dir, 0o755))
}

// A full disk ends the commits with a typed error; what was committed stays.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=192k"); err != nil {
		t.Skip("cannot mount a small file system: ", err)
	}
	defer syscall.Unmount(dir, syscall.MNT_DETACH)
	path := filepath.Join(dir, "checkpoint")
	f := open(t, path, Options{Interval: time.Millisecond})
	ok(t, f.BeginPass(""))
	f.Advance("a", "1")
	ok(t, f.flush())
	for i := range 100_000 {
		f.Proved("a", dig("a", i))
	}
	err := f.Close()
	if !errors.Is(err, syscall.ENOSPC) || !errors.Is(err, ErrRefused) {
		t.Fatalf("%v", err)
	}
	f = open(t, path, Options{})
	if a := shard(t, f, "a"); a.Cursor != "1" {
		t.Errorf("%+v", a)
	}
	if _, err := Open(filepath.Join(dir, "second"), testID, Options{}); err != nil {
		t.Logf("no room for a second one: %v", err)
	}
}

func TestCaution(t *testing.T) {
	if s := Caution(newPath(t)); s != "" {
		t.Errorf("%s", s)
	}
	if s := Caution("/proc/nowhere/at/all"); s != "" {
		t.Errorf("%s", s)
	}
}

// The shape of a large migration: 400,000 blobs, 16 shards at a time, a
// commit for every 500 of them. Run in a process of its own, so that its peak
// memory is that of the checkpoint.
func BenchmarkLarge(b *testing.B) {
	for b.Loop() {
		dir := b.TempDir()
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), largeEnv+"="+filepath.Join(dir, "checkpoint"))
		out, err := cmd.CombinedOutput()
		if err != nil {
			b.Fatalf("%v %s", err, out)
		}
		info, err := os.Stat(filepath.Join(dir, "checkpoint"))
		if err != nil {
			b.Fatal(err)
		}
		var st syscall.Stat_t
		if err := syscall.Stat(filepath.Join(dir, "checkpoint"), &st); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)/1024, "MiB-RSS")
		b.ReportMetric(float64(info.Size())/400_000, "file-bytes/blob")
		b.ReportMetric(float64(st.Blocks*512)/400_000, "disk-bytes/blob")
		b.ReportMetric(float64(cmd.ProcessState.UserTime().Milliseconds()+cmd.ProcessState.SystemTime().Milliseconds()), "cpu-ms")
		b.Logf("%s", out)
	}
}
