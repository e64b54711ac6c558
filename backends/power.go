package backends

import (
	"context"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
)

// Syncer is a store that buys durability in groups: a Put that returned nil
// is durable, and visible, after the next Sync that returned nil. Sync may be
// called while Puts and other Syncs run; it covers the Puts that returned
// before it was called.
//
// An error that is a *[SyncError] names the keys that failed; all else that
// was Put before is durable. After any other error nothing since the last
// Sync is sure, and the store is not to be written again.
type Syncer interface {
	Sync(ctx context.Context) error
}

// Spacer is a store that knows how much room it has.
type Spacer interface {
	Space(ctx context.Context) (Space, error)
}

// Space is in bytes, as df shows it.
type Space struct {
	Total, Used int64
	Free        int64 // what a writer may use: some file systems keep a reserve
	FreeFiles   int64 // how many more files there may be; -1 where nothing but the bytes limits them
}

// Cleaner is a store that keeps unfinished work in a scratch place of its
// own. Clean removes what dead runs left there, but not the uploads whose
// tokens are in keep nor what a living process holds, and returns how many
// things it removed.
type Cleaner interface {
	Clean(ctx context.Context, keep map[string]bool) (int, error)
}

// Prover is a store that knows which checksums its service compares with the
// bytes that it gets. Where it compares none, Put reads back what it wrote.
type Prover interface {
	Proof() string // the names of the checksums, printable
}

// ServerSideCopier is a store whose service copies from another store, so that
// the bytes do not pass through here.
type ServerSideCopier interface {
	// CopiesFrom says whether that is worth trying with src.
	CopiesFrom(src ReadStore) bool
	// CopyFrom is a Put of an object of src, whose digest the service proves. An
	// error, unless it is the context's, says no more than that this way is
	// closed: the bytes have to be Put, which tells what is wrong, if anything.
	CopyFrom(ctx context.Context, src ReadStore, o Object, d digest.Digest) error
}

// ChecksumReporter is a store whose service keeps digests that it has compared
// with the bytes it got.
type ChecksumReporter interface {
	// StoredDigest returns the digest of the whole object and its size in
	// bytes. An empty digest says that none is kept.
	StoredDigest(ctx context.Context, key string) (digest.Digest, int64, error)
}

// Trier is a store that tries out what a migration needs of it, with a scratch
// object that it removes again: to write, read, list and delete.
type Trier interface {
	Try(ctx context.Context) (Trial, error)
}

// Trial is how that went.
type Trial struct {
	Clock time.Duration // how far the service's clock is ahead of this one, to the second; 0 where it does not say
	Took  time.Duration // to write the object
	Stays error         // why it could not be removed again, as a policy may have it; nil: it was
}

// Cautioner is a store that knows what an operator should know before it is
// read or written: versions that are kept, rules that delete, archives, a line
// that anybody can read. What cannot be asked is not told.
type Cautioner interface {
	Cautions(ctx context.Context) []string // a sentence each
}

// Placer is a store that may come to be another than the one at its place: a
// directory that is moved, or mounted over.
type Placer interface {
	// InPlace is nil while the place still leads to what was opened.
	InPlace(ctx context.Context) error
}

// Deleter is a store that deletes objects. The rules of Delete, whose numbers the
// conformance suite repeats:
//
//	D1 a key that is absent is no error, nor is one that only begins other keys
//	D2 nil means durable: the key is NotFound for every client, and listings lack
//	   it as soon as they would show a Put (Swift's may be behind)
//	D3 no other key changes: not one of which it is a prefix, nor one beside it
//	D4 all that an object of many parts was made of goes, but for what another
//	   object is, or may be, made of as well
//	D5 cancelled at any moment, the object is there whole or not at all, and no
//	   request is under way any more that would delete it later
//	D6 what is Put to other keys meanwhile is there afterwards
//	D7 a directory goes with its last object, at once: never is there one in
//	   sight that has nothing in it. Whoever deletes objects of which one makes
//	   sense only beside another (a registry's tag is a directory, with the link
//	   that makes it a tag) deletes that other one last
//
// What was Put and not yet made durable by a Sync is deleted as well. An error of
// the class [Changed] says that others write there: list again, then decide.
type Deleter interface {
	// Delete removes one object.
	Delete(ctx context.Context, key string) error
}

// SmallMost is how many bytes an object of a [ConditionalPutter] may have.
const SmallMost = 64 << 10

// ConditionalPutter is a store that replaces a small object only if it still is
// what was read, such as a lease. It is for keys that nobody Puts: those below
// .regferry/ that [Cleaner] leaves alone. The rules:
//
//	C1 of no version, it is written only where no object is
//	C2 else only over the object that has the version, which Get or PutIf returned
//	C3 of any number of callers with one version, in any processes, one at most
//	   has written
//	C4 what is not written for its version is [Changed], and the object is the old
//	C5 Get of an absent key is an error for which errors.Is(err, fs.ErrNotExist)
//	   holds
//
// A version may be no more than a digest of the content. So a content has to say
// who wrote it and to count, lest an object that was changed and changed back is
// taken for the same one. nil means durable. After an error that is not Changed
// nobody knows whether it was written: Get tells. A service that ignores
// conditions is found out at the first PutIf, and it and all others are
// [Unsupported].
type ConditionalPutter interface {
	// Get reads a small object and its version. One that has more than SmallMost
	// bytes is Unsupported.
	Get(ctx context.Context, key string) (content []byte, version string, err error)
	// PutIf returns the new version.
	PutIf(ctx context.Context, key string, content []byte, version string) (string, error)
}

// Powers is the table of what a store can do beyond the contract, collected
// once, so that nobody asks twice and an operator can read it.
type Powers struct {
	Syncer  Syncer
	Spacer  Spacer
	Cleaner Cleaner
	Prover  Prover

	ServerSideCopier ServerSideCopier
	ChecksumReporter ChecksumReporter

	Trier     Trier
	Cautioner Cautioner

	Placer            Placer
	Deleter           Deleter
	ConditionalPutter ConditionalPutter
}

// PowersOf collects the powers of s. A store that wraps another, and so has all
// methods whatever the other can, says by a method Powers which of them count.
func PowersOf(s ReadStore) Powers {
	if w, ok := s.(interface{ Powers() Powers }); ok {
		return w.Powers()
	}
	var p Powers
	p.Syncer, _ = s.(Syncer)
	p.Spacer, _ = s.(Spacer)
	p.Cleaner, _ = s.(Cleaner)
	p.Prover, _ = s.(Prover)
	p.ServerSideCopier, _ = s.(ServerSideCopier)
	p.ChecksumReporter, _ = s.(ChecksumReporter)
	p.Trier, _ = s.(Trier)
	p.Cautioner, _ = s.(Cautioner)
	p.Placer, _ = s.(Placer)
	p.Deleter, _ = s.(Deleter)
	p.ConditionalPutter, _ = s.(ConditionalPutter)
	return p
}

// String lists the powers by name, for preflight.
func (p Powers) String() string {
	var names []string
	add := func(has bool, name string) {
		if has {
			names = append(names, name)
		}
	}
	add(p.Syncer != nil, "sync in groups")
	add(p.Spacer != nil, "free space")
	add(p.Cleaner != nil, "clean scratch")
	add(p.ServerSideCopier != nil, "copy by the service")
	add(p.ChecksumReporter != nil, "stored digests")
	add(p.Deleter != nil, "delete")
	add(p.ConditionalPutter != nil, "replace on condition")
	if p.Prover != nil {
		add(true, "checks "+p.Prover.Proof())
	}
	if names == nil {
		return "none"
	}
	return strings.Join(names, ", ")
}
