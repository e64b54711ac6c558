// Package gcs is a bucket of Google Cloud Storage as a store. A key is
// Options.Prefix and the registry's path, as the registry has it with its
// rootdirectory.
//
// # What is proved
//
// The service keeps a CRC32C of each object and an MD5 of each that was not
// composed, and no SHA-256. A content up to the size of a part is one request
// with both sums in it, and the service refuses it if they are not those of the
// bytes. It is read whole before, with its source's verdict, so a bad source
// makes no request.
//
// A larger one goes in a session (a resumable upload), chunk by chunk. The
// service makes it an object with the last chunk, so that one is sent only when
// the source has said that all bytes were right, with the CRC32C of the whole
// in X-Goog-Hash: a byte that went wrong on the way, or before a resume, is
// refused with 400 while the key still holds its old object (rules P1, P5).
//
// Open tries both with wrong sums. Google's service refuses them; an emulator
// may not. There, and in any case, the CRC32C and the size in the answer are
// compared with ours, and a generation that is another is deleted by its number
// and reported as Corrupt. That is no full P1, since the old object is gone by
// then, which is why it is only the second line.
//
// # Going on with a session
//
// The token is JSON: the session's address, the CRC32C of the bytes up to the
// offset (the running sum cannot be asked for), and the size of a part. It is a
// SECRET: whoever has the address can write this one object for a week. So it
// is in the checkpoint, which is as secret as the credentials, and nowhere else:
// errors are made without addresses, and an address from a checkpoint is used
// only where the service is and for its own object.
//
// The service is asked how much it has. If it has less than the checkpoint
// says, or has forgotten the session, or has an object already, the content
// begins anew. If it has more, the content is read from the checkpoint's offset,
// where the state of its hash is known, and what the service has is not sent
// again. (Its manual says that it ignores such bytes; not sending them needs no
// belief.) A last chunk whose answer was lost is asked for before Put says that
// it failed. Nothing is saved once the last chunk is there: an object cannot be
// gone on with.
//
// Package fakegcs carries the tests of this; fake-gcs-server ends an upload when
// it is asked how far it is, so after a network fault in the middle of a large
// object it makes half an object, which is removed here and is Changed.
//
// # Decisions
//
// The client is the SDK's, with an HTTP client of our own, and not gocloud's
// gcsblob over it. That has no start for a listing without a hook, hides the
// content type, by which a registry's unfinished uploads are known, rewrites
// some names, and sends no MD5. Sessions are spoken over the same HTTP client,
// because the SDK keeps their addresses to itself.
//
// Bytes are read as they are stored: an object with Content-Encoding gzip would
// be decoded on the way otherwise. The SDK can ask for that over XML only and
// refuses it over JSON, so the transport asks. It also goes on by itself where a
// body breaks off, in the same generation.
//
// The objects in which a registry keeps an unfinished upload (content type
// application/x-docker-upload-session) are not listed and not found, as its own
// driver has it.
//
// 404 is the answer for a missing object and for a missing bucket. So a missing
// object is followed by a request for the bucket unless that was seen within
// five seconds; a bucket that is not there is Denied, and nothing in it is taken
// for absent.
//
// There is no server-side copy: rewriting is by name, and a CRC32C proves no
// digest. What cannot be proved passes through here. For the same reason no
// stored digests are reported.
//
// Sessions of dead runs are in no list and cost nothing; the service ends them
// after a week. Clean removes old objects in scratch only.
//
// Every request is made up to eight times, since what each does is the same
// when it is done twice. 429 for a link that is rewritten more than once a
// second waits in the same way.
//
// What PutIf sends is made once: of a second one the service would say that the
// generation is another, which the first has made. Its versions are generations.
//
// Not here: customer-supplied encryption keys, which no registry can read;
// versions, soft-deleted objects, holds; gRPC; other universes than
// googleapis.com, but for an Endpoint.
package gcs
