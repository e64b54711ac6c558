package mirror

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// state is the directory of what a mirror has to remember:
//
//	lock         held by the process that uses it
//	state.json   head
//	seen-NNN     per part of the registry: keys that the source had, 8 bytes each
//	tags         what the mirror last wrote to each tag, 24 bytes each; appended to
//	foreign      tags and uploads of the destination that were there before it, 8 bytes each
//	absent       JSON lines: objects of the destination that the source lost
//	checkpoint   of the full round under way
//	plan.json    a plan of deletions that was refused; approved.json let through
//	deletions.jsonl  the journal of deletions; deletions.jsonl.1 the one before
//
// It holds names, counts and hashes; no credentials. Who loses it loses what the
// source once had: nothing is deleted until that was seen again.
type state struct {
	dir  string
	lock *os.File
	head head
}

type head struct {
	Format      int           `json:"format"`
	Source      string        `json:"source"`
	Destination string        `json:"destination"`
	Owner       string        `json:"owner"` // of the lease
	Salt        []byte        `json:"salt"`  // of the hashes: nobody can make two names that meet
	Rounds      uint64        `json:"rounds"`
	Full        uint64        `json:"full_rounds"`  // complete ones
	Clock       time.Duration `json:"clock"`        // time between complete full rounds of one process, summed up
	LastRound   time.Time     `json:"last_round"`   // when the last complete round began
	LastFull    time.Time     `json:"last_full"`    // and the last full one
	SampleRound uint64        `json:"sample_round"` // of the proofs
	Settled     bool          `json:"settled"`      // a full round has gone to its end, whatever it left undone
	Takeover    takeover      `json:"takeover"`
}

const stateFormat = 1

// openState opens the directory, or makes it, for one pair of locations.
func openState(dir string) (*state, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, stateError(err)
	}
	lock, err := lockFile(filepath.Join(dir, "lock"))
	if err != nil {
		return nil, stateError(fmt.Errorf("%s: %w; is another mirror of this pair running? stop it first", dir, err))
	}
	s := &state{dir: dir, lock: lock}
	if err := s.readHead(); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return s, nil
}

func (s *state) readHead() error {
	data, err := os.ReadFile(s.path("state.json"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		s.head = head{Format: stateFormat, Owner: rand.Text(), Salt: []byte(rand.Text())}
		return nil
	case err != nil:
		return stateError(err)
	}
	if err := json.Unmarshal(data, &s.head); err != nil {
		return s.damaged("state.json", err)
	}
	if s.head.Format != stateFormat {
		return stateError(fmt.Errorf("%s was written by another version of regferry, in format %d; use that, or another --state", s.dir, s.head.Format))
	}
	return nil
}

// damaged says what a damaged file costs.
func (s *state) damaged(name string, err error) error {
	return stateError(fmt.Errorf("%s is damaged: %w; move the directory away: the next full round makes a new one, and nothing is deleted until then", s.path(name), err))
}

// belong binds a new state to a pair of locations and refuses another's.
func (s *state) belong(src, dst string) error {
	h := &s.head
	switch {
	case h.Source == "" && h.Destination == "":
		h.Source, h.Destination = src, dst
		return s.writeHead()
	case h.Source != src || h.Destination != dst:
		return stateError(fmt.Errorf("%s belongs to a mirror from %s to %s; give another --state", s.dir, h.Source, h.Destination))
	}
	return nil
}

func (s *state) path(name string) string { return filepath.Join(s.dir, name) }

func (s *state) writeHead() error {
	data, err := json.MarshalIndent(s.head, "", "\t")
	if err != nil {
		return err
	}
	return s.write("state.json", data)
}

// write replaces a file, durably.
func (s *state) write(name string, data []byte) error {
	return stateError(replaceFile(s.path(name), data))
}

func replaceFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, giveAway(f), f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (s *state) close() error {
	return errors.Join(stateError(giveAwayAll(s.dir)), s.lock.Close())
}

// hash stands for a name.
func (s *state) hash(name string) uint64 {
	h := sha256.New()
	h.Write(s.head.Salt)
	_, _ = io.WriteString(h, name)
	return binary.BigEndian.Uint64(h.Sum(nil))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// writeHashes keeps a set of hashes, with a checksum.
func (s *state) writeHashes(name string, hashes []uint64) error {
	data := make([]byte, 0, 8*len(hashes)+4)
	for _, h := range hashes {
		data = binary.BigEndian.AppendUint64(data, h)
	}
	return s.write(name, binary.BigEndian.AppendUint32(data, crc32.Checksum(data, castagnoli)))
}

// readHashes reads what writeHashes wrote; nothing if there is no file.
func (s *state) readHashes(name string) ([]uint64, error) {
	data, err := os.ReadFile(s.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, stateError(err)
	}
	n := len(data) - 4
	if n < 0 || n%8 != 0 || crc32.Checksum(data[:n], castagnoli) != binary.BigEndian.Uint32(data[n:]) {
		return nil, s.damaged(name, errors.New("its checksum is not right"))
	}
	hashes := make([]uint64, 0, n/8)
	for ; len(data) > 4; data = data[8:] {
		hashes = append(hashes, binary.BigEndian.Uint64(data))
	}
	return hashes, nil
}
