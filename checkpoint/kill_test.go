package checkpoint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/regferry/regferry/backends"
)

const (
	childEnv    = "REGFERRY_CHECKPOINT_CHILD"
	childShards = 12
	childKeys   = 400 // in a shard
)

func childShard(s int) string { return fmt.Sprintf("blobs/sha256/%02x", s) }
func childKey(i int) string   { return fmt.Sprintf("%06d", i) }

// child is a migration to a destination that is one file: what was Put shows
// there only after Sync, as with a real one whose machine stops. It also tells,
// in "log", what it queued and when a Sync began.
func child(dir string) {
	var mu sync.Mutex
	var puts []string
	dest, err := os.OpenFile(filepath.Join(dir, "dest"), os.O_APPEND|os.O_WRONLY|os.O_CREATE, 0o600)
	check(err)
	log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_APPEND|os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	check(err)
	sync := func(context.Context) error {
		mu.Lock()
		take := puts
		puts = nil
		mu.Unlock()
		fmt.Fprintln(log, "S")
		if _, err := dest.WriteString(strings.Join(take, "")); err != nil {
			return err
		}
		return dest.Sync()
	}
	f, err := Open(filepath.Join(dir, "checkpoint"), testID, Options{Interval: 20 * time.Millisecond, Sync: sync})
	check(err)
	for round := 0; ; round++ {
		if !f.Pass().Resumed || round > 0 {
			check(f.BeginPass(""))
		}
		for s := range childShards {
			name := childShard(s)
			at, err := f.Shard(name)
			check(err)
			from := 0
			if at.Cursor != "" {
				from, err = strconv.Atoi(at.Cursor)
				check(err)
				from++
			}
			for i := from; i+1 < childKeys && !at.Done; i += 2 {
				for _, j := range []int{i + 1, i} { // the second first: it is done beyond the cursor
					mu.Lock()
					puts = append(puts, fmt.Sprintf("%s %d\n", name, j))
					mu.Unlock()
					f.Proved(name, dig(name, j))
				}
				f.Advance(name, childKey(i+1))
				fmt.Fprintf(log, "Q %s %d\n", name, i+1)
				if i%50 == 0 {
					u := backends.Upload{Token: name, Offset: time.Now().UnixNano(), Hash: []byte{1}}
					check(f.SaveUpload("big", u))
					fmt.Fprintf(log, "U %d\n", u.Offset)
				}
				time.Sleep(200 * time.Microsecond)
			}
			f.FinishShard(name)
		}
		check(f.FinishPass())
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
}

// "Killed at any byte, it opens again; nothing claimed is missing and little
// is done twice."
func TestKill(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "checkpoint")
	pass, proved, kept := 0, int64(0), 0
	for n := range 30 {
		delay := time.Duration(rand.IntN(250)) * time.Millisecond
		if n%10 == 9 {
			delay = 1500 * time.Millisecond
		}
		if n%10 == 0 {
			ok(t, os.RemoveAll(path)) // and so be killed while creating it
			pass, proved = 0, 0
			delay /= 10
		}
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+dir)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		ok(t, cmd.Start())
		time.Sleep(delay)
		ok(t, cmd.Process.Kill())
		if err := cmd.Wait(); cmd.ProcessState.ExitCode() >= 0 {
			t.Fatalf("run %d ended by itself: %v %s", n, err, stderr.String())
		}
		sum, err := Show(path)
		if errors.Is(err, fs.ErrNotExist) && delay < 200*time.Millisecond {
			continue
		}
		if err != nil {
			t.Fatalf("killed after %v: %v", delay, err)
		}
		if sum.Pass.Number < pass || sum.Proved < proved {
			t.Fatalf("pass %d with %d digests went back to %d with %d", pass, proved, sum.Pass.Number, sum.Proved)
		}
		pass, proved = sum.Pass.Number, 0 // compaction may lower it by what counted twice
		checkClaims(t, path, dir)
		kept += checkLost(t, path, dir)
	}
	if kept == 0 {
		t.Error("no run lived long enough to show what it may lose")
	}
}

