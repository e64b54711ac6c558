package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/regferry/regferry/backends"
)

func TestResume(t *testing.T) {
	path := newPath(t)
	f := open(t, path, Options{Version: "1.2"})
	if p := f.Pass(); p != (Pass{}) {
		t.Errorf("a new file has pass %+v", p)
	}
	ok(t, f.BeginPass(""))
	f.Advance("a", "k5")
	f.Advance("a", "k3") // late: a cursor never goes back
	f.Proved("a", dig("a", 1))
	f.Proved("a", "sha256:short")
	f.FinishShard("b")
	f.Fail(Failure{Side: "source", Op: "read", Key: "k\xff", Class: "corrupt", Message: "wrong bytes"})
	f.AddTotals(Totals{Objects: 2, Bytes: 10})
	ok(t, f.SaveUpload("u", backends.Upload{Token: "t\xff", Offset: 7, Hash: []byte{0, 1}}))
	a := shard(t, f, "a") // before any commit
	if a.Cursor != "k5" || !a.Proved.Has(dig("a", 1)) {
		t.Errorf("queued: %+v", a)
	}
	f.SetOutcome("interrupted")
	closed(t, f)
	closed(t, f)

	f = open(t, path, Options{})
	if p := f.Pass(); !p.Resumed || p.Number != 1 || p.Complete {
		t.Errorf("resumed: %+v", p)
	}
	if a := shard(t, f, "a"); a.Cursor != "k5" || a.Done || a.Proved.Len() != 1 || !a.Proved.Has(dig("a", 1)) || a.Proved.Has(dig("a", 2)) {
		t.Errorf("resumed: %+v", a)
	}
	if !shard(t, f, "b").Done || shard(t, f, "c").Done {
		t.Error("b was finished, c not")
	}
	fails, n, err := f.Failures()
	if err != nil || n != 1 || len(fails) != 1 || fails[0].Key != "k\xff" || fails[0].Class != "corrupt" {
		t.Errorf("%v %d %v", fails, n, err)
	}
	if u, found := f.Upload("u"); !found || u.Token != "t\xff" || u.Offset != 7 || string(u.Hash) != "\x00\x01" {
		t.Errorf("%v %v", u, found)
	}
	ok(t, f.FinishPass())
	if a := shard(t, f, "a"); a.Cursor != "" || a.Proved.Len() != 1 {
		t.Errorf("after the pass: %+v", a)
	}
	if err := f.FinishPass(); err == nil {
		t.Error("a pass was finished twice")
	}
	if _, n, _ := f.Failures(); n != 1 {
		t.Errorf("%d failures after the pass", n)
	}
	closed(t, f)

	f = open(t, path, Options{})
	if p := f.Pass(); p.Resumed || !p.Complete {
		t.Errorf("complete: %+v", p)
	}
	ok(t, f.BeginPass(""))
	if p := f.Pass(); p.Number != 2 || p.Resumed || p.Complete {
		t.Errorf("second: %+v", p)
	}
	if _, n, _ := f.Failures(); n != 0 {
		t.Errorf("%d failures in a new pass", n)
	}
	f.AddTotals(Totals{Objects: 1})
	closed(t, f)
	sum, err := Show(path)
	ok(t, err)
	if sum.Totals != (Totals{Objects: 3, Bytes: 10}) || len(sum.Runs) != 3 || sum.Runs[0].How != "interrupted" || sum.Runs[0].Version != "1.2" || sum.Runs[2].Ended.IsZero() {
		t.Errorf("%+v", sum)
	}
}

