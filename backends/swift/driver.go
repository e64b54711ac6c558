package swift

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"

	"github.com/regferry/regferry/backends"
)

// bucket is the files of a container as a gocloud.dev driver.
type bucket struct {
	*service
	root string // before each name, files/ at its end
}

var _ driver.Bucket = (*bucket)(nil)

// start, given to BeforeList, is the name behind which a listing begins.
type start struct{ after string }

func (b *bucket) Close() error {
	b.transport.CloseIdleConnections()
	return nil
}

// As has nothing to give.
func (b *bucket) As(any) bool { return false }

// ErrorAs has nothing to give that errors.As has not.
func (b *bucket) ErrorAs(error, any) bool { return false }

// ErrorCode tells what gocloud has a code for.
func (b *bucket) ErrorCode(err error) gcerrors.ErrorCode {
	if errors.Is(err, context.Canceled) {
		return gcerrors.Canceled
	}
	if statusOf(err) == http.StatusNotFound {
		return gcerrors.NotFound
	}
	switch classOf(err) {
	case backends.Denied:
		return gcerrors.PermissionDenied
	case backends.Throttled, backends.Full:
		return gcerrors.ResourceExhausted
	case backends.Changed, backends.Corrupt:
		return gcerrors.FailedPrecondition
	case backends.Unsupported:
		return gcerrors.Unimplemented
	}
	return gcerrors.Unknown
}

func (b *bucket) Attributes(ctx context.Context, key string) (*driver.Attributes, error) {
	h, err := b.head(ctx, b.root+key)
	if err != nil {
		return nil, err
	}
	size, err := b.length(ctx, h)
	if err != nil {
		return nil, err
	}
	a := &driver.Attributes{
		CacheControl: h.Get("Cache-Control"), ContentDisposition: h.Get("Content-Disposition"),
		ContentEncoding: h.Get("Content-Encoding"), ContentLanguage: h.Get("Content-Language"),
		ContentType: h.Get("Content-Type"), ETag: `"` + strings.Trim(h.Get("Etag"), `"`) + `"`,
		Size: size, ModTime: modified(h), Metadata: metadata(h),
		AsFunc: func(any) bool { return false },
	}
	if b.limits.exact && !isLarge(h) {
		a.MD5 = hash(strings.Trim(h.Get("Etag"), `"`))
	}
	return a, nil
}

var (
	errNoLength  = backends.Refuse(backends.Transient, "the answer does not say how long the object is")
	errElsewhere = backends.Refuse(backends.Unsupported, "the service does not say how long the object is, a DLO of more segments than it counts, and these are in another container")
)

// length is how long an object is. Swift does not say so of a DLO of as many
// segments as a page of a listing has names, 10,000 by default: it is as long as
// all that the container lists of it, which is what a read of it joins.
func (b *bucket) length(ctx context.Context, h http.Header) (int64, error) {
	size, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64)
	if err == nil {
		return size, nil
	}
	if h.Get("X-Object-Manifest") == "" {
		return 0, errNoLength
	}
	at, err := url.PathUnescape(h.Get("X-Object-Manifest"))
	prefix, ok := strings.CutPrefix(at, b.container+"/")
	if err != nil || !ok {
		return 0, errElsewhere
	}
	for marker := ""; ; {
		page, err := b.page(ctx, prefix, marker, "", 1000)
		if err != nil || len(page) == 0 {
			return size, err
		}
		for _, e := range page {
			size += e.Bytes
		}
		marker = page[len(page)-1].Name
	}
}

// head asks all copies and not the first one that answers.
func (s *service) head(ctx context.Context, name string) (http.Header, error) {
	r := request{method: http.MethodHead, object: name, header: newest}
	h, err := s.done(ctx, r)
	if statusOf(err) == http.StatusNotFound {
		return s.done(ctx, r) // as get does
	}
	return h, err
}

var newest = map[string]string{"X-Newest": "true"}

func isLarge(h http.Header) bool {
	return h.Get("X-Object-Manifest") != "" || strings.EqualFold(h.Get("X-Static-Large-Object"), "true")
}

func modified(h http.Header) time.Time {
	t, err := http.ParseTime(h.Get("Last-Modified"))
	if err != nil {
		return time.Time{}
	}
	return t
}

// ListPaged asks for one name more than a page has, to know whether it is the last.
func (b *bucket) ListPaged(ctx context.Context, opts *driver.ListOptions) (*driver.ListPage, error) {
	var from start
	if opts.BeforeList != nil {
		err := opts.BeforeList(func(i any) bool {
			p, ok := i.(**start)
			if ok {
				*p = &from
			}
			return ok
		})
		if err != nil {
			return nil, err
		}
	}
	marker, limit := string(opts.PageToken), opts.PageSize
	if limit <= 0 || limit > 1000 {
		limit = 1000
	}
	if from.after != "" && marker == "" {
		marker = b.root + from.after
	}
	all, err := b.full(ctx, b.root+opts.Prefix, marker, opts.Delimiter, limit+1)
	if err != nil {
		return nil, err
	}
	page := &driver.ListPage{}
	if len(all) > limit {
		all = all[:limit]
		page.NextPageToken = []byte(all[limit-1].marker())
	}
	for _, e := range all {
		key, ok := strings.CutPrefix(e.marker(), b.root)
		if !ok {
			return nil, backends.Refuse(backends.Unsupported, "the listing names "+backends.Printable(e.marker())+", which was not asked for")
		}
		o := &driver.ListObject{Key: key, IsDir: e.Dir != "", AsFunc: func(any) bool { return false }}
		if !o.IsDir {
			o.Size, o.MD5, o.ModTime = e.size(b.limits), e.md5(b.limits), e.modified()
		}
		page.Objects = append(page.Objects, o)
	}
	return page, nil
}

