package mirror

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
)

// Names of what a mirror keeps at the destination, beside the registry's tree.
const (
	leaseKey    = ".regferry/lease"
	finishedKey = ".regferry/finished"
	identityKey = ".regferry/mirror"
)

// identity is which source the destination mirrors, as the destination has it:
// where it is, and some of its blobs, so that an empty or another volume that is
// mounted in its place is not taken for it.
type identity struct {
	Source    string          `json:"source"`
	Landmarks []digest.Digest `json:"landmarks"`
}

// maxLandmarks are the blobs with the least digests.
const maxLandmarks = 64

// readSmall decodes an object of the destination; nothing if it is not there.
func readSmall(ctx context.Context, s backends.ReadStore, key string, into any) (found bool, err error) {
	data, err := readObject(ctx, s, key)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, backends.At(backends.Destination, err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return false, &backends.Error{Side: backends.Destination, Op: "read", Key: key, Class: backends.Corrupt, Err: err}
	}
	return true, nil
}

func readObject(ctx context.Context, s backends.ReadStore, key string) ([]byte, error) {
	b, err := s.Open(ctx, key, 0)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(b, backends.SmallMost+1))
	if err = errors.Join(err, b.Close()); err != nil {
		return nil, err
	}
	if len(data) > backends.SmallMost {
		return nil, &backends.Error{Op: "read", Key: key, Class: backends.Corrupt, Err: fmt.Errorf("it has more than %d bytes", backends.SmallMost)}
	}
	return data, nil
}

func writeSmall(ctx context.Context, s backends.Store, key string, v any) error {
	data, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		return err
	}
	_, err = s.Put(ctx, key, backends.Content{Size: int64(len(data)), Open: func(_ context.Context, offset int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data[offset:])), nil
	}})
	if err != nil {
		return backends.At(backends.Destination, err)
	}
	if syncer := backends.PowersOf(s).Syncer; syncer != nil {
		err = syncer.Sync(ctx)
	}
	return backends.At(backends.Destination, err)
}

// Finished is the marker of a destination to which a migration was finished:
// from then on somebody may push there, and who went on with the migration would
// overwrite that.
type Finished struct {
	ID     string    `json:"id"` // of this one: two may be left in one second
	At     time.Time `json:"at"`
	Source string    `json:"source"`
	By     string    `json:"by"`
}

func (f Finished) id() string { return f.ID + " " + f.At.UTC().Format(time.RFC3339) }

func readFinished(ctx context.Context, dst backends.ReadStore) (f Finished, found bool, err error) {
	found, err = readSmall(ctx, dst, finishedKey, &f)
	return f, found, err
}

// Mark leaves the marker.
func Mark(ctx context.Context, dst backends.Store, source, by string) error {
	return writeSmall(ctx, dst, finishedKey, Finished{rand.Text(), time.Now().UTC().Truncate(time.Second), source, by})
}

// CheckFinished is [ErrFinished] where the marker stands.
func CheckFinished(ctx context.Context, dst backends.ReadStore) error {
	return checkFinished(ctx, dst, "")
}

// checkFinished lets one marker be.
func checkFinished(ctx context.Context, dst backends.ReadStore, accepted string) error {
	f, found, err := readFinished(ctx, dst)
	if err != nil || !found || accepted != "" && f.id() == accepted {
		return err
	}
	return fmt.Errorf("%w on %s, from %s: what was pushed to it since would be overwritten; if nothing was, go on with --takeover", ErrFinished, f.At.Format(time.DateTime+" MST"), backends.Printable(f.Source))
}
