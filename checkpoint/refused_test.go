package checkpoint

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/regferry/regferry/backends"
)

// sample is a file with something of everything, and several commits.
func sample(t testing.TB, path string) {
	t.Helper()
	f := open(t, path, Options{Interval: time.Hour, Version: "0.1.0"})
	ok(t, f.BeginPass("--repository library/*"))
	for s := range 20 {
		name := fmt.Sprintf("blobs/sha256/%02x", s)
		for i := range 60 {
			f.Proved(name, dig(name, i))
			if i%20 == 0 {
				ok(t, f.flush())
			}
		}
		f.Advance(name, fmt.Sprintf("docker/registry/v2/%s/%s/data", name, dig(name, 59).Encoded()))
		if s < 12 {
			f.FinishShard(name)
		}
	}
	f.Fail(Failure{Side: "source", Op: "read", Key: "docker/registry/v2/blobs/sha256/00/\x1b[31m/data", Class: "corrupt", Message: "its bytes have another digest", Time: time.Unix(1e9, 0).UTC()})
	f.Fail(Failure{Side: "destination", Op: "put", Key: "k", Class: "denied", Message: "permission denied", Time: time.Unix(1e9, 0).UTC()})
	ok(t, f.SaveUpload("docker/registry/v2/blobs/sha256/0c/big/data", backends.Upload{Token: "upload-1", Offset: 270e6, Hash: []byte("state")}))
	f.AddTotals(Totals{Objects: 1200, Bytes: 34e6, Present: 5})
	f.SetOutcome("interrupted")
	closed(t, f)
}

var sampleID = Identity{Source: testID.Source, Destination: testID.Destination, Root: testID.Root, Scope: "--repository library/*"}

// sampleClaims fails if a file that is made of a damaged sample claims what
// the sample does not.
func sampleClaims(t *testing.T, what, path string) {
	t.Helper()
	f, err := Open(path, sampleID, Options{})
	if err != nil {
		t.Errorf("%s: shown, but not opened: %v", what, err)
		return
	}
	defer f.Close()
	for s := range 22 {
		name := fmt.Sprintf("blobs/sha256/%02x", s)
		sh, err := f.Shard(name)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			return
		}
		most := fmt.Sprintf("docker/registry/v2/%s/%s/data", name, dig(name, 59).Encoded())
		if s >= 20 {
			most = ""
		}
		found := 0
		for i := range 60 {
			if sh.Proved.Has(dig(name, i)) {
				found++
			}
		}
		if found != sh.Proved.Len() || sh.Cursor != "" && sh.Cursor != most || sh.Done && s >= 12 {
			t.Errorf("%s: %s claims %q, %v, and %d digests of which %d are right", what, name, sh.Cursor, sh.Done, sh.Proved.Len(), found)
		}
	}
	if u, found := f.Upload("docker/registry/v2/blobs/sha256/0c/big/data"); found && (u.Offset != 270e6 || string(u.Hash) != "state") {
		t.Errorf("%s: upload %+v", what, u)
	}
	ok(t, f.BeginPass("")) // and can be written
}

var damageStep = flag.Int("damage-step", 199, "distance of the bytes that TestDamage changes")

// Cut short or with wrong bytes anywhere, a file is refused, or claims
// nothing that it did not claim before; nothing panics or hangs, and a file
// that is refused is not touched.
func TestDamage(t *testing.T) {
	path := newPath(t)
	sample(t, path)
	good := []byte(content(t, path))
	refused, opened := 0, 0
	try := func(what string, raw []byte) {
		t.Helper()
		if bytes.Equal(raw, good) {
			return
		}
		ok(t, os.WriteFile(path, raw, 0o600))
		_, err := Show(path)
		if err == nil {
			opened++
			sampleClaims(t, what, path)
			return
		}
		refused++
		if !errors.As(err, new(*CorruptError)) || !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "--checkpoint") {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := Open(path, sampleID, Options{}); !errors.As(err, new(*CorruptError)) {
			t.Errorf("%s: opened, but not shown: %v", what, err)
		}
		if content(t, path) != string(raw) {
			t.Errorf("%s: was refused and changed", what)
		}
	}
	for size := 0; size < len(good); size += 509 {
		try(fmt.Sprintf("cut at %d", size), good[:size])
	}
	for at := 0; at < len(good); at += *damageStep {
		for _, mask := range []byte{0xff, 1 << (at % 8)} {
			if at > 8192 && mask == 0xff && at%5 != 0 {
				continue
			}
			raw := bytes.Clone(good)
			raw[at] ^= mask
			try(fmt.Sprintf("byte %d ^ %#x", at, mask), raw)
		}
	}
	for at := 0; at+4096 <= len(good); at += 4096 { // lost and misplaced writes
		raw := bytes.Clone(good)
		clear(raw[at : at+4096])
		try(fmt.Sprintf("page at %d is zero", at), raw)
		raw = bytes.Clone(good)
		copy(raw[at:at+4096], good[(at+8192)%len(good):])
		try(fmt.Sprintf("page at %d is another one", at), raw)
	}
	t.Logf("%d bytes; %d variants refused, %d opened with true claims", len(good), refused, opened)
	if refused == 0 || opened == 0 {
		t.Error("the damage did not reach what it should")
	}
}

