package azure

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"github.com/regferry/regferry/backends"
)

// Reader reads a container, or what lies below a prefix of it, as a store. It
// is safe for concurrent use.
type Reader struct {
	client *container.Client
	conns  *http.Client
	o      Options
	root   string // before each key
	at     string
	flat   bool // the account says that it has no directories
}

var _ backends.ReadStore = (*Reader)(nil)

// OpenReader opens a container that is only read, and finds out how the names
// of its registry begin.
func OpenReader(ctx context.Context, o Options) (*Reader, error) {
	return open(ctx, o, false)
}

func open(ctx context.Context, o Options, writing bool) (*Reader, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fail("open", "", err)
	}
	client, conns, err := newClient(ctx, o)
	if err != nil {
		return nil, fail("open", "", err)
	}
	r := &Reader{client: client, conns: conns, o: o, at: o.location("")}
	var root Root
	if err = r.askNamespace(ctx); err == nil {
		root, err = r.findRoot(ctx, writing)
	}
	if err != nil {
		r.Close()
		return nil, r.failed("open", "", err)
	}
	r.root, r.at = o.before(root), o.location(root)
	return r, nil
}

// Location is azblob://container/prefix with the account, or the address of
// another service than Azure, and the root if it is a slash.
func (r *Reader) Location() string { return r.at }

// Close ends idle connections.
func (r *Reader) Close() error {
	r.conns.CloseIdleConnections()
	return nil
}

// failed is fail, and says which container is missing, and where.
func (r *Reader) failed(op, key string, err error) error {
	if bloberror.HasCode(err, bloberror.ContainerNotFound) {
		err = fmt.Errorf("there is no container of the name %s (%s): %w", r.o.Container, r.at, answer{err})
	}
	return fail(op, key, err)
}

