// Package verify proves what a registry's storage holds: that bytes are those
// that their digest names ([Reader]) and that a tag has everything a pull of
// it needs ([Closure]).
//
// It judges from one side alone. The name of a blob is the digest of its
// content, so the other side need not be read, or exist any more.
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
package verify