// reseal makes the meta pages valid again, for pages of 1 KiB.
func reseal(raw []byte) {
	for _, at := range []int{0, 1024} {
		if len(raw) >= at+pageHeader+metaSize {
			m := raw[at+pageHeader:]
			sum := fnv.New64a()
			sum.Write(m[:metaSize-8])
			binary.NativeEndian.PutUint64(m[56:], sum.Sum64())
		}
	}
}

// FuzzRead: no bytes make the reader panic, hang or believe a claim. Run it
// with -fuzzminimizetime 1s.
func FuzzRead(f *testing.F) {
	path := newPath(f)
	db, err := bolt.Open(path, 0o600, &bolt.Options{PageSize: 1024}) // small, so that most of it means something
	ok(f, err)
	for i := range 3 {
		ok(f, db.Update(func(tx *bolt.Tx) error {
			for _, b := range buckets {
				if _, err := tx.CreateBucketIfNotExists(b); err != nil {
					return err
				}
			}
			err := errors.Join(
				put(tx, headBucket, []byte(keyMagic), []byte(magic)),
				putJSON(tx, headBucket, []byte(keyFormat), Format),
				putJSON(tx, headBucket, []byte(keyIdentity), identityRecord{Created: time.Now()}),
				putJSON(tx, uploadBucket, []byte("u"), uploadRecord{Offset: 1}))
			for n := range 30 * i { // enough for a branch page
				err = errors.Join(err, put(tx, shardBucket, fmt.Appendf(nil, "%080d", n), place{cursor: "k"}.payload()))
			}
			return err
		}))
	}
	ok(f, db.Close())
	raw := []byte(content(f, path))
	m, err := latestMeta(bytes.NewReader(raw), int64(len(raw)))
	ok(f, err)
	raw = raw[:m.high*1024]
	if _, err := read("x", bytes.NewReader(raw), int64(len(raw))); err != nil {
		f.Fatal(err)
	}
	for at := range len(raw) / 512 {
		f.Add(raw, uint16(at*512), uint16(at))
	}
	f.Fuzz(func(t *testing.T, raw []byte, at, value uint16) {
		if len(raw) > 1<<16 {
			return
		}
		raw = bytes.Clone(raw)
		if int(at)+2 <= len(raw) {
			binary.NativeEndian.PutUint16(raw[at:], value)
		}
		reseal(raw)
		s, err := read("x", bytes.NewReader(raw), int64(len(raw)))
		if err != nil && !errors.Is(err, ErrRefused) {
			t.Errorf("%v", err)
		}
		if err != nil {
			return
		}
		for name, p := range s.shards {
			if p.cursor != "k" || p.done {
				t.Errorf("%s claims %q", name, p.cursor)
			}
		}
	})
}

// Cycles and pages used twice are the damage that bbolt cannot survive.
func TestCycle(t *testing.T) {
	path := newPath(t)
	sample(t, path)
	raw := []byte(content(t, path))
	m, err := latestMeta(bytes.NewReader(raw), int64(len(raw)))
	ok(t, err)
	tried := 0
	for id := uint64(2); id < m.high; id++ {
		page := raw[id*4096:]
		if native.Uint16(page[8:]) != branchPage {
			continue
		}
		for i := range int(native.Uint16(page[10:])) {
			child := page[pageHeader+i*element+8:]
			old := native.Uint64(child)
			native.PutUint64(child, id)
			err := walk(bytes.NewReader(raw), int64(len(raw)), func(string, []byte, []byte) error { return nil })
			if err != nil {
				tried++
			}
			native.PutUint64(child, old)
		}
	}
	if tried == 0 {
		t.Error("no branch page is in use")
	}
}

