// Package backends is the contract of a store: what a migration asks of a
// directory, a bucket or a container, and nothing more. It imports nothing of
// this module. The rules are numbered at [ReadStore] and [Store], and those of
// two powers at [Deleter] and [ConditionalPutter]; package backendtest has a case
// for each and every backend passes them all.
//
// # Decisions
//
// The contract is ours, and gocloud.dev's Bucket is one way to meet it
// (package bucket). As the contract itself it was rejected: it cannot start a
// listing behind a key, it stores half an object when a writer is closed
// where it should have been abandoned, throttling and a broken line come out
// as the same unknown error, it has no durability in groups and no upload that
// a later process goes on with, and its file driver escapes names, does not
// sync, and lists out of byte order.
//
// Reading and writing are two types. A source is a [ReadStore], so no mistake
// above can write to it. One interface with a read-only flag was rejected: a
// flag is checked at run time, by whoever remembers.
//
// List is an iterator in byte order of the whole key. Two sorted listings are
// merged in constant memory and so tell what exists without a request per
// object; that needs one order for all stores, and byte order is the one that
// S3, GCS, Azure and Swift have. Walking directories was rejected: a bucket
// has none, and a directory's own order (a, a-b) is not the order of its keys
// (a-b/x, a/x). A channel was rejected: whoever stops reading leaks its
// sender. After is exclusive and need not exist, so the last key of a
// checkpoint is enough to go on, even if it has gone since; a page token was
// rejected since it dies with the process or the service's patience. An order
// that is wrong would lose objects in the merge silently, hence [Ordered].
//
// Put takes a [Content] that it opens itself, not an io.Reader. A reader can
// be read once, but a failed part, a refused checksum or a redirect needs the
// bytes again, and an upload that was interrupted needs them from its middle.
// The size comes first: every service wants to know it, and only so is a short
// source told from a whole one. What must hold about the bytes (a digest) is
// the reader's to check; Put has only to honour its error. A writer handed to
// the caller was rejected: closing it and abandoning it look alike.
//
// Errors carry a [Class], given once by the driver that knows its service.
// The engine asks what to do (again, later, never, stop the run), and not
// which of forty SDK errors it was. Matching text was rejected, and so was a
// sentinel per service. An [Error] says side, operation and key because the
// operator has two stores and a million keys.
//
// [Syncer] exists because a file system makes one fsync of everything much
// cheaper than ten thousand of single files, while an object store is durable
// with each answer. Making every Put durable by itself was rejected as up to
// ten times slower for small objects; a Flush on every store was rejected
// because most would have nothing to do and so nobody would notice it missing.
//
// Powers are small interfaces, collected once into [Powers], which preflight
// prints. Asking with a type assertion where the power is used was rejected:
// a wrapper hides or invents a power, and nobody sees it. "Cannot" is never
// learnt from a failing call, but for a service that ignores conditions, which
// only a trial tells; it is made at the first PutIf and not when the store is
// opened, since most runs need none.
//
// Delete is a power and not a method of [Store], so that what never deletes is
// not handed the means: a migration does not ask for it. It takes an absent key
// for deleted, because whoever deletes goes on after an interruption and after
// the registry's own garbage collection. A deletion that was begun is not given
// up (some seconds at most): services go on with it when nobody waits any more,
// so that an answer to a cancellation would be a guess (rule D5). Deleting many
// keys in one request was rejected: not every service has it, and each key
// has an error of its own in the answer.
//
// A directory has to go with its last object, in one rename, since a registry
// serves a directory below tags/ as a tag (rule D7); the object stores have none.
// To unlink the file and remove the directories upwards was rejected: a tag
// without its link is in sight in between, for as long as a crash lasts.
//
// [ConditionalPutter] is for a lease: two mirrors of one destination must not
// both delete there. It is small objects only, so that one request, or one
// rename, decides. A request is not repeated: the second would be refused for
// what the first has done. Only creating (which Swift and OSS have) was rejected
// as a power of its own: a lease whose holder died could not be taken over by
// one alone.
package backends