func TestScopeDropsThePass(t *testing.T) {
	path := newPath(t)
	f := open(t, path, Options{})
	ok(t, f.BeginPass("")) // its scope is that of Open: empty
	f.Advance("a", "k")
	f.Proved("a", dig("a", 1))
	ok(t, f.SaveUpload("u", backends.Upload{Offset: 1}))
	closed(t, f)

	narrow := testID
	narrow.Scope = "--repository team/*"
	for range 2 { // the second time it is already dropped
		f, err := Open(path, narrow, Options{})
		ok(t, err)
		if p := f.Pass(); p.Resumed || !p.Dropped {
			t.Errorf("%+v", p)
		}
		f.Advance("a", "z") // no pass is under way
		a := shard(t, f, "a")
		if _, found := f.Upload("u"); a.Cursor != "" || a.Proved.Len() != 1 || !found {
			t.Errorf("%+v, upload %v", a, found)
		}
		closed(t, f)
	}
	f, err := Open(path, narrow, Options{})
	ok(t, err)
	ok(t, f.BeginPass(""))
	f.Advance("a", "m")
	closed(t, f)
	f, err = Open(path, narrow, Options{})
	ok(t, err)
	if p := f.Pass(); !p.Resumed || p.Number != 2 || shard(t, f, "a").Cursor != "m" {
		t.Errorf("%+v", p)
	}
	closed(t, f)
}

// What is queued while a Sync runs must not be in the commit after it.
func TestSyncPrecedesCommit(t *testing.T) {
	path := newPath(t)
	var f *File
	syncs := make(chan chan struct{})
	f = open(t, path, Options{Interval: time.Millisecond, Sync: func(context.Context) error {
		goOn := make(chan struct{})
		syncs <- goOn
		<-goOn
		return nil
	}})
	go func() { close(<-syncs) }()
	ok(t, f.BeginPass(""))
	f.Advance("a", "1")
	first := <-syncs
	f.Advance("a", "2")
	f.Proved("a", dig("a", 2))
	ok(t, f.SaveUpload("u", backends.Upload{Offset: 5})) // does not wait for the Sync
	close(first)
	second := <-syncs // the first commit was made, the second not yet
	raw, err := os.Open(path)
	ok(t, err)
	defer raw.Close()
	s, err := readHeld(raw, path)
	ok(t, err)
	if s.shards["a"].cursor != "1" || s.proved != 0 || len(s.uploads) != 1 {
		t.Errorf("%+v", s)
	}
	close(second)
	closed(t, f)
}

func TestSyncFails(t *testing.T) {
	path := newPath(t)
	broken := &backends.Error{Op: "sync", Class: backends.Full}
	var bad atomic.Bool
	f := open(t, path, Options{Interval: time.Millisecond, Sync: func(context.Context) error {
		if bad.Load() {
			return broken
		}
		return nil
	}})
	ok(t, f.BeginPass(""))
	f.Advance("a", "1")
	ok(t, f.BeginPass(""))
	bad.Store(true)
	f.Advance("a", "2")
	for f.Err() == nil {
		time.Sleep(time.Millisecond)
	}
	bad.Store(false)
	f.Advance("a", "3")
	for i, d := 0, dig("a", 1); i < 200_000; i++ { // must not wait for a flush that never comes
		f.Proved("a", d)
	}
	_, errShard := f.Shard("a")
	_, _, errFailures := f.Failures()
	for _, err := range []error{f.Err(), errShard, errFailures, f.FinishPass(), f.BeginPass(""), f.SaveUpload("u", backends.Upload{}), f.Close()} {
		if !errors.Is(err, backends.Full) {
			t.Errorf("%v", err)
		}
	}
	f = open(t, path, Options{})
	if a := shard(t, f, "a"); a.Cursor != "" || a.Proved.Len() != 0 {
		t.Errorf("committed in spite of the failed Sync: %+v", a)
	}
}

