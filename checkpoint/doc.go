// Package checkpoint keeps the resumable state of one migration in one file.
//
// The file claims only what is durable at the destination, so a run that was
// killed at any byte finds nothing missing of what it claims, and does little
// twice. It is never needed: who loses it lists both sides once more. It does
// not say whether a destination is right; that is seen in the listings.
//
// # Order
//
// Calls queue in memory. Every half second one goroutine takes what is queued,
// calls the destination's Sync, and commits, in this order. A claim is queued
// after its Put returned nil, so it was Put before that Sync began; what is
// queued while the Sync runs waits for the next one. A Sync or commit that
// fails ends all commits: nobody knows what the destination holds.
// Upload records are committed at once and without a Sync, because the store
// has made those bytes durable before it reports them.
//
// Memory: two batches of 1 MiB of digests and 1 MiB of failures each, a cursor
// for each shard (some 300), a key for each unfinished upload (at most 1000),
// and the digests of the shards that callers hold. bbolt maps the file.
//
// # Format 1
//
// A bbolt file, version 2 of that format, with pages of 4 KiB. Each value ends
// with a CRC-32C, 4 bytes big-endian, over bucket, NUL, key and payload: bbolt
// has checksums on its two meta pages only, and a flipped bit in a cursor must
// not become a claim.
//
//	bucket    key                  payload
//	regferry  magic                "regferry checkpoint"
//	          format               1
//	          identity             JSON: source, destination, root, created
//	          pass                 JSON: number, started, complete, dropped, scope
//	          totals               JSON: objects, bytes, present
//	          failed               JSON: counts of the failures of this pass
//	shards    name                 1 byte (1: finished), then the cursor
//	proved    name NUL number      digests, their first 8 bytes each
//	uploads   key of the object    JSON: token, offset, hash, saved
//	failures  number               JSON: at most 10,000 of this pass
//	runs      number               JSON: the last 100 processes
//
// Numbers in keys have 8 bytes, big-endian. bbolt's own numbers are in the order
// of the machine, so a file does not move between little- and big-endian ones.
//
// It holds names, counts and tokens of unfinished uploads; no credentials, no
// environment, no command line. Tokens name an upload within the store, and are
// not enough to write to it, but for that of Google Cloud Storage: there it is
// the right to finish that one object, for a week. So the mode is 0600, and no
// command prints a token.
//
// # Compatibility
//
// A regferry reads the formats of all earlier ones (testdata has a file of
// each) and refuses later ones by their number, which stays where it is. Within
// a format, buckets, keys and JSON fields may be added; unknown ones are
// ignored and kept.
//
// # Refusing
//
// bbolt trusts its pages: on a damaged file it panics, faults, recurses until
// the stack is full or loops for ever. So a file is locked, then read whole
// with plain reads, its tree, free list and every checksum checked, and only
// then given to bbolt. Damage that comes later (a file cut short under us, a
// disk that fails) becomes an error too. Nothing is repaired, and nothing is
// written to a file that is refused.
//
// # Decisions
//
// bbolt, not an append-only log: group commit, crash safety and a lock are
// there and proven, and a log needs compaction as soon as cursors move. Not
// SQLite: cgo, or a large translation of it. Not JSON in the bucket: the
// checkpoint must be written each half second, must lock, and the source is
// only read while the destination belongs to the registry.
//
// 8 bytes a digest: enough to tell 20 million blobs of one migration apart (a
// single wrong match has a chance below one in ten thousand), and a match only
// means that an existing blob of the right size is not hashed again.
//
// One bucket for the digests of all shards, not a bucket each, which would
// cost each shard a page of its own. A shard is compacted into sorted values
// when it is finished, or after 64 appended values.
//
// Not on NFS or another network file system: bbolt maps the file, and a map
// there may show old pages after another client wrote; flock is per machine on
// old NFS and lost when a server restarts. It works as long as one machine uses
// it, so [Caution] warns and Open does not refuse.
package checkpoint