func TestNotACheckpoint(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		ok(t, os.WriteFile(path, []byte(content), 0o644))
		return path
	}
	other := filepath.Join(dir, "other.db")
	db, err := bolt.Open(other, 0o600, nil)
	ok(t, err)
	ok(t, db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucket([]byte("stuff"))
		if err != nil {
			return err
		}
		_, err = b.CreateBucket([]byte("inner"))
		return errors.Join(err, b.Put([]byte("k"), []byte("v")))
	}))
	ok(t, db.Close())
	link, fifo, sub := filepath.Join(dir, "link"), filepath.Join(dir, "fifo"), filepath.Join(dir, "dir")
	ok(t, os.Symlink(other, link))
	ok(t, os.Mkdir(sub, 0o700))
	ok(t, mkfifo(fifo))
	for _, c := range []struct {
		path string
		kind error
	}{
		{file("empty", ""), new(CorruptError)},
		{file("text", strings.Repeat("just some text\n", 1000)), new(CorruptError)},
		{file("short", "x"), new(CorruptError)},
		{other, new(CorruptError)},
		{link, new(AccessError)},
		{filepath.Join(dir, "dangling"), new(AccessError)},
		{sub, new(AccessError)},
		{fifo, new(AccessError)},
		{"/dev/null", new(AccessError)},
		{filepath.Join(dir, "missing", "checkpoint"), new(AccessError)},
		{filepath.Join(dir, "text", "checkpoint"), new(AccessError)},
		{filepath.Join(dir, strings.Repeat("n", 300)), new(AccessError)},
		{"", new(AccessError)},
	} {
		if filepath.Base(c.path) == "dangling" {
			ok(t, os.Symlink("nowhere", c.path))
		}
		before := look(c.path)
		_, errOpen := Open(c.path, testID, Options{})
		_, errShow := Show(c.path)
		for _, err := range []error{errOpen, errShow} {
			if !errors.Is(err, ErrRefused) || fmt.Sprintf("%T", err) != fmt.Sprintf("%T", c.kind) || !strings.Contains(err.Error(), "--checkpoint") {
				t.Errorf("%s: %T %v", c.path, err, err)
			}
		}
		if after := look(c.path); after != before {
			t.Errorf("%s: was refused and changed: %s, before %s", c.path, after, before)
		}
	}
	if _, err := Show(filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) || !errors.Is(err, ErrRefused) {
		t.Errorf("absent: %v", err)
	}
}

// look describes what is at path without opening what is no file.
func look(path string) string {
	info, err := os.Lstat(path)
	if err != nil {
		return "nothing"
	}
	s := fmt.Sprint(info.Mode(), info.ModTime(), info.Size())
	if info.Mode().IsRegular() {
		b, _ := os.ReadFile(path)
		s += fmt.Sprintf("%x", sha256.Sum256(b))
	}
	return s
}

func TestMismatch(t *testing.T) {
	path := newPath(t)
	closed(t, open(t, path, Options{}))
	ok(t, os.Chmod(path, 0o640))
	before := look(path)
	for _, c := range []struct {
		change func(*Identity)
		text   string
	}{
		{func(id *Identity) { id.Source = "s3://other" }, "its source is file:///old, not s3://other"},
		{func(id *Identity) { id.Destination = "s3://o t h e r" }, `its destination is file:///new, not "s3://o t h e r"`},
		{func(id *Identity) { id.Root = "v2" }, "its root is docker/registry/v2, not v2"},
	} {
		id := testID
		c.change(&id)
		_, err := Open(path, id, Options{})
		mismatch := new(MismatchError)
		if !errors.As(err, &mismatch) || !errors.Is(err, ErrRefused) || mismatch.Have != testID || mismatch.Want != id {
			t.Fatalf("%v", err)
		}
		if !strings.Contains(err.Error(), c.text) || !strings.Contains(err.Error(), "--checkpoint") {
			t.Errorf("%v", err)
		}
	}
	if after := look(path); after != before {
		t.Error("a file that was refused was changed")
	}
}

func TestNewerFormat(t *testing.T) {
	path := newPath(t)
	closed(t, open(t, path, Options{}))
	db, err := bolt.Open(path, 0o600, nil)
	ok(t, err)
	ok(t, db.Update(func(tx *bolt.Tx) error {
		if err := tx.Bucket(shardBucket).Put([]byte("x"), []byte("in another way")); err != nil {
			return err
		}
		return putJSON(tx, headBucket, []byte(keyFormat), 7)
	}))
	ok(t, db.Close())
	before := look(path)
	_, errOpen := Open(path, testID, Options{})
	_, errShow := Show(path)
	for _, err := range []error{errOpen, errShow} {
		newer := new(FormatError)
		if !errors.As(err, &newer) || newer.Version != 7 || !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "--checkpoint") {
			t.Errorf("%v", err)
		}
	}
	if look(path) != before {
		t.Error("a newer file was changed")
	}
}