// Some keys failed: the cursor moves on, as past any failure, but no digest
// is claimed.
func TestSyncFailsForSome(t *testing.T) {
	path := newPath(t)
	var f *File
	f, err := Open(path, testID, Options{Interval: time.Hour, Sync: func(context.Context) error {
		if f.Pass().Number == 2 {
			return nil
		}
		f.Fail(Failure{Key: "k", Class: "full"})
		return fmt.Errorf("wrapped: %w", &backends.SyncError{Failed: []*backends.Error{{Key: "k"}}})
	}})
	ok(t, err)
	ok(t, f.BeginPass(""))
	f.Advance("a", "1")
	f.Proved("a", dig("a", 1))
	closed(t, f)
	f = open(t, path, Options{})
	if a := shard(t, f, "a"); a.Cursor != "1" || a.Proved.Len() != 0 {
		t.Errorf("%+v", a)
	}
}

// Somebody else's Sync lost something: what is queued, or waits for a Sync of
// its own, is claimed no more; what was claimed before is.
func TestUnprove(t *testing.T) {
	path := newPath(t)
	var f *File
	f, err := Open(path, testID, Options{Interval: time.Hour, Sync: func(context.Context) error {
		if f.Pass().Number == 1 && f.queuedDigests("b") != nil {
			f.Unprove() // while this batch waits for its Sync
		}
		return nil
	}})
	ok(t, err)
	ok(t, f.BeginPass(""))
	f.Proved("a", dig("a", 1))
	ok(t, f.flush())
	f.Proved("b", dig("b", 1))
	ok(t, f.flush())
	f.Proved("c", dig("c", 1))
	f.Unprove()
	f.Advance("c", "1")
	closed(t, f)
	f = open(t, path, Options{})
	for name, want := range map[string]int{"a": 1, "b": 0, "c": 0} {
		if got := shard(t, f, name).Proved.Len(); got != want {
			t.Errorf("%s: %d claimed, want %d", name, got, want)
		}
	}
}

func TestIntervalAndBound(t *testing.T) {
	var syncs atomic.Int32
	f := open(t, newPath(t), Options{Interval: time.Hour, Sync: func(context.Context) error { syncs.Add(1); return nil }})
	if f.interval != time.Second {
		t.Errorf("more than a second of work could be lost: %v", f.interval)
	}
	ok(t, f.BeginPass(""))
	f.mu.Lock()
	f.interval = time.Hour
	f.mu.Unlock()
	start, d := syncs.Load(), dig("a", 1)
	for range maxPending/digestSize + 1 { // the last one waits for the flusher
		f.Proved("a", d)
	}
	if syncs.Load() != start+1 {
		t.Errorf("%d syncs", syncs.Load()-start)
	}
	f.AddTotals(Totals{Objects: 1})
	closed(t, f)
	end := syncs.Load()
	f = open(t, f.path, Options{Interval: time.Millisecond, Sync: func(context.Context) error { syncs.Add(1); return nil }})
	f.AddTotals(Totals{Objects: 1})
	f.Fail(Failure{})
	ok(t, f.SaveUpload("u", backends.Upload{}))
	closed(t, f)
	if syncs.Load() != end {
		t.Error("a Sync for what claims nothing")
	}
}

func TestUploads(t *testing.T) {
	path := newPath(t)
	hold := make(chan chan struct{}, 1)
	f := open(t, path, Options{Interval: time.Millisecond, Sync: func(context.Context) error {
		select {
		case c := <-hold:
			<-c
		default:
		}
		return nil
	}})
	ok(t, f.BeginPass(""))
	ok(t, f.SaveUpload("u", backends.Upload{Offset: 1}))
	ok(t, f.SaveUpload("v", backends.Upload{Offset: 1}))
	// Dropped, and saved again while the commit of the drop is under way.
	goOn := make(chan struct{})
	hold <- goOn
	f.DropUpload("u")
	f.DropUpload("v")
	f.DropUpload("unknown")
	f.Advance("a", "1")
	if _, found := f.Upload("u"); found {
		t.Error("dropped, and there")
	}
	for len(hold) > 0 {
		time.Sleep(time.Millisecond)
	}
	ok(t, f.SaveUpload("u", backends.Upload{Offset: 2}))
	close(goOn)
	closed(t, f)
	if err := f.SaveUpload("u", backends.Upload{}); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("%v", err)
	}

	f = open(t, path, Options{})
	all, err := f.Uploads()
	if err != nil || len(all) != 1 || all["u"].Offset != 2 {
		t.Errorf("%v %v", all, err)
	}
	var wg sync.WaitGroup
	for i := range maxUploads + 20 {
		wg.Go(func() { _ = f.SaveUpload(fmt.Sprint(i), backends.Upload{Offset: int64(i), Hash: []byte("x")}) })
	}
	wg.Wait()
	if all, err = f.Uploads(); err != nil || len(all) != maxUploads {
		t.Errorf("%d records, %v", len(all), err)
	}
	if _, found := f.Upload("u"); found {
		t.Error("the oldest is still there")
	}
	ok(t, f.SaveUpload("huge", backends.Upload{Token: strings.Repeat("x", maxUploadSize+1)}))
	if _, found := f.Upload("huge"); found {
		t.Error("a huge record")
	}
}

func TestFailuresAreCapped(t *testing.T) {
	path := newPath(t)
	f := open(t, path, Options{Interval: time.Millisecond})
	ok(t, f.BeginPass(""))
	long := strings.Repeat("ä", 2000)
	for i := range maxFailures + 500 {
		f.Fail(Failure{Key: fmt.Sprint(i), Class: fmt.Sprintf("class %d", i%200), Message: long})
		if i%500 == 0 {
			ok(t, f.flush())
		}
	}
	kept, n, err := f.Failures()
	if err != nil || n != maxFailures+500 || len(kept) != maxFailures || len(kept[0].Message) > longestMessage {
		t.Errorf("%d of %d, %v", len(kept), n, err)
	}
	// All in one interval: the queue is bounded, the count is right.
	ok(t, f.BeginPass(""))
	f.mu.Lock()
	f.interval = time.Minute
	f.mu.Unlock()
	for range 5000 {
		f.Fail(Failure{Class: "denied", Message: long})
	}
	f.mu.Lock()
	size := f.pending.failSize
	f.mu.Unlock()
	if size > maxFailPending+4096 {
		t.Errorf("%d bytes queued", size)
	}
	closed(t, f)
	sum, err := Show(path)
	if err != nil || sum.Failures != 5000 || sum.ByClass["denied"] != 5000 || len(sum.FirstFailures) != shownFailure {
		t.Errorf("%+v %v", sum.ByClass, err)
	}
}

func TestManyRuns(t *testing.T) {
	path := newPath(t)
	for range keptRuns + 5 {
		closed(t, open(t, path, Options{}))
	}
	sum, err := Show(path)
	if err != nil || len(sum.Runs) != keptRuns {
		t.Errorf("%d runs, %v", len(sum.Runs), err)
	}
}

func TestMode(t *testing.T) {
	path := newPath(t)
	for _, mask := range []int{0, 0o777} {
		old := syscall.Umask(mask)
		f, err := Open(path, testID, Options{})
		syscall.Umask(old)
		ok(t, err)
		closed(t, f)
		wantMode(t, path, 0o600)
		ok(t, os.Chmod(path, 0o666))
		closed(t, open(t, path, Options{}))
		wantMode(t, path, 0o600)
		ok(t, os.Remove(path))
	}
}

func wantMode(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	ok(t, err)
	if got := info.Mode().Perm(); got != want {
		t.Errorf("mode %o, not %o", got, want)
	}
}

// Nothing gets into the file but what its calls were given, the host's name,
// the process number and times.
func TestNoSecrets(t *testing.T) {
	const secret = "wJalrXUtnFEMIsecret"
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
	os.Args = append(os.Args, "--password="+secret)
	defer func() { os.Args = os.Args[:len(os.Args)-1] }()
	path := newPath(t)
	f := open(t, path, Options{Version: "v"})
	ok(t, f.BeginPass(""))
	f.Proved("a", dig("a", 1))
	f.Fail(Failure{Key: "k"})
	ok(t, f.SaveUpload("u", backends.Upload{Token: "t"}))
	closed(t, f)
	raw := content(t, path)
	wd, _ := os.Getwd()
	for _, s := range append(os.Environ(), secret, wd, os.Args[0]) {
		if _, value, ok := strings.Cut(s, "="); ok {
			s = value
		}
		if host, _ := os.Hostname(); len(s) > 5 && s != host && strings.Contains(raw, s) {
			t.Errorf("the file holds %q", s)
		}
	}
}