// NewRangeReader is one GET. Of names that are written more than once it asks
// for the newest copy; a blob is written once.
func (b *bucket) NewRangeReader(ctx context.Context, key string, offset, length int64, opts *driver.ReaderOptions) (driver.Reader, error) {
	if opts != nil && opts.BeforeRead != nil {
		if err := opts.BeforeRead(func(any) bool { return false }); err != nil {
			return nil, err
		}
	}
	if length == 0 {
		return b.emptyReader(ctx, key)
	}
	r := request{method: http.MethodGet, object: b.root + key, header: map[string]string{}}
	if !isBlob(key) {
		r.header["X-Newest"] = "true"
	}
	switch {
	case length > 0:
		r.header["Range"] = fmt.Sprintf("bytes=%d-%d", offset, offset+length-1)
	case offset > 0:
		r.header["Range"] = fmt.Sprintf("bytes=%d-", offset)
	}
	resp, err := b.get(ctx, r)
	if err != nil {
		return nil, err
	}
	size, err := whole(resp, offset, r.header["Range"] != "")
	if resp.ContentLength < 0 && resp.StatusCode == http.StatusOK && length < 0 {
		size, err = b.unsized(ctx, resp, offset)
	}
	if err != nil {
		resp.Body.Close()
		return nil, err
	}
	return &reader{resp.Body, driver.ReaderAttributes{ContentType: resp.Header.Get("Content-Type"), ModTime: modified(resp.Header), Size: size}}, nil
}

// get begins again when the object is replaced while the service puts its
// segments together: an SLO is then 409, and a DLO shorter than it ever was. That
// is asked for with names that are written more than once. An object server that
// replaces a file may also answer 404 for a moment (seen with 2.30.1).
func (b *bucket) get(ctx context.Context, r request) (*http.Response, error) {
	for try := 1; ; try++ {
		resp, err := b.do(ctx, r)
		absent := statusOf(err) == http.StatusNotFound && r.header["X-Newest"] != "" && try < 3
		if absent || statusOf(err) == http.StatusConflict && try < attempts {
			if err := pause(ctx, try); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil || resp.Header.Get("X-Object-Manifest") == "" || r.header["X-Newest"] == "" || try >= attempts {
			return resp, err
		}
		h, err := b.head(ctx, r.object)
		if err != nil {
			resp.Body.Close()
			return nil, err
		}
		if h.Get("X-Object-Manifest") == resp.Header.Get("X-Object-Manifest") {
			return resp, nil
		}
		resp.Body.Close()
	}
}

// isBlob says whether a key holds content that never changes.
func isBlob(key string) bool {
	return strings.HasPrefix(key, "docker/registry/v2/blobs/") && strings.HasSuffix(key, "/data")
}

// whole is the size of the object of which an answer has the bytes from
// offset on.
func whole(resp *http.Response, offset int64, ranged bool) (int64, error) {
	if resp.ContentLength < 0 {
		return 0, errNoLength
	}
	if resp.StatusCode == http.StatusOK && (!ranged || offset == 0) {
		return resp.ContentLength, nil
	}
	var from, to, size int64
	_, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-%d/%d", &from, &to, &size)
	if err != nil || from != offset || resp.ContentLength != to-from+1 {
		return 0, backends.Refuse(backends.Unsupported, fmt.Sprintf("asked for the bytes from %d on, the store answers with %q", offset, resp.Header.Get("Content-Range")))
	}
	return size, nil
}

// unsized is whole for an answer that does not say how long it is. A range of such
// a DLO is not given either, but all of it, so what comes before is read here.
func (b *bucket) unsized(ctx context.Context, resp *http.Response, offset int64) (int64, error) {
	size, err := b.length(ctx, resp.Header)
	if err == nil && offset > 0 {
		_, err = io.CopyN(io.Discard, resp.Body, offset)
	}
	return size, err
}

func (b *bucket) emptyReader(ctx context.Context, key string) (driver.Reader, error) {
	a, err := b.Attributes(ctx, key)
	if err != nil {
		return nil, err
	}
	return &reader{http.NoBody, driver.ReaderAttributes{ContentType: a.ContentType, ModTime: a.ModTime, Size: a.Size}}, nil
}

type reader struct {
	io.ReadCloser
	a driver.ReaderAttributes
}

func (r *reader) Attributes() *driver.ReaderAttributes { return &r.a }
func (r *reader) As(any) bool                          { return false }

// Copy is the service's own. What is large becomes one object if it fits one.
func (b *bucket) Copy(ctx context.Context, dst, src string, opts *driver.CopyOptions) error {
	if opts.BeforeCopy != nil {
		if err := opts.BeforeCopy(func(any) bool { return false }); err != nil {
			return err
		}
	}
	from := (&url.URL{Path: "/" + b.container + "/" + b.root + src}).EscapedPath()
	_, err := b.stored(ctx, request{method: http.MethodPut, object: b.root + dst, header: map[string]string{"X-Copy-From": from}})
	return err
}

// Delete removes an object and its segments, if they are its own.
func (b *bucket) Delete(ctx context.Context, key string, opts *driver.DeleteOptions) error {
	if opts != nil && opts.BeforeDelete != nil {
		if err := opts.BeforeDelete(func(any) bool { return false }); err != nil {
			return err
		}
	}
	old, err := b.deleteObject(ctx, key)
	if err != nil {
		return err
	}
	return b.removeSegments(ctx, old.mine)
}

var errNoSigning = backends.Refuse(backends.Unsupported, "addresses are not signed")

// SignedURL would need the account's key for temporary URLs, which nobody gives.
func (b *bucket) SignedURL(context.Context, string, *driver.SignedURLOptions) (string, error) {
	return "", errNoSigning
}
