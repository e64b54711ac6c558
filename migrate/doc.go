// Package migrate is the engine: it brings a registry's storage from a store
// that is only read to one that is written, so that at every instant, also
// after a kill or a power cut, a registry started on the destination can serve
// every tag that it shows, as far as the source can.
//
// # A pass
//
// [Run] makes passes. A pass goes through the blobs first, in 256 shards of
// their digests, each a merge of two sorted listings: what the destination has
// is known without a request per object, and that it has nothing yet with a
// single one. It keeps 8 bytes a blob of what it
// saw or put there. Then it merges flat listings of the repositories, and those
// that differ, or whose closures this migration has not proved yet, are worked
// on one by one: listed in the reverse of the registry's order of writing
// (tags, revisions, layers), written in that order (layer links, revision
// links, children before indexes; Sync; tags; what the tags named before). A
// revision gets its link only when all that it refers to is at the
// destination, which is asked, and copied on the spot if a push came
// meanwhile. A tag's link is read again just before it is written.
//
// # Decisions
//
// Blobs have a pass of their own for speed only. Copying image by image, as
// tools on the registry's API do, was rejected: it asks for each shared layer
// once for each image, and leaves out what no tag names.
//
// Nothing waits for a whole phase to be right. A barrier between blobs and tags
// does not help a live source: a push between the two listings is enough for a
// tag without its layer. Asking for each closure does, at any time.
//
// A tag that cannot be pulled at the source is copied as it is, since the
// migration is not the time to lose the name, but never over one that works.
// Before it is called broken it is looked at three times over half a second: a
// registry deletes the revision link first and then its tags one by one.
//
// A layer link may be an alias: its name one digest, its content another. The
// closure follows it. Revision links have to hold their own name.
//
// The checkpoint answers no question about what is at the destination: only
// listings and Stat do. It saves listing again, keeps unfinished uploads, and
// remembers what this migration has proved. The places of shards are kept, not
// those of repositories: a repository that is done costs a listing and nothing
// else, and the flat listing is needed anyway.
//
// A repository whose closures were all proved is not judged again as long as
// both sides are equal; one with damage is, in each pass, so that damage is
// reported by each run and not only by the first. What is to be rechecked needs
// no judgement: with a choice of repositories it is what their links name.
//
// A SyncError during the work on a repository holds back all its tags for this
// pass. Which closure the lost object belongs to is not known without asking
// for all of them again, and such an error is rare.
//
// # Bounds
//
// Memory: 8 bytes a blob, and 8 more with RecheckExisting, and up to as much
// again while the sets grow; one buffer a worker; some 400 bytes for each tag, revision and layer of each
// repository at work, of which there are at most as many as workers; the
// window of a shard, at most 4,096 keys; 65,536 digests of corrupt blobs.
// Goroutines: workers for copies, half as many for listings, and workers for
// each repository at work; requests in flight are never more than workers.
package migrate