// Calls from many goroutines at once.
func TestConcurrent(t *testing.T) {
	path := newPath(t)
	f := open(t, path, Options{Interval: time.Millisecond})
	ok(t, f.BeginPass(""))
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			name := fmt.Sprint("shard", w)
			for i := range 300 {
				f.Proved(name, dig(name, i))
				f.Advance(name, childKey(i))
				f.AddTotals(Totals{Objects: 1})
				if i%100 == 0 {
					_ = f.SaveUpload(name, backends.Upload{Offset: int64(i)})
				}
				if i%50 == 0 {
					if s, err := f.Shard(name); err != nil || s.Proved.Len() != i+1 {
						t.Errorf("%d digests after %d, %v", s.Proved.Len(), i+1, err)
					}
				}
			}
			f.DropUpload(name)
			f.FinishShard(name)
		})
	}
	wg.Wait()
	closed(t, f)
	sum, err := Show(path)
	if err != nil || sum.Proved != 2400 || sum.ShardsFinished != 8 || sum.Totals.Objects != 2400 || len(sum.Uploads) != 0 {
		t.Errorf("%+v %v", sum, err)
	}
}

// Compaction loses nothing, counts nothing twice, and is done again for what
// came later.
func TestCompact(t *testing.T) {
	path := newPath(t)
	for round := range 3 {
		f := open(t, path, Options{Interval: time.Hour})
		ok(t, f.BeginPass(""))
		for i := range 150 {
			f.Proved("a", dig("a", round*100+i)) // 50 of them again
			f.Proved("ab", dig("ab", i))
			ok(t, f.flush())
		}
		if round == 1 {
			for i := range 3 * segment {
				f.Proved("a", dig("a", i))
			}
		}
		f.FinishShard("a")
		closed(t, f)
	}
	f := open(t, path, Options{})
	a := shard(t, f, "a")
	if a.Proved.Len() != 3*segment || shard(t, f, "ab").Proved.Len() != 150 || shard(t, f, "A").Proved.Len() != 0 {
		t.Errorf("%d digests", a.Proved.Len())
	}
	closed(t, f)
	if sum, err := Show(path); err != nil || sum.Proved < 3*segment+150 || sum.Proved > 3*segment+3*150 {
		t.Errorf("%d digests in the file, %v", sum.Proved, err)
	}
}

func TestShardNames(t *testing.T) {
	f := open(t, newPath(t), Options{})
	ok(t, f.BeginPass(""))
	for _, name := range []string{"", "a\x00b", strings.Repeat("x", maxShardName+1)} {
		if _, err := f.Shard(name); err == nil {
			t.Errorf("%.10q is a name", name)
		}
		f.Advance(name, "k")
		f.Proved(name, dig("a", 1))
		f.FinishShard(name)
	}
	f.Advance("a", strings.Repeat("x", maxCursor+1))
	if a := shard(t, f, "a"); a.Cursor != "" {
		t.Error("a huge cursor")
	}
	for i := range maxShards + 10 {
		f.Advance(fmt.Sprint(i), "k")
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.shards) != maxShards {
		t.Errorf("%d shards", len(f.shards))
	}
}

func BenchmarkProved(b *testing.B) {
	f := open(b, newPath(b), Options{})
	ok(b, f.BeginPass(""))
	d := dig("a", 1)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		f.Proved("blobs/sha256/ab", d)
	}
	b.StopTimer()
	closed(b, f)
}
