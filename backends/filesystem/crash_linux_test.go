package filesystem_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/regferry/regferry/backends/filesystem"
)

const childVariable = "REGFERRY_TEST_CHILD_ROOT"

// TestChild is the process that TestKill kills.
func TestChild(t *testing.T) {
	root := os.Getenv(childVariable)
	if root == "" {
		t.Skip("only for TestKill")
	}
	s, err := filesystem.Open(root, filesystem.Options{Fsync: filesystem.FsyncGroup})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("started")
	for i := 0; ; i++ {
		if _, err := s.Put(context.Background(), childKey(i), content(childData(i))); err != nil {
			t.Fatal(err)
		}
		if i%50 == 49 {
			if err := s.Sync(context.Background()); err != nil {
				t.Fatal(err)
			}
			fmt.Println(i + 1)
		}
	}
}

func childKey(i int) string { return fmt.Sprintf("r%d/tags/v%d/current/link", i%7, i) }

func childData(i int) []byte { return []byte(strings.Repeat(fmt.Sprintf("%d,", i), 1+i%5000)) }

// Killed anywhere, what shows is whole, no less than was synced, and the first
// of what was Put.
func TestKill(t *testing.T) {
	for i := range 10 {
		root := memoryDir(t)
		synced := runAndKill(t, root, time.Duration(i*i)*3*time.Millisecond)
		s := openStore(t, root, filesystem.FsyncGroup)
		n, err := count(s, "")
		if err != nil || n < synced {
			t.Errorf("%d show of %d synced, %v", n, synced, err)
		}
		for j := range n {
			if data, err := open(t, s, childKey(j)); err != nil || string(data) != string(childData(j)) {
				t.Fatalf("%d of %d: %d bytes, %v", j, n, len(data), err)
			}
		}
		if n, err := s.Clean(t.Context(), nil); n != 1 || err != nil {
			t.Errorf("cleaned %d, %v", n, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(root, ".regferry")); !os.IsNotExist(err) {
			t.Errorf("scratch stays: %v", err)
		}
	}
}

func runAndKill(t *testing.T, root string, after time.Duration) (synced int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestChild$", "-test.v")
	cmd.Env = append(os.Environ(), childVariable+"="+root)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatalf("the child does not start: %v", err)
		}
		if strings.TrimSpace(line) == "started" {
			break
		}
	}
	timer := time.AfterFunc(after, func() { cmd.Process.Kill() })
	defer timer.Stop()
	rest, err := io.ReadAll(lines)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("the child ended by itself: %v", err)
	}
	for line := range strings.Lines(string(rest)) {
		fmt.Sscanf(line, "%d\n", &synced)
	}
	return synced
}
