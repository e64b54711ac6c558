package oss

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"sync"

	sdk "github.com/aliyun/alibabacloud-oss-go-sdk-v2/oss"
)

// normal is the type of an object that was put in one request.
const normal = "Normal"

// etags knows whether the ETag of a Normal object is its MD5. It is not with
// encryption by KMS, of which a listing says nothing. So the first small object
// that is listed is read and compared, or what the probe has written.
//
// In a bucket where some objects are encrypted by KMS and some are not, their
// ETag is believed and wrong. That makes two objects look different, which
// costs a comparison; equal it cannot make them look.
type etags struct {
	mu    sync.Mutex
	asked int  // times; bounded, since reading may be what is denied
	sure  bool // that it is known
	are   bool
}

// small is what is read to learn it: links have 71 bytes.
const small = 4096

// md5 is the MD5 of a listed object, nil where it is not known.
func (e *etags) md5(ctx context.Context, d *drive, key string, size int64, etag string) []byte {
	sum := looksMD5(etag)
	if sum == nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.sure && size > 0 && size <= small && e.asked < 3 {
		e.asked++
		e.learn(ctx, d, key)
	}
	if !e.sure || !e.are {
		return nil
	}
	return sum
}

// known is the MD5 if it is known without asking.
func (e *etags) known(etag string) []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.sure || !e.are {
		return nil
	}
	return looksMD5(etag)
}

// learn asks the store; that it cannot is no failure of the listing.
func (e *etags) learn(ctx context.Context, d *drive, key string) {
	out, err := d.client.GetObject(ctx, &sdk.GetObjectRequest{Bucket: &d.o.Bucket, Key: d.name(key)})
	if err != nil {
		return
	}
	defer out.Body.Close()
	content, err := io.ReadAll(io.LimitReader(out.Body, small+1))
	if err != nil || len(content) > small {
		return
	}
	e.compare(content, sdk.ToString(out.ETag), plain(out.Headers))
}

func (e *etags) compare(content []byte, etag string, plain bool) {
	sum := md5.Sum(content)
	e.sure, e.are = true, plain && bytes.Equal(sum[:], looksMD5(etag))
}

// looksMD5 is nil for the ETag of an upload in parts, which has a dash.
func looksMD5(etag string) []byte {
	sum, err := hex.DecodeString(strings.Trim(etag, `"`))
	if err != nil || len(sum) != md5.Size {
		return nil
	}
	return sum
}

// plain says whether an object is encrypted in no way that changes its ETag.
func plain(h http.Header) bool {
	e := h.Get("x-oss-server-side-encryption")
	return e == "" || e == "AES256"
}
