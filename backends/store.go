package backends

import (
	"context"
	"io"
	"iter"
	"time"

	"github.com/opencontainers/go-digest"
)

// Object is what a store says of one object without reading it.
type Object struct {
	Key     string
	Size    int64     // bytes; -1 where a listing cannot know (a Swift DLO, an SLO on Ceph)
	ModTime time.Time // zero where the store does not say
	MD5     []byte    // of the content, where the store vouches for it; nil means unknown, never empty
}

// Body is an open object. Object describes what was opened, which may be
// newer than what was listed.
type Body struct {
	io.ReadCloser
	Object Object
}

// ReadStore is a side that is only read: it has no method that writes, so a
// source cannot be harmed through it.
//
// Keys are registry paths (docker/registry/v2/...) without a leading slash,
// whatever the backend calls them inside.
//
// The rules of List, whose numbers the conformance suite repeats:
//
//	L1 objects come in ascending byte order of the whole key; a directory
//	   sorts as its name plus "/"; a store that lists out of order is an error
//	L2 after is exclusive, need not exist, and need not have the prefix
//	L3 a failed listing is never an empty listing: the last pair carries the
//	   error and nothing follows it
//	L4 a size that the listing cannot know is -1
//	L5 a service without a start-after lists again what lies before after,
//	   and drops it
//	L6 prefix is a prefix of the key as a string, not a directory; an absent
//	   prefix is an empty listing
//	L7 breaking off the iteration frees everything the listing held
//
// The rules of Stat and Open:
//
//	R1 an absent key is an error for which errors.Is(err, fs.ErrNotExist) holds
//	R2 Open at an offset equal to the size yields an empty body; beyond the
//	   size, or negative, it is an error
//	R3 a body that ends before the size it promised returns an error, never io.EOF
//	R4 cancelling the context of Open ends the reading of its body with an
//	   error within the time of one read
type ReadStore interface {
	// Location is printable, holds no secret, and is equal for two values
	// that are the same store.
	Location() string
	List(ctx context.Context, prefix, after string) iter.Seq2[Object, error]
	Stat(ctx context.Context, key string) (Object, error)
	Open(ctx context.Context, key string, offset int64) (Body, error)
	Close() error
}

// Store is a side that is written. The rules of Put:
//
//	P1  after any error the key holds its old object or nothing
//	P2  nil means durable and readable by another client; for a [Syncer] both
//	    hold after its next Sync, and the object never shows before its bytes
//	    are durable
//	P3  more or fewer bytes than Size are an error, and nothing is stored
//	P4  a reader that returns an error other than io.EOF: that error comes
//	    back wrapped, and nothing is stored
//	P5  what a service refuses because of a checksum is Corrupt
//	P6  cancelled at any moment, nothing new is stored and neither a goroutine
//	    nor an unfinished upload is left behind, but for one that Content.Saved
//	    was told of
//	P7  size 0 works
//	P8  memory is bounded by part size times concurrency, whatever Size is
//	P9  two Puts of one key leave one whole object
//	P10 Put opens and closes its own readers; it may open more than one, in turn
//
// A key is refused with [Unsupported] where the store cannot hold it (a file
// system where a file is in the way of a directory, a name that is too long).
type Store interface {
	ReadStore
	Put(ctx context.Context, key string, c Content) (Object, error)
}

// Content is what Put stores.
type Content struct {
	Size   int64         // bytes, known before the first one is read
	Digest digest.Digest // of the whole, where known; empty for links and unknown objects

	// Open yields the bytes from offset on. It is called again for each
	// attempt, with 0 or, once, with From.Offset. A reader that is an
	// encoding.BinaryMarshaler can give the state of its hash over all the
	// bytes before its position.
	Open func(ctx context.Context, offset int64) (io.ReadCloser, error)

	// From is where an interrupted Put of the same content stopped, as its
	// Saved was told; zero for none. A store that cannot use it starts at 0.
	From Upload

	// Saved, unless nil, is called each time more of the content is durable in
	// an unfinished upload. An error ends the Put.
	Saved func(Upload) error
}

// Upload is an unfinished Put that a later process can go on with. Its
// fields are all that is needed: they go through the checkpoint.
type Upload struct {
	Token  string `json:"token"`  // names the upload within the store
	Offset int64  `json:"offset"` // bytes durable, from the start
	Hash   []byte `json:"hash"`   // marshalled state of the digest over those bytes
}
