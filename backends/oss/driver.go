package oss

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	sdk "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
	"gocloud.dev/blob/driver"
	"gocloud.dev/gcerrors"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/parts"
)

// drive is the service as a gocloud driver, for a bucket or what lies below a
// prefix of it.
type drive struct {
	client *sdk.Client
	conns  *http.Client
	o      Options
	etags  parts.ETags
}

var _ driver.Bucket = (*drive)(nil)

func (d *drive) Close() error {
	d.conns.CloseIdleConnections()
	return nil
}

func (d *drive) ErrorCode(err error) gcerrors.ErrorCode {
	if hasCode(err, "NoSuchBucket") {
		return gcerrors.NotFound // as gocloud has it; Hooks.Class judges before
	}
	if hasCode(err, "FileAlreadyExists") {
		return gcerrors.FailedPrecondition
	}
	switch classOf(err) {
	case backends.NotFound:
		return gcerrors.NotFound
	case backends.Denied:
		return gcerrors.PermissionDenied
	case backends.Throttled:
		return gcerrors.ResourceExhausted
	case backends.Unsupported:
		return gcerrors.Unimplemented
	case backends.Changed:
		return gcerrors.FailedPrecondition
	}
	return gcerrors.Unknown
}

func (d *drive) As(i any) bool {
	if p, ok := i.(**sdk.Client); ok {
		*p = d.client
		return true
	}
	return false
}

func (d *drive) ErrorAs(err error, i any) bool { return errors.As(err, i) }

// name is that of an object. The service takes none that begins with a slash
// or a backslash, which gocloud has and no registry; such a beginning is
// written as gocloud's own drivers write what a service cannot hold.
func (d *drive) name(key string) *string {
	if d.o.Prefix == "" && key != "" && (key[0] == '/' || key[0] == '\\') {
		key = fmt.Sprintf("__0x%02x__%s", key[0], key[1:])
	}
	return sdk.Ptr(d.o.Prefix + key)
}