// A bucket and a field of a later regferry with the same format.
func TestUnknownIsIgnored(t *testing.T) {
	path := newPath(t)
	closed(t, open(t, path, Options{}))
	db, err := bolt.Open(path, 0o600, nil)
	ok(t, err)
	ok(t, db.Update(func(tx *bolt.Tx) error {
		if _, err := tx.CreateBucket([]byte("future")); err != nil {
			return err
		}
		if err := tx.DeleteBucket(failureBucket); err != nil { // as if it were younger than the file
			return err
		}
		return errors.Join(
			put(tx, []byte("future"), []byte("k"), []byte("v")),
			put(tx, headBucket, []byte("more"), []byte("v")),
			put(tx, headBucket, []byte(keyTotals), []byte(`{"objects":3,"wings":2}`)))
	}))
	ok(t, db.Close())
	f := open(t, path, Options{})
	ok(t, f.BeginPass(""))
	closed(t, f)
	if sum, err := Show(path); err != nil || sum.Totals.Objects != 3 {
		t.Errorf("%+v %v", sum, err)
	}
}

// Somebody cuts the file short while it is open, or its disk fails.
func TestDamagedWhileOpen(t *testing.T) {
	for _, act := range []struct {
		name string
		do   func(f *File) error
	}{
		{"shard", func(f *File) error { _, err := f.Shard("blobs/sha256/03"); return err }},
		{"commit", func(f *File) error { return f.BeginPass("") }},
		{"upload", func(f *File) error { return f.SaveUpload("u", backends.Upload{}) }},
		{"failures", func(f *File) error { _, _, err := f.Failures(); return err }},
	} {
		t.Run(act.name, func(t *testing.T) {
			path := newPath(t)
			sample(t, path)
			f, err := Open(path, sampleID, Options{})
			ok(t, err)
			ok(t, os.Truncate(path, 4096))
			if err := act.do(f); !errors.As(err, new(*CorruptError)) {
				t.Errorf("%v", err)
			}
			if err := f.SaveUpload("u", backends.Upload{}); !errors.As(err, new(*CorruptError)) {
				t.Errorf("afterwards: %v", err)
			}
			if err := f.Close(); !errors.As(err, new(*CorruptError)) {
				t.Errorf("close: %v", err)
			}
		})
	}
}

var writeV1 = flag.Bool("write-v1", false, "write testdata/v1.checkpoint anew; only before format 1 was released")

// A file of each format there was.
func TestOldFormats(t *testing.T) {
	const old = "testdata/v1.checkpoint"
	if *writeV1 {
		ok(t, os.RemoveAll(old))
		sample(t, old)
	}
	raw := content(t, old)
	path := newPath(t)
	ok(t, os.WriteFile(path, []byte(raw), 0o400))
	sum, err := Show(path)
	ok(t, err)
	if content(t, path) != raw {
		t.Fatal("Show changed the file")
	}
	if sum.Format != 1 || sum.Identity != sampleID || sum.Proved != 1200 || sum.ShardsStarted != 20 || sum.ShardsFinished != 12 ||
		sum.Pass.Number != 1 || sum.Pass.Complete || sum.Failures != 2 || len(sum.Uploads) != 1 || sum.Uploads[0].Offset != 270e6 ||
		sum.Totals != (Totals{Objects: 1200, Bytes: 34e6, Present: 5}) || len(sum.Runs) != 1 || sum.Runs[0].How != "interrupted" {
		t.Errorf("%+v", sum)
	}
	var b strings.Builder
	ok(t, sum.WriteText(&b))
	for _, want := range []string{
		"file:///old", "file:///new", "docker/registry/v2", "--repository library/*", "12 groups of blobs done, 8 more begun", "1200 blobs", "1200 objects, 34.0 MB",
		"data at 270.0 MB", "2: 1 corrupt, 1 denied", `\x1b[31m`, "destination put denied k: permission denied", "regferry 0.1.0: interrupted",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the text lacks %s:\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "\x1b") {
		t.Error("a name from the store reached the terminal as it is")
	}
	ok(t, os.Chmod(path, 0o600))
	f, err := Open(path, sampleID, Options{})
	ok(t, err)
	if p := f.Pass(); !p.Resumed {
		t.Errorf("%+v", p)
	}
	fails, n, err := f.Failures()
	if err != nil || n != 2 || fails[0].Class != "corrupt" {
		t.Errorf("%+v %d %v", fails, n, err)
	}
	closed(t, f)
	sampleClaims(t, old, path)
}

func TestWriteTextFails(t *testing.T) {
	if err := (Summary{}).WriteText(failing{}); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("%v", err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrShortWrite }
