// Package parts sends a content to a service in parts: what every driver that
// speaks to one needs and none should have its own way of. It knows contents
// and bytes; what a part becomes (a part of a multipart upload, a block, a
// segment, a chunk of a session) is the driver's. Tune is how their connections
// wait, and for how long.
//
// # Decisions
//
// Parts are read in order by one reader and sent by several. A reader for each
// part was rejected: the digest of the whole is known to one only, and a
// source would be opened as often as there are parts.
//
// Memory is reserved before the source is opened, since a source that has to
// wait closes its connection; and in whole buffers of a few sizes, which the
// garbage collector then need not look for.
//
// With the last byte the source's verdict is read, before the part that holds
// it is sent. So a service that completes with the last part (a session of
// GCS) is as safe as one that is asked to.
package parts