// key is the reverse of name.
func (d *drive) key(name string) (string, error) {
	key, ok := strings.CutPrefix(name, d.o.Prefix)
	if !ok {
		return "", backends.Refuse(backends.Unsupported, "a key is listed that has not the prefix asked for")
	}
	for _, first := range []string{"/", `\`} {
		if rest, ok := strings.CutPrefix(key, fmt.Sprintf("__0x%02x__", first)); ok && d.o.Prefix == "" {
			return first + rest, nil
		}
	}
	return key, nil
}

func (d *drive) Attributes(ctx context.Context, key string) (*driver.Attributes, error) {
	out, err := d.head(ctx, key)
	if err != nil {
		return nil, err
	}
	a := &driver.Attributes{
		CacheControl: sdk.ToString(out.CacheControl), ContentDisposition: sdk.ToString(out.ContentDisposition),
		ContentEncoding: sdk.ToString(out.ContentEncoding), ContentLanguage: out.Headers.Get("Content-Language"),
		ContentType: sdk.ToString(out.ContentType), Metadata: readable(out.Metadata),
		ModTime: sdk.ToTime(out.LastModified), Size: out.ContentLength, ETag: sdk.ToString(out.ETag),
		AsFunc: func(i any) bool {
			p, ok := i.(*sdk.HeadObjectResult)
			if ok {
				*p = *out
			}
			return ok
		},
	}
	if plain(out.Headers) && sdk.ToString(out.ObjectType) == normal {
		a.MD5 = d.etags.Known(a.ETag)
	}
	return a, nil
}

func (d *drive) head(ctx context.Context, key string) (*sdk.HeadObjectResult, error) {
	out, err := d.client.HeadObject(ctx, &sdk.HeadObjectRequest{Bucket: &d.o.Bucket, Key: d.name(key)})
	if err == nil && out.Headers.Get("Content-Length") == "" {
		err = errNoLength
	}
	return out, ended(ctx, err)
}

var (
	errNoLength    = backends.Refuse(backends.Transient, "the answer does not say how long the object is")
	errEmptyAnswer = backends.Refuse(backends.Transient, "the answer is empty, which is not an empty listing")
)

func (d *drive) ListPaged(ctx context.Context, opts *driver.ListOptions) (*driver.ListPage, error) {
	in := &sdk.ListObjectsV2Request{
		Bucket: &d.o.Bucket, Prefix: d.name(opts.Prefix), EncodingType: sdk.Ptr("url"), MaxKeys: int32(opts.PageSize),
	}
	if opts.PageSize == 0 || opts.PageSize > 1000 {
		in.MaxKeys = 1000
	}
	if opts.Delimiter != "" {
		in.Delimiter = &opts.Delimiter
	}
	if opts.BeforeList != nil {
		err := opts.BeforeList(func(i any) bool {
			p, ok := i.(**sdk.ListObjectsV2Request)
			if ok {
				*p = in
			}
			return ok
		})
		if err != nil {
			return nil, err
		}
	}
	if len(opts.PageToken) > 0 {
		in.ContinuationToken, in.StartAfter = sdk.Ptr(string(opts.PageToken)), nil
	}
	out, err := d.client.ListObjectsV2(ctx, in)
	for try := 2; cut(err) && try <= listings && ctx.Err() == nil; try++ {
		out, err = d.client.ListObjectsV2(ctx, in)
	}
	if err != nil {
		return nil, ended(ctx, err)
	}
	return d.page(ctx, out, string(opts.PageToken))
}

// listings is how often a page is asked for whose answer ends early.
const listings = 3

// cut says whether an answer ended early, which the SDK sees after the last
// moment at which it sends a request again: one of a thousand pages would end a
// listing.
func cut(err error) bool {
	return errors.As(err, new(*sdk.DeserializationError)) || errors.Is(err, io.ErrUnexpectedEOF)
}

func (d *drive) page(ctx context.Context, out *sdk.ListObjectsV2Result, token string) (*driver.ListPage, error) {
	page := &driver.ListPage{NextPageToken: []byte(sdk.ToString(out.NextContinuationToken))}
	switch next := string(page.NextPageToken); {
	case out.Name == nil: // the SDK takes 200 without a body, as a proxy may send it, for success
		return nil, errEmptyAnswer
	case out.IsTruncated && (next == "" || next == token):
		return nil, backends.Refuse(backends.Unsupported, "the listing goes on, but not how")
	case !out.IsTruncated:
		page.NextPageToken = nil
	}
	for _, o := range out.Contents {
		key, err := d.key(sdk.ToString(o.Key))
		if err != nil {
			return nil, err
		}
		l := &driver.ListObject{Key: key, Size: o.Size, ModTime: sdk.ToTime(o.LastModified), AsFunc: as(o)}
		if sdk.ToString(o.Type) == normal {
			l.MD5 = d.md5(ctx, key, o.Size, sdk.ToString(o.ETag))
		}
		page.Objects = append(page.Objects, l)
	}
	for _, p := range out.CommonPrefixes {
		key, err := d.key(sdk.ToString(p.Prefix))
		if err != nil {
			return nil, err
		}
		page.Objects = append(page.Objects, &driver.ListObject{Key: key, IsDir: true, AsFunc: as(p)})
	}
	if len(out.CommonPrefixes) > 0 { // they come apart from the objects
		slices.SortFunc(page.Objects, func(a, b *driver.ListObject) int { return strings.Compare(a.Key, b.Key) })
	}
	return page, nil
}

func as[T any](v T) func(any) bool {
	return func(i any) bool {
		p, ok := i.(*T)
		if ok {
			*p = v
		}
		return ok
	}
}

type reader struct {
	io.ReadCloser
	attributes driver.ReaderAttributes
	out        *sdk.GetObjectResult
}

func (r *reader) Attributes() *driver.ReaderAttributes { return &r.attributes }

func (r *reader) As(i any) bool {
	p, ok := i.(*sdk.GetObjectResult)
	if ok {
		*p = *r.out
	}
	return ok
}

// NewRangeReader asks for the standard's behaviour: without, a range that is
// not within the object is answered with all of it.
func (d *drive) NewRangeReader(ctx context.Context, key string, offset, length int64, opts *driver.ReaderOptions) (driver.Reader, error) {
	in := &sdk.GetObjectRequest{Bucket: &d.o.Bucket, Key: d.name(key), RangeBehavior: sdk.Ptr("standard")}
	switch {
	case length == 0: // which no range can ask for
		in.Range = sdk.Ptr("bytes=0-0")
	case length > 0:
		in.Range = sdk.Ptr(fmt.Sprintf("bytes=%d-%d", offset, offset+length-1))
	case offset > 0:
		in.Range = sdk.Ptr(fmt.Sprintf("bytes=%d-", offset))
	}
	if opts.BeforeRead != nil {
		if err := opts.BeforeRead(as(in)); err != nil {
			return nil, err
		}
	}
	out, err := d.client.GetObject(ctx, in)
	if length == 0 && hasCode(err, "InvalidRange") {
		in.Range = nil
		out, err = d.client.GetObject(ctx, in)
	}
	if err != nil {
		return nil, ended(ctx, err)
	}
	r := &reader{ReadCloser: out.Body, out: out}
	r.attributes = driver.ReaderAttributes{ContentType: sdk.ToString(out.ContentType), ModTime: sdk.ToTime(out.LastModified)}
	from := offset
	if length == 0 {
		from = 0
	}
	if r.attributes.Size, err = whole(out, in.Range != nil, from, length < 0); err != nil {
		out.Body.Close()
		return nil, err
	}
	if length == 0 {
		out.Body.Close()
		r.ReadCloser = http.NoBody
	}
	return r, nil
}

// whole is the size of the object of which an answer has the bytes from offset
// on, to its end where that was asked for.
func whole(out *sdk.GetObjectResult, ranged bool, offset int64, toEnd bool) (int64, error) {
	if out.Headers.Get("Content-Length") == "" {
		return 0, errNoLength
	}
	if !ranged {
		return out.ContentLength, nil
	}
	var from, to, size int64
	said := sdk.ToString(out.ContentRange)
	_, err := fmt.Sscanf(said, "bytes %d-%d/%d", &from, &to, &size)
	if err != nil || from != offset || toEnd && to != size-1 || out.ContentLength != to-from+1 {
		return 0, backends.Refuse(backends.Unsupported, fmt.Sprintf("asked for the bytes from %d on, the store answers with %q", offset, said))
	}
	return size, nil
}

func (d *drive) Copy(ctx context.Context, dst, src string, opts *driver.CopyOptions) error {
	in := &sdk.CopyObjectRequest{Bucket: &d.o.Bucket, Key: d.name(dst), SourceBucket: &d.o.Bucket, SourceKey: d.name(src)}
	if opts.BeforeCopy != nil {
		if err := opts.BeforeCopy(as(in)); err != nil {
			return err
		}
	}
	_, err := d.client.CopyObject(ctx, in)
	return ended(ctx, err)
}

// Delete asks first, since the service deletes what is not there.
func (d *drive) Delete(ctx context.Context, key string, opts *driver.DeleteOptions) error {
	if _, err := d.head(ctx, key); err != nil {
		return err
	}
	in := &sdk.DeleteObjectRequest{Bucket: &d.o.Bucket, Key: d.name(key)}
	if opts.BeforeDelete != nil {
		if err := opts.BeforeDelete(as(in)); err != nil {
			return err
		}
	}
	_, err := d.client.DeleteObject(ctx, in)
	return ended(ctx, err)
}

// SignedURL is not made: nobody here gives an object to others.
func (d *drive) SignedURL(context.Context, string, *driver.SignedURLOptions) (string, error) {
	return "", backends.Refuse(backends.Unsupported, "signed URLs are not made")
}

// The service's metadata have names of lower-case letters, digits and hyphens.
var (
	unfit = regexp.MustCompile(`[^a-z0-9-]`)
	fit   = regexp.MustCompile(`-0x([0-9a-f]{2})-`)
)

func writable(metadata map[string]string) map[string]string {
	out := make(map[string]string, len(metadata))
	for k, v := range metadata {
		var name strings.Builder
		for i := range len(k) {
			if b := string(k[i : i+1]); unfit.MatchString(b) || k[i] >= 0x80 {
				fmt.Fprintf(&name, "-0x%02x-", k[i])
			} else {
				name.WriteString(b)
			}
		}
		out[name.String()] = url.PathEscape(v)
	}
	return out
}

func readable(metadata map[string]string) map[string]string {
	out := make(map[string]string, len(metadata))
	for name, v := range metadata {
		k := fit.ReplaceAllStringFunc(strings.ToLower(name), func(hex string) string {
			b, _ := strconv.ParseUint(hex[3:5], 16, 8)
			return string([]byte{byte(b)})
		})
		if text, err := url.PathUnescape(v); err == nil {
			v = text
		}
		out[k] = v
	}
	return out
}
