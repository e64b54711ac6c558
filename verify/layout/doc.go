// Package layout knows the tree that Docker Distribution and its descendants
// keep in a volume or a bucket: which key is what, which digest it is named
// for, what a link and a manifest say. It is pure: bytes and strings in,
// values out, no I/O, no logging, no state.
//
// # The tree
//
// Everything lives below docker/registry/v2/ ([Root]):
//
//	blobs/<alg>/<hh>/<hex>/data                               Blob
//	repositories/<name>/_layers/<alg>/<hex>/link              LayerLink
//	repositories/<name>/_manifests/revisions/<alg>/<hex>/link RevisionLink
//	    .../<hex>/signatures/<alg>/<hex>/link                 SignatureLink
//	repositories/<name>/_manifests/tags/<tag>/current/link    TagLink
//	    .../<tag>/index/<alg>/<hex>/link                      TagIndexLink
//	repositories/<name>/_uploads/<id>/...                     Upload
//
// A blob is a layer, a config or a manifest alike; the tree does not say
// which. Its directory is its digest, sharded by the first two characters
// (<hh>). Nothing else in the tree is large.
//
// A link is a file that holds a digest, "sha256:<64 hex>", without a newline.
// It says that the repository may use the blob: as a layer or config
// (_layers), or as a manifest (_manifests/revisions). A tag's current/link
// names the revision that is pulled by that tag, and is the one file in the
// tree that is ever rewritten; its index/ keeps every revision the tag has
// had. Signature links come from very old registries and are only carried.
//
// A link's content is nearly always the digest in its path, but not always: a
// blob pushed under a sha512 digest is stored under its sha256, and the
// registry writes _layers/sha512/<hex>/link with that sha256 in it
// (registry/storage/linkedblobstore.go, linkBlob). What resolves a reference
// is the content of the link, never its name.
//
// An <alg> is a digest algorithm in which the registry has turned each of "+",
// "." and ";" into "/", so it may span several path components. Which
// of them a "/" was is lost: [Parse] says "+". The registry itself writes sha256,
// sha384 and sha512 only.
//
// Repository names nest (a/b and a/b/c may both exist), and no component
// begins with "_": the first that does ends the name. A directory is a
// repository in the catalog when it has a _manifests. A directory under tags/
// is listed as a tag even before it has a link, so a writer makes current/link
// appear together with its directories, and before any index link.
//
// # The order of writing
//
// The registry pushes blob, layer link, manifest blob, revision link, tag index
// link, current link. [Kind.Order] is ours: it keeps what is needed before what
// needs it, but puts current before index, for the reason above.
//
// # Decisions
//
//   - Parse never fails. A key that is not exactly what the functions here
//     would print is Unknown and is carried byte for byte: forks add subtrees
//     (such as _referrers below a revision), and losing one loses an image.
//     So Parse(k).String() == k for every string.
//   - A digest of an algorithm we cannot compute is accepted when it has at
//     least 32 lower-case hex characters, and a component of an algorithm has
//     fewer. This keeps the two apart in a path, where both are just components.
//     Base64 encodings (sha256+b64u) are Unknown: no registry of this
//     family accepts them.
//   - Repository components are [A-Za-z0-9][A-Za-z0-9._-]*, which is what the
//     registry's storage drivers accept in a path, cut down to what can start
//     a name. Upper case is in: the first component of a name may be a host
//     name. Stricter would turn served images into unknown files.
//   - Only the last component makes a key junk. A tag may be called v1.tmp or
//     even link.<uuid>.tmp.
//   - A manifest is judged by its media type, then by its shape, and one that
//     two readers could read differently is refused. See [ParseManifest].
//
// Rejected: a type per kind of key (a Key is comparable, so it can be the key of
// a map, and callers switch on the kind either way); regular expressions (Parse
// runs once for each key of a listing, millions of times).
package layout
