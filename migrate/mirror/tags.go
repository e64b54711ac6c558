package mirror

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"os"
	"sync"
)

// tags knows what the mirror has written to each tag of the destination, or
// seen there equal to the source: some 40 bytes a tag in memory. What is about to
// be written is durable here before it is there, so after a power cut nobody
// takes our own for another's.
type tags struct {
	s *state

	mu      sync.Mutex
	known   map[uint64]tagRecord
	round   uint64 // under way
	file    *os.File
	written int64 // records appended
	broken  error // of the first that could not be; nothing is appended until mend

	syncing sync.Mutex
	synced  int64
}

// tagRecord has what a tag may hold if nobody else wrote it.
type tagRecord struct {
	now, before uint64 // sums of links, 0 for none
	round       uint64 // when it was last seen
}

const tagRecordSize = 8 + 8 + 4

func openTags(s *state) (*tags, error) {
	t := &tags{s: s, known: make(map[uint64]tagRecord)}
	if err := t.read(); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(s.path("tags"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, stateError(err)
	}
	t.file = f
	return t, nil
}

// read goes through the records, up to the first that is not whole. A power cut
// leaves such, after all that were durable: nothing was written for those, and
// what was only seen will be seen again.
func (t *tags) read() error {
	data, err := os.ReadFile(t.s.path("tags"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return stateError(err)
	}
	whole := len(data) / tagRecordSize * tagRecordSize
	for b := data[:whole]; len(b) > 0; b = b[tagRecordSize:] {
		if crc32.Checksum(b[:16], castagnoli) != binary.BigEndian.Uint32(b[16:]) {
			whole -= len(b)
			break
		}
		t.put(binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:]))
	}
	if whole < len(data) {
		return stateError(os.Truncate(t.s.path("tags"), int64(whole)))
	}
	return nil
}

func (t *tags) put(name, sum uint64) {
	r := t.known[name]
	if r.now != sum {
		r.now, r.before = sum, r.now
	}
	t.known[name] = r
}

func tagName(repository, tag string) string { return repository + ":" + tag }

// sumOf shortens the MD5 of a link; never 0.
func sumOf(sum [md5.Size]byte) uint64 { return binary.BigEndian.Uint64(sum[:]) | 1 }

// note keeps what a tag holds, or is about to hold. Durable it is after sync.
func (t *tags) note(repository, tag string, sum [md5.Size]byte) error {
	name, now := t.s.hash(tagName(repository, tag)), sumOf(sum)
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.known[name]
	if r.round = t.round; r.now == now {
		t.known[name] = r
		return nil
	}
	t.known[name] = r
	t.put(name, now)
	if t.broken == nil { // nothing may follow half a record
		_, t.broken = t.file.Write(tagBytes(name, now))
	}
	t.written++
	return stateError(t.broken)
}

func tagBytes(name, sum uint64) []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, tagRecordSize), name)
	b = binary.BigEndian.AppendUint64(b, sum)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// sync makes durable what was noted. Who waits for another's finds the work
// done.
func (t *tags) sync() error {
	t.mu.Lock()
	mine := t.written
	t.mu.Unlock()
	t.syncing.Lock()
	defer t.syncing.Unlock()
	if t.synced >= mine {
		return nil
	}
	t.mu.Lock()
	f, all, broken := t.file, t.written, t.broken
	t.mu.Unlock()
	if broken == nil {
		broken = f.Sync()
	}
	if broken != nil { // a second Sync may say that all is well
		t.mu.Lock()
		t.broken = broken
		t.mu.Unlock()
		return stateError(broken)
	}
	t.synced = all
	return nil
}

// begin says which round is under way.
func (t *tags) begin(round uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.round = round
}

// see says that a tag is still there.
func (t *tags) see(repository, tag string) (known bool) {
	name := t.s.hash(tagName(repository, tag))
	t.mu.Lock()
	defer t.mu.Unlock()
	r, known := t.known[name]
	if known {
		r.round = t.round
		t.known[name] = r
	}
	return known
}

// ours says whether what a tag holds was written by this mirror, or known to
// it; known is false if it knows nothing of the tag.
func (t *tags) ours(repository, tag string, sum [md5.Size]byte) (ours, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, known := t.known[t.s.hash(tagName(repository, tag))]
	s := sumOf(sum)
	return known && (r.now == s || r.before == s), known
}

// mend writes the file anew where the last record may not be whole, or not be
// durable.
func (t *tags) mend() error {
	t.mu.Lock()
	broken := t.broken
	t.mu.Unlock()
	if broken == nil {
		return nil
	}
	return t.compact(0)
}

// compact forgets tags that were not seen since a round and writes the file
// anew.
func (t *tags) compact(round uint64) error {
	t.syncing.Lock()
	defer t.syncing.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	var b bytes.Buffer
	for name, r := range t.known {
		if r.round < round {
			delete(t.known, name)
			continue
		}
		if r.before != 0 {
			b.Write(tagBytes(name, r.before))
		}
		b.Write(tagBytes(name, r.now))
	}
	if err := t.s.write("tags", b.Bytes()); err != nil {
		return err
	}
	f, err := os.OpenFile(t.s.path("tags"), os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.broken = err // the file that is open has no name any more
		return stateError(err)
	}
	_ = t.file.Close() // what was in it is in the other
	t.file, t.synced, t.broken = f, t.written, nil
	return nil
}

func (t *tags) close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return stateError(t.file.Close())
}
