// Package hint reads the notifications that registries send, and makes of them
// what a mirror needs to know: where something may have changed.
//
// A notification is a hint and no more. It may be lost, late, repeated, out of
// order or forged, so nothing is taken from it but the name of a repository to
// look at soon; what is there is always read from the storage.
//
// # What is read
//
// The envelope of Docker Distribution, 2.x and 3.x: events whose action is
// push, mount or delete. A mount names the repository that was mounted from
// too, but nothing changes there.
//
// The webhook of MSR and DTR: one event a body. TAG_PUSH, TAG_DELETE,
// MANIFEST_PUSH, MANIFEST_DELETE, PROMOTION, PUSH_MIRRORING and POLL_MIRRORING
// name a repository as contents.namespace and contents.repository; what the
// last three hold is nowhere documented, so they may name none.
//
// # Decisions
//
// Fields that are not known are ignored, and so are actions and types that
// change nothing in the storage: a body that holds only those is sound and
// gives no hint. Refusing them was rejected: a registry sends what was refused
// again, for ever, and what comes after it waits.
//
// One name that no registry can have refuses the whole body, because then it is
// not from a registry. Taking the good names of a bad body was rejected for the
// same reason.
//
// # Bounds
//
// The body: as many bytes as the caller says. Events: [MaxEvents]. A name: 255
// bytes, which is the registry's own limit.
package hint
