// Package backendtest tests stores: the conformance suite that every backend
// passes ([Run]), faults to inject into a store ([Faults]) and counted
// requests ([Counter]).
//
// A backend's own test is a [Harness] of some lines. Each case bears the
// number of the rule of package backends that it tries to break. The suite's
// own test runs a model store with one deliberate violation at a time and
// demands that the case for it fails, and that no case is left that nothing
// has made fail.
//
// # Decisions
//
// Faults wrap a store from outside instead of a test double with scripted
// answers: what runs below is the real store. A fault that was armed and never
// fired fails the test, because such a test proves nothing. A wrapped store
// has exactly the powers of the one inside.
//
// Contents are computed from a seed and an offset and never held, so that a
// case with 100 MB measures the store's memory and not its own.
//
// A rule that a store is known to break is named in [Harness.Violates] with
// the reason, and the case must then fail: a list of exceptions that nobody
// checks goes stale. Skipping such cases was rejected.
//
// The cases do not run in parallel with each other or with anything else:
// goroutines and memory are counted for the whole process.
package backendtest
