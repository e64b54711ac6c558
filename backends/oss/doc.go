// Package oss is a bucket of Alibaba Cloud's Object Storage Service as a store.
// A key is Options.Prefix and the registry's path, as the registry has it with
// its rootdirectory. Registry 2.8 was the last one with this driver.
//
// # What is proved
//
// The service knows no SHA-256. It compares a Content-MD5 with the bytes it
// gets, of an object and of a part, and says which CRC64 it has stored. Each
// request carries the first, and the second is compared here, also that of an
// object in parts with what those of the parts combine to. An object that is
// another one is removed. Open tries both with a tiny object, and refuses a
// service that lacks either: it is not OSS, and nothing could be proved.
//
// A content in one request is read whole before, with its source's verdict, and
// hashed again against its digest. Larger ones go in parts, and the source's
// verdict is awaited before the upload is completed.
//
// # Server-side copy
//
// The service copies, and it is not used. A digest is a SHA-256, the service
// keeps an MD5 or a CRC64; equal CRCs say that a copy is like its source, and
// nothing says that the source is what its digest says. What cannot be proved
// goes through here. For the same reason no stored digest is reported.
//
// # Decisions
//
// Reading and listing is a gocloud driver of our own under package bucket, with
// start-after and the service's codes as its hooks; gocloud has none for OSS.
// Its suite passes with and without a prefix, against package fakeoss. Writing
// is not by that driver, whose writer knows neither a verdict nor a resume, and
// sends its parts one after the other. Of what the suite asks for, signed URLs
// are not made, since nobody here gives an object to others; names that begin
// with a slash or a backslash are escaped, and metadata's names, which are
// lower-case letters, digits and hyphens there. Neither is in a registry.
//
// The CRC64 checks of the SDK are off: they tell a mismatch by an error's text,
// and send the bytes again. Its correction of a wrong clock is off: it writes
// to the client from all requests without a lock, and a clock that is wrong by
// 15 minutes is said instead. Its retries are replaced, since they repeat what
// was refused with 401 and take an untrusted certificate for a broken line. And
// they rewind a body that the transport may still be reading, where a service
// answers before it has all, so bodies are sent again here, see sending.
// GET asks for x-oss-range-behavior: standard; without, a range that is not
// within the object is answered with all of it.
//
// An upload's identifier is the token of a resume. The parts before the offset
// count if the list of parts has their sizes and their CRC64; those behind are
// sent again, since the state of the hash is not known there.
//
// The ETag of an object of type Normal is its MD5, in upper case, but not with
// encryption by KMS, see parts.ETags. That of one in parts is none.
//
// Unfinished uploads of dead runs cost money and show nowhere. Those of a blob
// are aborted when the blob is stored, all others by age. Where a policy
// forbids to abort or to list, a notice says so once.
//
// An endpoint that is an address has the bucket in the path; any other has it
// before the host's name, unless it is a domain bound to the bucket (CNAME). The
// registry takes each endpoint that it is configured with for the latter.
//
// Keys are static. A temporary one ends, and then each request is Denied and the
// run stops; it is resumed with a new one.
//
// Not here: roles of a machine (RAM), customer-provided keys, Requester Pays,
// append, versions, dual stack and acceleration other than by Endpoint.
package oss
