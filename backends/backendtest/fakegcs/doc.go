// Package fakegcs is a small Google Cloud Storage in the test's own process,
// written for one thing: the sessions of resumable uploads. The emulator that
// the other tests run on ends an upload when it is asked how far it is, takes a
// chunk at any offset and no notice of X-Goog-Hash, so going on with an upload
// cannot be tested there.
//
// What it does is what the service's manual says of sessions
// (docs.cloud.google.com/storage/docs/resumable-uploads and
// performing-resumable-uploads): 308 with the range it has, which may be less
// than was sent; chunks in steps of 256 KiB; bytes that it has already are not
// taken again; a checksum that is wrong ends the upload with 400; 499 to
// DELETE, and to whoever comes afterwards; 200 with the object to whoever asks
// after the end; 404 and 410 for sessions that are gone.
//
// It is no second implementation to prove ours right: it was written by the
// same people, from the same manual, and nobody has compared it with the
// service. Around the sessions it has just enough (insert, get, list, delete of
// objects, one generation each) for the conformance suite to run. There are no
// credentials, projects, versions, copies or XML, and of preconditions only
// ifGenerationMatch of an object in one request. Everything is in memory.
package fakegcs
