// Package servers gives tests the real things to run against: container
// registries and object stores as processes of their own, crane, and a checker
// that pulls every tag a registry shows.
//
// Decisions.
//
//   - The real programs run, at pinned versions that .ci/tools installs; there
//     is no registry written for the tests. Where a program is missing the test
//     is skipped, and fails where REGFERRY_CI is set: a suite that is skipped
//     on every machine proves nothing.
//   - A server listens on a free port of 127.0.0.1 and answers with a header
//     made for it alone, so a test cannot talk to somebody else's registry that
//     took the port first.
//   - A server dies with the test process (Linux), also when that is killed or
//     panics at its time limit and no Cleanup runs.
//   - No descriptor cache, no redirects and no upload purging is configured: the
//     registry must answer from the tree it stands on, and leave it alone.
//   - crane pushes what a user would push. What crane cannot make (a manifest
//     with a subject, a layer of zero bytes) goes through [Client], the plain
//     HTTP API.
//
// Rejected: an image library in-process. It would be one more party that reads
// the protocol as its author did, where the registry and crane are what users
// run; and the checker must see what is missing, not stop at the first error.
//
// The package imports nothing of regferry's.
package servers
