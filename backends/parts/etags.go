package parts

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"io"
	"strings"
	"sync"
)

// ETags knows whether an ETag that looks like an MD5 is one. It is not with
// encryption by KMS, and nowhere else is it promised; a listing does not say
// how an object is encrypted. So the first small object that is listed is read
// and compared, or what a probe has written. The zero value knows nothing.
//
// In a bucket where some objects are encrypted by KMS and some are not, their
// ETag is believed and wrong. That makes two objects look different, which
// costs a comparison; equal it cannot make them look.
type ETags struct {
	mu    sync.Mutex
	asked int  // times; bounded, since reading may be what is denied
	sure  bool // that it is known
	are   bool
}

// smallETag is what is read to learn it: links have 71 bytes.
const smallETag = 4096

// Tagged is an object that is read, with its ETag. Plain says that it is
// encrypted in no way that changes that.
type Tagged struct {
	Body  io.ReadCloser
	ETag  string
	Plain bool
}

// MD5 is that of a listed object of size bytes, nil where it is not known. read
// opens the object, to learn it; that it cannot is no failure of the listing.
func (e *ETags) MD5(etag string, size int64, read func() (Tagged, error)) []byte {
	sum := MD5OfETag(etag)
	if sum == nil {
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.sure && size > 0 && size <= smallETag && e.asked < 3 {
		e.asked++
		e.ask(read)
	}
	if !e.sure || !e.are {
		return nil
	}
	return sum
}

// Known is the MD5 if it is known without asking.
func (e *ETags) Known(etag string) []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.sure || !e.are {
		return nil
	}
	return MD5OfETag(etag)
}

// Learn compares the ETag of a content that is at hand.
func (e *ETags) Learn(content []byte, etag string, plain bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.compare(content, etag, plain)
}

func (e *ETags) ask(read func() (Tagged, error)) {
	t, err := read()
	if err != nil {
		return
	}
	defer t.Body.Close()
	content, err := io.ReadAll(io.LimitReader(t.Body, smallETag+1))
	if err != nil || len(content) > smallETag {
		return
	}
	e.compare(content, t.ETag, t.Plain)
}

func (e *ETags) compare(content []byte, etag string, plain bool) {
	sum := md5.Sum(content)
	e.sure, e.are = true, plain && bytes.Equal(sum[:], MD5OfETag(etag))
}

// MD5OfETag is nil for the ETag of an upload in parts, which has a dash.
func MD5OfETag(etag string) []byte {
	sum, err := hex.DecodeString(strings.Trim(etag, `"`))
	if err != nil || len(sum) != md5.Size {
		return nil
	}
	return sum
}