// Who was killed while creating leaves a file that the next to create
// removes, but not before it can be sure.
func TestCleanNew(t *testing.T) {
	path := newPath(t)
	var left [2]string
	for i := range left {
		f, err := os.CreateTemp(filepath.Dir(path), newPattern)
		ok(t, err)
		ok(t, f.Close())
		left[i] = f.Name()
	}
	ago := time.Now().Add(-2 * time.Hour)
	ok(t, os.Chtimes(left[0], ago, ago))
	closed(t, open(t, path, Options{}))
	if look(left[0]) != "nothing" || look(left[1]) == "nothing" {
		t.Errorf("%s, %s", look(left[0]), look(left[1]))
	}
}

// checkClaims makes sure that all a checkpoint claims is at the destination.
func checkClaims(t *testing.T, path, dir string) {
	t.Helper()
	have := map[string]bool{}
	for line := range strings.Lines(content(t, filepath.Join(dir, "dest"))) {
		have[line] = true
	}
	f := open(t, path, Options{})
	defer closed(t, f)
	for s := range childShards {
		name := childShard(s)
		sh := shard(t, f, name)
		cursor := sh.Cursor
		if sh.Done {
			cursor = childKey(childKeys)
		}
		for i := range childKeys {
			there := have[fmt.Sprintf("%s %d\n", name, i)]
			if !there && sh.Proved.Has(dig(name, i)) {
				t.Fatalf("%s %d is claimed as proved, and missing", name, i)
			}
			if !there && childKey(i) <= cursor {
				t.Fatalf("%s %d is below the cursor %s, and missing", name, i, cursor)
			}
		}
	}
}

// checkLost makes sure that no more is lost than the last two intervals, and no
// upload record that SaveUpload returned for, and returns how much had to be
// kept. What was queued before a Sync began is part of the next one at the
// latest, and is written before the one after that begins: so the bound needs
// no clock, which a busy machine would make a liar.
func checkLost(t *testing.T, path, dir string) (kept int) {
	t.Helper()
	f := open(t, path, Options{})
	defer closed(t, f)
	u, _ := f.Upload("big")
	log := content(t, filepath.Join(dir, "log"))
	syncs := strings.Count(log, "S\n")
	for line := range strings.Lines(log) {
		var n int64
		var name string
		if line == "S\n" {
			syncs--
		}
		if _, err := fmt.Sscanf(line, "U %d\n", &n); err == nil && n > u.Offset {
			t.Fatalf("an upload was saved at %d and is at %d", n, u.Offset)
		}
		if _, err := fmt.Sscanf(line, "Q %s %d\n", &name, &n); err != nil || syncs < 3 {
			continue
		}
		if kept++; !shard(t, f, name).Proved.Has(dig(name, int(n))) {
			t.Fatalf("%s %d was queued %d Syncs before the kill and is lost", name, n, syncs)
		}
	}
	return kept
}

// A file that is being created is not there before it is whole.
func TestCreateIsAtomic(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "checkpoint")
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := Show(path); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrLocked) && !errors.Is(err, errMoved) {
				t.Errorf("seen while it was created: %v", err)
			}
		}
	})
	for range 20 {
		closed(t, open(t, path, Options{}))
		ok(t, os.Remove(path))
	}
	close(stop)
	wg.Wait()
}

// Of many that create it at once one has it, and the others are told so.
func TestCreateTogether(t *testing.T) {
	path := newPath(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var won []*File
	for range 8 {
		wg.Go(func() {
			f, err := Open(path, testID, Options{})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won = append(won, f)
			} else if !errors.Is(err, ErrLocked) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Fatalf("%d have it open", len(won))
	}
	closed(t, won[0])
	left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	hidden, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*"))
	if len(left)+len(hidden) != 1 {
		t.Errorf("left behind: %v %v", left, hidden)
	}
}

func TestLockedSaysBy(t *testing.T) {
	path := newPath(t)
	f := open(t, path, Options{})
	_, errOpen := Open(path, testID, Options{})
	_, errShow := Show(path)
	for _, err := range []error{errOpen, errShow} {
		locked := new(LockedError)
		if !errors.Is(err, ErrLocked) || !errors.Is(err, ErrRefused) || !errors.As(err, &locked) {
			t.Fatalf("%v", err)
		}
		host, _ := os.Hostname()
		if locked.PID != os.Getpid() || locked.Host != host || !strings.Contains(err.Error(), "--checkpoint") {
			t.Errorf("%v", err)
		}
	}
	closed(t, f)
	sum, err := Show(path)
	ok(t, err)
	if _, err := json.Marshal(sum); err != nil {
		t.Error(err)
	}
}
