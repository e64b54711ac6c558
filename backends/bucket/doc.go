// Package bucket makes a store of any gocloud.dev *blob.Bucket: memory, and
// the drivers of third parties. It is the portable path and knows no service.
//
// A key prefix is left to blob.PrefixedBucket.
//
// # What gocloud does not have, and what is done instead
//
// No start-after: its documentation says of ListPage that one cannot skip
// ahead, and a page token made up from a key works in some drivers only. So a
// listing begins at its prefix each time and drops what lies before after
// (rule L5); a wide prefix resumed near its end pays for all of its pages. A
// driver that can begin elsewhere says how in [Hooks].
//
// No writer that can be abandoned: Close stores what was written so far, unless
// the writer's context was cancelled before. Put gives each writer a context
// of its own and cancels it first on any error. The writer also guesses a
// content type unless one is given; ours is application/octet-stream.
//
// No promise about the context: memblob never looks at it. It is checked here
// before each page, object, read and write.
//
// No throttling: drivers report it as Unknown, and so it stays Unknown here,
// which is retried.
//
// # Decisions
//
// Keys are held to io/fs.ValidPath, in both directions. gocloud promises any
// UTF-8, yet fileblob takes "/b" and "a/../b" for other names' files, so what
// a driver does with such keys cannot be known; a registry has none. They are
// listed as they are, and refused as Unsupported when opened or put. Passing
// them on was rejected: an object stored under another key is worse.
//
// Put does not ask for the object's size again when it is stored: it counted
// every byte that the driver took, and a request for each of a million links
// is dear. For the same reason the Object it returns has no time and no MD5.
//
// Open at an offset asks for the size first, since services answer a range
// that begins at the end in three ways. A registry's blobs are opened at 0
// but for a resume.
//
// An MD5 is passed on as the driver reports it. A driver that takes any ETag of
// 32 digits for an MD5 is wrong for buckets encrypted with KMS; the engine's own
// backends decide that themselves.
//
// # fileblob
//
// It cannot be the store of a registry, and a test lists the sixteen cases of
// the suite that it fails. It lists in the order of a walk (a/x before a-b/x),
// which backends.Ordered refuses, and so nothing that has such names can be
// listed; sorting here was rejected, since it would hold the whole listing. It
// shows its temporary files in listings, reserves names in .attrs, reports what
// lies below a file, and the deletion of what is a directory, as an error of
// unknown code, and never syncs. Use package filesystem.
package bucket
