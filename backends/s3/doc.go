// Package s3 is a bucket as a store: Amazon S3, or a service that speaks its
// protocol. A key is Options.Prefix and the registry's path, as the registry
// has it with its rootdirectory.
//
// # What is proved
//
// A blob's digest is its SHA-256. A blob in one request says it twice: in the
// signature, over HTTPS as well, and as x-amz-checksum-sha256, which the service
// keeps. So the service refuses a wrong byte, and nothing is hashed or read
// twice. Contents are read whole before the request, with their source's verdict,
// so a bad source makes no request, and a repeated request needs no source.
//
// Larger contents go in parts, each with the same two; S3 has no SHA-256 of a
// whole in parts, so the source's verdict is awaited before the upload is
// completed. There is no second hash of the whole here.
//
// Some services accept a wrong checksum (Swift's s3api and Ceph RGW accept a
// wrong x-amz-checksum-sha256), so Open puts a tiny object with wrong claims:
// what is refused then is used. Where only Content-MD5 is compared, that is
// sent; where nothing is, each object is read again, and removed if it is wrong.
// A table of services and versions was rejected: it is out of date at once.
//
// # Other services
//
// The conformance suite runs on these; what follows was measured with it, on
// versitygw 1.8.0, MinIO of 2026-02-12, Swift 2.30.1 and Ceph RGW 16.2.15.
//
// Swift's s3api and Ceph RGW accept a wrong x-amz-checksum-sha256 and keep none,
// but refuse a wrong hash in the signature, of an object and of a part, so they
// are proved by that ("signed payload") and nothing is read again.
//
// Cloudflare R2 compares x-amz-checksum-sha256 of an object and answers 501 to it
// with a part, and to x-amz-checksum-algorithm (its documentation; no such server
// can be run here). So at the first large object, where they are refused, wrong
// claims of a part find out what else is compared of one.
//
// A listing of Swift from a name that is not UTF-8 is 500; Ceph repeats a control
// character of the name, and its answer is then no XML. Names are cut before such
// a character and what is too much is dropped here; a prefix with one is refused.
//
// Swift answers HEAD of a key that is not there with the end of a body that it
// must not have, so each HEAD to it has a connection of its own. It has no
// If-None-Match (501), and wants a Content-MD5 for DeleteObjects: neither is
// used here.
//
// A lease needs If-Match and If-None-Match for PutObject. AWS, MinIO and
// versitygw have both; Swift's s3api answers 501. So the first PutIf tries both
// with an object in scratch, once to be refused and once not to be: a service
// may compare the ETag without its quotes, and refuse all. One that does not
// pass is Unsupported, and nothing was written. A table of versions was rejected
// for the same reason as above.
//
// versitygw removes the directory of an object that it deletes, and refuses a
// Put into it at that moment (409 ExistingObjectIsDirectory).
//
// MinIO lists unfinished uploads of one exact key only. versitygw cannot hold a
// key below another one, and neither it nor MinIO a name of more than 255 bytes.
//
// # Decisions
//
// The client is the SDK's own and not gocloud's s3blob, which hides start-after,
// the payload's hash, and uploads that a later process goes on with. Reading by
// s3blob with the same client was rejected: two sets of errors for one service.
//
// All parts come from one pool with a bound for the store, and a part is
// reserved before its source is opened, which may have a connection that does
// not wait. The SDK's transfer manager was rejected: it allocates by itself,
// knows no resuming, and has no place for the verdict.
//
// An upload's identifier is the token of a resume. It is no secret: without
// credentials it opens nothing. Parts count from the first to the offset that
// was reported; those behind are sent again, since the state of the hash is not
// known there. The size of a part is then that of the upload, not of the options.
//
// A key is absent when the service says NoSuchKey, and not by a 404 alone, which
// is also what a load balancer answers while the service behind it restarts, and
// a provider of credentials about a role. HEAD has no body to say a code in, so
// an absent key costs a GET as well; a pass asks for few. To believe a 404 with
// x-amz-request-id was rejected: it may be that the bucket is missing.
//
// To have the service prove what it copies, most blobs are copied to scratch
// first. Where what is there would stay, as a version or since nothing may be
// deleted, that would take the room of two, and the bytes pass through here.
//
// An ETag is an MD5 only sometimes, see parts.ETags. It is what makes a pass with
// nothing to do cost a listing and no request for each tag.
//
// Unfinished uploads of dead runs cost money and show nowhere. Those of a blob
// are aborted when the blob is stored, because then nobody needs them; all
// others by age. Deciding by the initiator was rejected: a registry may have the
// same credentials. Where a policy forbids to abort or to list, as the one
// documented for Docker Trusted Registry does, the notice says so once.
//
// The SDK's retries are limited by tokens that an outage of seconds uses up;
// here they are limited by their number only, for each request.
//
// Not here: SSE-C, which no registry can read; Requester Pays; Object Lock;
// directory buckets, which list in no order; anonymous reading.
package s3
