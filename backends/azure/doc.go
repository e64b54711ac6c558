// Package azure is a container of Azure Blob as a store. The name of a blob is
// the root, Options.Prefix and the registry's path.
//
// # Names
//
// Registry 2.8 begins each name with a slash (/docker/registry/v2/...), and
// registry 3 does not and cannot read the others. A source is looked at; one
// that has both is refused until Options.Root says which. A destination is as
// its registry reads it (Options.RegistryVersion), and is refused where names of
// the other kind are already: two halves of a registry look like two whole ones.
// Location tells the two roots apart, so a container can be migrated from one
// to the other within itself.
//
// The service takes a backslash for a slash, so it is refused in keys. So is a
// segment of the path that ends in a dot, as the tag "v1." is one: the service
// takes the dot off (azure-sdk-for-java issue 36674), and so would put it in the
// place of the tag "v1".
//
// An account with a hierarchical namespace (ADLS Gen2) is refused. Its listings
// are not in byte order (azure-sdk-for-go issue 24210), directories among them,
// and a registry cannot delete there (distribution issue 4153). The account is
// asked, by who may; else a listed directory tells, a blob with the metadata
// hdi_isfolder. Some tools make such blobs in a flat namespace as well, and where
// the account says that it has that, they are passed over.
//
// # What is proved
//
// The service compares a CRC64 or an MD5 of each request, and keeps neither a
// SHA-256 nor anything else that names a registry's blob. So each request has
// its MD5, which of a blob in one request the service keeps as Content-MD5; or
// its CRC64, where it is only that which is compared. A CRC64 would be cheaper
// here, but has half the bits, and Azurite computes it in JavaScript: 1 GB took
// 34 s of its processor, and takes 7 with MD5. Both at once are refused (Azurite 3.37,
// also for x-ms-blob-content-md5 beside a CRC64). Open asks with wrong ones; a
// service that accepts both is not written to. What the bytes are, the source's
// reader says: before the request, or before the blocks become a blob.
//
// A blob in blocks gets the MD5 of the whole where all of it was read here; the
// service does not compare that, and nothing here relies on it. After a resume
// there is none.
//
// The service copies by itself, but there is no proof of what it copied: its
// MD5 is no digest, and is what a client said. So there is no copy by the
// service here, and no stored digest; blobs pass through us.
//
// # Blob types
//
// A blob's type cannot be changed by writing over it (409 InvalidBlobType on
// Azure; Azurite lets Put Blob and Copy Blob do it, and refuses blocks).
// Registry 3.0.0 to 3.1.1 writes tags as append blobs and so fails on tags that
// are block blobs; 2.8 and 3.1.2 remove an append blob before they write. So
// with such a RegistryVersion tags become append blobs, and all else block blobs,
// which every registry reads. An append blob is born empty, so it is made in
// scratch and copied to its key. Its bytes are appended at position 0 only:
// registries that repeat an append have links with their content twice.
//
// Copy Blob within an account has always ended with its answer, as far as
// measured (Azurite); if it has not, it is polled, and neither aborted nor left
// to the caller's patience, since an aborted copy leaves an empty blob.
//
// The type that is there is not looked at first: that would be a request for
// each of a million links, and all but none are absent or of the same type. It
// is the refusal that is acted on: without a RegistryVersion a tag is written
// in the type that it has, else the old blob is removed, if it is still the
// one seen, and the new one, which is ready, is put at once. Between these two
// requests the key holds nothing, and an interruption does not come between. A
// content of several blocks, which the old blob refuses from the first, is read
// once for its source's verdict alone; then the old blob is removed, if it is
// still the one that was seen before that, and the content is read again and
// sent. Until that is done the key holds nothing, but never is a good blob
// removed for a bad one. There is an object only if it was another one than wanted.
//
// # Unfinished uploads
//
// Blocks have names of one length, with a random token of their upload, which
// is what a resume needs: the service lists what it has. Blocks of other uploads
// are not named when the list is committed, and are dropped with that. There is
// no request to drop them, and none to find them in a container: the service
// does it a week after the last one. So no unfinished upload is left in the
// sense of rule P6, and Clean has only scratch to remove. Blocks of a content that
// was wrong stay as well: whoever gets Corrupt does not go on from its token.
//
// Where another program (AzCopy, rclone) was interrupted on the same blob, the
// service takes no names but of the length of those that are there. Then ours get
// that length, with more or less of the token, if it is 12 bytes at least. Nothing
// else helps that would not show: to commit an empty list makes an empty blob.
//
// A commit, or a Put of the same blob, drops the blocks that others have sent.
// In one process Puts in blocks of one key wait for each other; whoever else
// comes, the loser begins again, three times.
//
// # Decisions
//
// Listing, reading and writing are by the SDK's client; scratch is removed and
// listed through gocloud's azureblob with the same client. Reading through it
// was rejected: it changes names (a%b is asked for as a__0x25__b, and __0x2f__
// is listed as a slash), so that an object of another program cannot be read or
// is taken for another one, and it does not show types and directories.
// azureblob's Copy is never called: it panics when a poll fails.
//
// A listing begins after a key by startFrom, which is inclusive and takes whole
// names. The service has it since version 2026-02-06; before, and where it is
// ignored, all below the prefix is listed and dropped up to there (rule L5).
//
// Object.MD5 is only that of a block blob up to 4 KiB. It serves to see that a
// tag has moved. Content-MD5 is replaced with a block blob's content and is the
// service's own for what came in one request, as links do; an append blob may
// have one that it outgrew; and of larger blobs nobody needs it.
//
// A container that is missing is Denied and not NotFound, so that nothing is
// taken for absent. A body that breaks off is an error: the SDK's reader would
// ask for the rest.
//
// A credential of the environment is used for the account that the environment
// names, since a migration has two.
//
// A blob with snapshots is not deleted (409 SnapshotsPresent, Unsupported): they
// would have to go, too, and are somebody's. A mirror's lease is a blob with
// conditions, not the service's own lease, which ends after a minute at most or
// never, and has no place for what the next holder has to know.
//
// Not here: encryption with keys of the customer, leases of the service, access tiers (the
// account's default holds), snapshots and versions, anonymous reading.
package azure
