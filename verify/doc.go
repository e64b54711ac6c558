// Package verify proves what a registry's storage holds: that bytes are those
// that their digest names ([Reader]), that a tag has everything a pull of it
// needs ([Closure]), and that a whole store is sound or two are equal ([Run]).
//
// The name of a blob is the digest of its content, so one side is judged from
// itself alone: the other need not be read, or exist any more. Comparing, Run
// judges the destination, and looks at the source only for presence, for what
// tags name, and where something is wrong, to say whose damage it is. Nothing
// here is given anything that writes.
//
// # How Run works
//
// Blobs first, shard by shard, from the merged listings: presence and size cost
// no request per object. What the level asks beyond is done by workers beside
// the listing. Then the repositories, each when all its keys are listed: links
// are proved by the MD5 of the listing where there is one and read elsewhere,
// each manifest is read once, and closures are answered from memory. What
// closures, links and tags have named is taken out of the set of the blobs; the
// rest is unreferenced, and listed once more for names and sizes if there is
// any. Both sides may be in use: what one was listed without, and all that a
// broken tag lacks, is asked for once more after a pause before it is reported,
// a link that is empty is read once more, and so is that of a broken tag. That
// is done in batches, and for 10,000 things at most.
//
// Memory: of each side 8 bytes a blob, of the judged one 16, with up to as much
// again for room to grow; 150 bytes a revision, tag and unread link of the
// repositories at hand, of which there are as many as listings (at most 16);
// and 8 a layer link of those without a revision whose listed tags wait until
// it is known whether this registry keeps its tags in a database.
//
// # Whose damage
//
// The source's, if it lacks the thing too, or has it broken: for that, blobs
// which the destination lacks or has wrong are read at the source, up to a
// thousand of them; what is beyond is the transfer's. The destination's, if the
// thing is there with the right size and other bytes, or if the source never
// had it. Else the transfer's, and so is the loss of a link to what is broken at
// the source: a migration copies those as they are. A source that has fewer links or blobs than the
// destination is judged as well: whatever it lacks may be what its tags need.
//
// # Decisions
//
// A Reader, not a hash taken afterwards: the check ends the stream, so a store
// that honours the error of a reader can never finish an object that is
// wrong, and nothing is read twice. Limiting the source to the expected length
// was rejected: trailing bytes would pass unseen.
//
// Closure asks through functions, not through a store: the engine answers
// them by copying on the spot what the destination lacks, an audit by looking.
// What "whole" means stands in one place for both.
//
// One cause, few findings: a blob that is not there is missing once, however
// many need it, and each tag that needs it is incomplete; links to it are not
// called dangling as well, and a revision that a tag has explained is not said
// again. A link that holds the digest of something else is malformed.
//
// A link of a layer counts as a reference. A registry's garbage collection
// counts manifests only, but a push in progress has no manifest yet.
//
// A [Sample] is chosen by digest, not at random, so that rounds can be shared
// out and repeated; presence, links and manifests are always looked at whole.
//
// What was proved is kept by a [Journal] only until the audit is complete: a
// proof says nothing about tomorrow.
package verify
