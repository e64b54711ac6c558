// Package mirror keeps a second storage of a registry continuously equal to
// the first: rounds of the engine, hints that are followed at once, deletion
// that is planned and guarded, and one writer at a time.
//
// # A round
//
// A full round is a run of [migrate.Run] with a checkpoint. Between full rounds,
// which come every FullEvery, a round lists repositories only; what it finds
// there brings its blobs along. A hint names a repository, which a run of its
// own brings up to date beside the round that is under way; the two share a
// budget, what was proved, and one worker for a repository at a time. Each full
// round proves another slice of the destination's blobs again and replaces what
// has rotted.
//
// Whatever goes wrong with a side ends the session: both stores are closed, and
// opened anew after a pause, which grows up to the interval. Only what a human has
// to look at ends [Mirror.Run]: [ErrGuard], and a state that is damaged, another's
// or forbidden. A volume of the state that is full for a while is backed off from.
//
// # Who writes
//
// The lease is an object beside the registry's tree. Its holder writes it again
// every quarter of its time, stops writing when half of it went by without
// success, and reads it again, if the last reading is a second old, before each
// tag and each deletion. Another mirror takes it when its count has not moved for
// the whole time, by the waiting one's own clock; one of the same state when it
// has not moved for three quarters, since a copy of a state may be at work, too.
// Where the store cannot replace on condition (OpenStack Swift, Alibaba OSS) it is
// taken over only when its holder released it, or by the same mirror, or with
// Takeover. A deletion begins only while the lease lasts for longer than stores
// try to delete; so with Delete it is a minute at least.
//
// A registry that was switched over writes the destination, too. So a tag is
// overwritten only where it holds what this mirror wrote or saw, which is durable
// in its state before it is at the destination. A tag of the destination alone
// that the mirror knows nothing of, and a push in progress there, stop it as
// well; but for those that were there when the mirror was new, which are kept in
// mind and left alone. After the state was lost, what a tag of the destination
// holds is taken for the source's if the source has that manifest.
//
// [Mark] leaves the marker with which [Mirror.Finish] and a final migration end;
// mirrors and migrations refuse a destination that has it.
//
// Takeover is for once. It takes the lease, accepts the marker that stands then,
// and lets tags of others be overwritten until one full round has gone to its
// end, whatever that left undone. The state keeps this: after it, and after a
// restart with the flag still there, the marker that was accepted is no
// hindrance, and another one is, as is what somebody writes from then on. A start
// without the flag makes ready for another takeover.
//
// # Deletion
//
// Candidates are objects of a registry that this mirror has seen at the source,
// that two complete full rounds in a row did not find there, and that have been
// absent for DeleteAfter. That time is added up from the times between complete
// full rounds of one process, on the monotonic clock and each at most twice the
// time that rounds are apart: a clock that is set, a week's sleep, or rounds that
// failed make nothing old. A plan is refused as a whole where more would be
// deleted than MaxDelete, or where the source is not known again: empty, at
// another place, or without most of the blobs that it is known by, which the
// destination keeps. [Approve] lets one plan through, and of it only what is
// still due.
//
// Then nothing else copies. Tags go first, each after what it has named before;
// then links that nothing needs that stays; then blobs that nothing at the
// destination refers to, for which every link and every manifest there is looked
// at. Before each object the lease is read, the source is asked for that very
// key, and the journal has it durably. A hint that waits is given way to.
//
// # Decisions
//
// Not what was deleted according to notifications: they get lost, and a garbage
// collection sends none. Only listings say what is absent, and only twice.
//
// What the source had is kept as 8 bytes a key, salted and in files of their own
// for each part of the registry, not in the checkpoint: it outlives migrations,
// and is rewritten only where a part has changed. A set that two names meet in
// would let an object be deleted that was never seen; that a name of the
// destination meets one of a hundred million by chance has a probability below
// one in a hundred billion, and nobody can aim at it without the salt.
//
// Takeover is not begun anew with each start, though the operator may mean that:
// a flag that was forgotten in a manifest would undo the guards at the moment for
// which they are there.
//
// Not a database under the state: files that are replaced whole, and one that is
// only appended to, need no repair.
//
// # Bounds
//
// Memory, beside the engine's: 8 bytes a key of the parts being listed, some 40 a
// tag, 250 an object that the source lost, of which 200,000 are followed at once;
// 1,000 repositories that hints named; 100 rounds. On disk: 8 bytes a key and some
// 40 a tag, the checkpoint, and two journals of deletions of 64 MiB and a plan each.
package mirror