// checkKey also refuses what the service changes: a backslash becomes a slash,
// and a dot at the end of a name between slashes goes.
func checkKey(key string, most int) error {
	if strings.Contains(key, `\`) {
		return backends.Refuse(backends.Unsupported, "a backslash is in the key, which the service takes for a slash")
	}
	if err := backends.CheckKey(key, most); err != nil {
		return err
	}
	if strings.HasSuffix(key, ".") || strings.Contains(key, "./") {
		return backends.Refuse(backends.Unsupported, "a name in the key ends in a dot, which the service takes off: it would be stored as another one")
	}
	return nil
}

func (r *Reader) blob(key string) *blob.Client { return r.client.NewBlobClient(r.root + key) }

// pageSize is the most that the service gives.
const pageSize = 5000

// pages lists names from one on, or all if that is empty.
func (r *Reader) pages(prefix, from string, size int32) *runtime.Pager[container.ListBlobsFlatResponse] {
	o := container.ListBlobsFlatOptions{Prefix: &prefix, MaxResults: &size, Include: container.ListBlobsInclude{Metadata: true}}
	if from > prefix {
		o.StartFrom = &from
	}
	return r.client.NewListBlobsFlatPager(&o)
}

// List costs a request per 5,000 objects. A service that does not know startFrom
// begins at the prefix whatever after is (rule L5).
func (r *Reader) List(ctx context.Context, prefix, after string) iter.Seq2[backends.Object, error] {
	return func(yield func(backends.Object, error) bool) {
		for o, err := range backends.Ordered(r.all(ctx, prefix, after)) {
			if err == nil && o.Key <= after && after != "" {
				continue
			}
			if !yield(o, err) {
				return
			}
		}
	}
}

// all is of what comes after a key, and maybe of what comes before it.
func (r *Reader) all(ctx context.Context, prefix, after string) iter.Seq2[backends.Object, error] {
	return func(yield func(backends.Object, error) bool) {
		if !utf8.ValidString(prefix) || strings.ContainsFunc(prefix, func(c rune) bool { return c < ' ' }) {
			yield(backends.Object{}, fail("list", prefix, backends.Refuse(backends.Unsupported, "a prefix is UTF-8 without control characters")))
			return
		}
		marker := ""
		for p := r.pages(r.root+prefix, r.root+sendable(after), pageSize); p.More(); {
			page, err := p.NextPage(ctx)
			if err == nil {
				marker, err = next(page, marker)
			}
			if err != nil {
				yield(backends.Object{}, r.failed("list", prefix, err))
				return
			}
			for _, item := range page.Segment.BlobItems {
				is, err := r.object(item)
				var o backends.Object
				if err == nil {
					o, err = r.listed(item)
				}
				if err == nil {
					err = ctx.Err()
				}
				if err != nil {
					yield(backends.Object{}, fail("list", prefix, err))
					return
				}
				if is && !yield(o, nil) {
					return
				}
			}
		}
	}
}

// sendable is as much of a key as a query can have: what is not UTF-8, or a
// control character, ends it.
func sendable(key string) string {
	for i, c := range key {
		if c < ' ' || c == utf8.RuneError {
			return key[:i]
		}
	}
	return key
}

// next is the marker of the page that follows. An answer without a body, as a
// proxy may send it, is no empty listing.
func next(page container.ListBlobsFlatResponse, last string) (string, error) {
	if page.Segment == nil || page.ContainerName == nil && page.ServiceEndpoint == nil {
		return "", backends.Refuse(backends.Transient, "the answer is empty, which is not an empty listing")
	}
	if page.NextMarker == nil || *page.NextMarker == "" {
		return "", nil
	}
	if *page.NextMarker == last {
		return "", backends.Refuse(backends.Unsupported, "the listing goes on where it was")
	}
	return *page.NextMarker, nil
}

func (r *Reader) listed(item *container.BlobItem) (backends.Object, error) {
	if item.Name == nil {
		return backends.Object{}, backends.Refuse(backends.Unsupported, "a blob is listed without a name")
	}
	key, ok := strings.CutPrefix(*item.Name, r.root)
	if !ok {
		return backends.Object{}, backends.Refuse(backends.Unsupported, "a name is listed that has not the prefix asked for")
	}
	o := backends.Object{Key: key, Size: -1}
	p := item.Properties
	if p == nil {
		return o, nil
	}
	if p.ContentLength != nil {
		o.Size = *p.ContentLength
	}
	o.ModTime, o.MD5 = when(p.LastModified), vouched(p.BlobType, o.Size, p.ContentMD5)
	return o, nil
}

func when(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// vouched is the MD5 that is the content's: a block blob's is replaced, or
// removed, with the content, and that of one small enough was put in one
// request, where the service computes it. An append blob keeps one that it
// outgrew.
func vouched(kind *blob.BlobType, size int64, sum []byte) []byte {
	if kind == nil || *kind != blob.BlobTypeBlockBlob || size > small || len(sum) != 16 {
		return nil
	}
	return sum
}

// small is more than any link has; what is larger has its digest in its key.
const small = 4096

// isFolder: directories are blobs, too.
func isFolder(metadata map[string]*string) bool {
	for name, value := range metadata { // the case of a header is not kept
		if strings.EqualFold(name, "hdi_isfolder") && value != nil && strings.EqualFold(*value, "true") {
			return true
		}
	}
	return false
}

var errFolder = backends.Refuse(backends.NotFound, "it is a directory")

// Stat is one HEAD.
func (r *Reader) Stat(ctx context.Context, key string) (backends.Object, error) {
	o, err := r.stat(ctx, key)
	if err != nil {
		return backends.Object{}, r.failed("stat", key, err)
	}
	return o, nil
}

func (r *Reader) stat(ctx context.Context, key string) (backends.Object, error) {
	if err := checkKey(key, maxKey); err != nil {
		return backends.Object{}, err
	}
	p, err := r.blob(key).GetProperties(ctx, nil)
	switch {
	case err != nil:
		return backends.Object{}, err
	case p.ContentLength == nil:
		return backends.Object{}, errNoLength
	case isFolder(p.Metadata):
		return backends.Object{}, errFolder
	}
	size := *p.ContentLength
	return backends.Object{Key: key, Size: size, ModTime: when(p.LastModified), MD5: vouched(p.BlobType, size, p.ContentMD5)}, nil
}

var errNoLength = backends.Refuse(backends.Transient, "the answer does not say how long the object is")

// Open is one GET. The SDK's own body would ask again when a connection
// breaks; that is for the caller, who knows the digest.
func (r *Reader) Open(ctx context.Context, key string, offset int64) (backends.Body, error) {
	b, err := r.open(ctx, key, offset)
	if err != nil {
		return backends.Body{}, r.failed("open", key, err)
	}
	return b, nil
}

func (r *Reader) open(ctx context.Context, key string, offset int64) (backends.Body, error) {
	if err := checkKey(key, maxKey); err != nil {
		return backends.Body{}, err
	}
	if offset < 0 {
		return r.openOutside(ctx, key, offset)
	}
	out, err := r.blob(key).DownloadStream(ctx, &blob.DownloadStreamOptions{Range: blob.HTTPRange{Offset: offset}})
	if bloberror.HasCode(err, bloberror.InvalidRange) {
		return r.openOutside(ctx, key, offset)
	}
	if err != nil {
		return backends.Body{}, err
	}
	size, err := whole(out, offset)
	if err != nil {
		out.Body.Close()
		return backends.Body{}, err
	}
	o := backends.Object{Key: key, Size: size, ModTime: when(out.LastModified)}
	if offset == 0 {
		o.MD5 = vouched(out.BlobType, size, out.ContentMD5)
	}
	return backends.Body{ReadCloser: backends.Promised(ctx, out.Body, key, size-offset), Object: o}, nil
}

// whole is the size of the object of which an answer has the bytes from offset
// on.
func whole(out blob.DownloadStreamResponse, offset int64) (int64, error) {
	switch {
	case isFolder(out.Metadata):
		return 0, errFolder
	case out.ContentLength == nil:
		return 0, errNoLength
	case offset == 0:
		return *out.ContentLength, nil
	}
	said := ""
	if out.ContentRange != nil {
		said = *out.ContentRange
	}
	var from, to, size int64
	_, err := fmt.Sscanf(said, "bytes %d-%d/%d", &from, &to, &size)
	if err != nil || from != offset || to != size-1 || *out.ContentLength != size-offset {
		return 0, backends.Refuse(backends.Unsupported, fmt.Sprintf("asked for the bytes from %d on, the store answers with %q", offset, said))
	}
	return size, nil
}

// openOutside is for offsets at which no byte is: an empty body at the end,
// else an error, which is that of the key if there is none.
func (r *Reader) openOutside(ctx context.Context, key string, offset int64) (backends.Body, error) {
	o, err := r.stat(ctx, key)
	if err != nil {
		return backends.Body{}, err
	}
	if offset != o.Size {
		return backends.Body{}, backends.Refuse(backends.Changed, fmt.Sprintf("offset %d is not within the %d bytes that it has", offset, o.Size))
	}
	return backends.Body{ReadCloser: backends.Promised(ctx, http.NoBody, key, 0), Object: o}, nil
}
