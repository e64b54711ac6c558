// Package swift is a container of OpenStack Swift as a store, or of Ceph's
// gateway by Swift's protocol. It has the layout of the last registry with a
// Swift driver, 2.8: an object of the key K is PREFIX/files/K, and segments of
// large ones are in the same container below PREFIX/segments/. These are never
// listed as content.
//
// # What is proved
//
// Swift keeps no SHA-256. Each object and each segment is sent with its MD5 and
// refused if that is another (422), which Open asks for by a tiny object with a
// wrong one; the MD5 of what came is in the answer and compared again. An SLO's
// manifest names size and MD5 of each segment, and Swift looks at them before
// it stores it. The source's verdict on the whole is awaited before the
// manifest. So there are neither stored digests nor copies by the service: COPY
// can be asked for, but nothing in its answer proves a digest.
//
// # Large objects
//
// What is larger than Options.PartSize is an SLO, where the service is Swift,
// else a DLO. A DLO is whatever the container lists below a prefix at the moment
// it is read; so it is stored when all its segments are listed with their MD5,
// and then asked for until it has its size. If it does not get that, it is
// removed, and what was there before is gone: SLOs have no such gap. By Swift's
// default a DLO of more than ten segments is read at one segment a second
// (rate_limit_after_segment), and an SLO only where segments are below 1 MiB: a
// migration off the registry's DLOs of 20 MiB is slow for that reason, and a
// proxy without the limit makes it fast.
//
// Registry 2.8 reads SLOs and DLOs of ours (there is a test). Its own garbage
// collection removes an SLO's manifest and leaves its segments, which Clean
// finds; of a DLO it removes both.
//
// Segments have a new name for each Put: 16 random bytes, a mark, and the key,
// as hex digits. So no two manifests share any, and Clean knows which object to
// ask whether it is made of them. Segments by anybody else are never removed,
// not even when the object is replaced: a registry moves an upload to its blob
// by a second manifest of the same segments.
//
// Delete is the same: the manifest goes first, then those segments of it that
// were made here. The service's own deletion of an SLO with its segments
// (multipart-manifest=delete) was rejected, since it asks nobody whose they are.
//
// When nobody knows whether a manifest was stored (no answer, 5xx, 202, or a
// refusal after one of these), it is looked for; if it is not found, the segments
// stay: to remove them might break an object that is in place. A later try that
// finds it in place, with all that was sent, sends nothing.
//
// Clean believes no 404 alone, since Swift has false ones: what it removes was
// looked at twice, and an object that is absent is not listed either. That an
// upload lives is one request, 32 at once. To compare one listing with the other
// would take fewer, and was rejected: a dead upload of all of a blob has the ETag
// of the one that lives.
//
// # Listings
//
// A DLO and a symbolic link have 0 bytes in a listing, so each 0 there is -1
// (rule L4). Swift lists an SLO with its size and slo_etag. Ceph lists it with
// the size and the hash of its manifest: where /info does not say that this is
// Swift of 2.18 or later, sizes up to that of the largest manifest, 8 MiB, are
// -1 and no MD5 is believed. That costs a HEAD for each object.
//
// A listing ends with an empty page and not with a short one, since a container
// in shards may answer with less than it was asked for at any time.
//
// A listing is only eventually consistent: an object just written may not be
// listed for seconds, or minutes where a container server is down. Stat, and
// Open of what is not a blob, ask all copies (X-Newest), so it is not missing
// there. A DLO whose segments are not all listed is shorter than it will be and
// nothing says so; the digest does. An object read while it is replaced ends
// with an error of class Changed.
//
// # Decisions
//
// Reading is our own gocloud driver below package bucket, Put is not: gocloud's
// writer knows neither size nor digest before, and no upload that a later
// process goes on with. The driver passes gocloud's conformance tests but for
// names with a NUL, which Swift refuses, and signed addresses.
//
// Of the library ncw/swift only the login and the single request are used, with
// its retries and clocks off: it retries GETs only, without a pause, and after
// its timeout goes on reading a body that is no longer its own. A token that is
// refused is renewed once a request. No redirect is followed, since that would
// take the token to another host.
//
// A small object is put with If-None-Match, so that replacing one, which is
// rare, is noticed without asking for each first; then segments of the old one
// are removed.
//
// A container that is not there is Denied and not NotFound where Swift tells,
// that is of listings and writes: nothing in it is known to be absent. Nor is it
// by a 404 of the identity service, whose token is renewed at any time, or of a
// load balancer: what Swift and Ceph answer has the name of a transaction, and
// once an answer had one, a 404 without is Transient.
//
// The address of a store has the identity service and the project as the
// options name them, not the storage URL, which differs by endpoint type and is
// known only after a login.
//
// A lease cannot be kept here: If-None-Match: * is the only condition of a PUT.
//
// Swift does not say the length of a DLO of 10,000 segments or more, nor does it
// give a range of one. It is as long as what is listed of it, and read from its
// beginning.
//
// Not here: temporary URLs, containers of another account, SLOs within SLOs,
// making a container.
package swift
