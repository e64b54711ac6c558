package checkpoint

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

const (
	keptRuns     = 100 // records of runs in the file
	shownFailure = 10  // failures in a Summary
)

// state is what a whole reading of a file finds, without the digests.
type state struct {
	format   int
	identity identityRecord
	pass     Pass
	shards   map[string]place
	uploads  map[string]UploadInfo
	failed   failed
	first    []Failure
	totals   Totals
	runs     []Run
	lastRun  uint64 // number of the last of them
	nextFail uint64
	proved   int64 // digests
	ours     bool  // the magic was there
	bad      error // the first record that makes no sense
}

// read judges a whole file through r and returns what it says. Errors are
// typed but for those of reading itself.
func read(path string, r io.ReaderAt, size int64) (*state, error) {
	s := &state{shards: map[string]place{}, uploads: map[string]UploadInfo{}}
	if err := walk(r, size, s.add); err != nil {
		if fault := new(os.PathError); errors.As(err, &fault) {
			return nil, &AccessError{Path: path, Op: "read", Err: err}
		}
		return nil, &CorruptError{Path: path, Err: err}
	}
	switch {
	case s.format > Format: // before all else: what follows may be written in another way
		return nil, &FormatError{Path: path, Version: s.format}
	case s.bad != nil:
		return nil, &CorruptError{Path: path, Err: s.bad}
	case !s.ours:
		return nil, &CorruptError{Path: path, Err: errors.New("it is a bbolt file of another program")}
	case s.format < 1 || s.identity.Created.IsZero():
		return nil, &CorruptError{Path: path, Err: errors.New("its head is incomplete")}
	}
	return s, nil
}

// add takes one record in. What makes no sense is remembered, not returned,
// because the format version decides first, and comes later.
func (s *state) add(bucket string, key, value []byte) error {
	payload, err := unseal([]byte(bucket), key, value)
	if err == nil {
		err = s.parse(bucket, key, payload)
	}
	if err != nil && s.bad == nil {
		s.bad = fmt.Errorf("in %.20q: %w", bucket, err)
	}
	return nil
}

func (s *state) parse(bucket string, key, payload []byte) error {
	switch bucket {
	case string(headBucket):
		return s.parseHead(string(key), payload)
	case string(shardBucket):
		p, err := parsePlace(payload)
		s.shards[string(key)] = p
		return err
	case string(provedBucket):
		if !strings.HasPrefix(string(key), "repositories") { // names of repositories, not blobs
			s.proved += int64(len(payload) / digestSize)
		}
		if len(payload)%digestSize != 0 || bytes.IndexByte(key, 0) != len(key)-9 {
			return errors.New("a list of digests makes no sense")
		}
	case string(uploadBucket):
		var u uploadRecord
		if err := json.Unmarshal(payload, &u); err != nil {
			return err
		}
		s.uploads[string(key)] = UploadInfo{Key: string(key), Offset: u.Offset, Saved: u.Saved}
	case string(failureBucket):
		var f failureRecord
		if err := json.Unmarshal(payload, &f); err != nil {
			return err
		}
		if len(s.first) < shownFailure {
			s.first = append(s.first, f.failure())
		}
		return numbered(key, &s.nextFail)
	case string(runBucket):
		var r Run
		if err := json.Unmarshal(payload, &r); err != nil {
			return err
		}
		s.runs = append(s.runs, r)
		return numbered(key, &s.lastRun)
	}
	return nil // a bucket of a later regferry with the same format
}

func (s *state) parseHead(key string, payload []byte) error {
	switch key {
	case keyMagic:
		s.ours = string(payload) == magic
	case keyFormat:
		return json.Unmarshal(payload, &s.format)
	case keyIdentity:
		return json.Unmarshal(payload, &s.identity)
	case keyPass:
		return json.Unmarshal(payload, &s.pass)
	case keyTotals:
		return json.Unmarshal(payload, &s.totals)
	case keyFailed:
		return json.Unmarshal(payload, &s.failed)
	}
	return nil
}

func numbered(key []byte, last *uint64) error {
	if len(key) != 8 {
		return errors.New("the number of a record makes no sense")
	}
	*last = binary.BigEndian.Uint64(key)
	return nil
}

// Run is one process that had the file open.
type Run struct {
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"` // zero: under way, or killed
	How     string    `json:"how,omitempty"`  // as SetOutcome was told
	PID     int       `json:"pid"`
	Host    string    `json:"host,omitempty"`
	Version string    `json:"version,omitempty"` // of regferry
}

// Totals are counts of all runs of a migration together.
type Totals struct {
	Objects int64 `json:"objects"` // written
	Bytes   int64 `json:"bytes"`   // written
	Present int64 `json:"present"` // found at the destination, in no need of writing
}

func (t *Totals) add(d Totals) {
	t.Objects += d.Objects
	t.Bytes += d.Bytes
	t.Present += d.Present
}
