package fakeoss

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"hash/crc64"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

var ecma = crc64.MakeTable(crc64.ECMA)

// piece is a file of content; an object in parts has several.
type piece struct {
	file string
	size int64
}

type object struct {
	pieces   []piece
	size     int64
	etag     string // without its quotes
	crc      uint64
	kind     string // Normal or Multipart
	modified time.Time
	kept     http.Header // what the writer said of it
}

// kept are the headers that an object keeps, besides x-oss-meta-.
var kept = []string{
	"Content-Type", "Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Expires",
	"X-Oss-Storage-Class", "X-Oss-Server-Side-Encryption", "X-Oss-Server-Side-Encryption-Key-Id", "X-Oss-Object-Acl",
}

func keptOf(h http.Header) http.Header {
	k := http.Header{}
	for name, values := range h {
		if slices.Contains(kept, name) || strings.HasPrefix(name, "X-Oss-Meta-") {
			k[name] = values
		}
	}
	if k.Get("Content-Type") == "" {
		k.Set("Content-Type", "application/octet-stream")
	}
	if k.Get("X-Oss-Storage-Class") == "" {
		k.Set("X-Oss-Storage-Class", "Standard")
	}
	return k
}

// received is the body of a request, in a file of its own.
type received struct {
	piece
	md5 []byte
	crc uint64
}

// receive stores the body and compares it with the Content-MD5 that came along.
func (c *call) receive() (received, *fault) {
	var claimed []byte
	if text := c.r.Header.Get("Content-MD5"); text != "" {
		var err error
		if claimed, err = base64.StdEncoding.DecodeString(text); err != nil || len(claimed) != md5.Size {
			return received{}, &fault{http.StatusBadRequest, "InvalidDigest", "The Content-MD5 you specified was invalid."}
		}
	}
	in, err := c.s.store(c.r.Body)
	if err != nil {
		return received{}, &fault{http.StatusBadRequest, "IncompleteBody", "The request body is incomplete."}
	}
	if claimed != nil && !bytes.Equal(claimed, in.md5) {
		_ = os.Remove(in.file)
		return received{}, &fault{http.StatusBadRequest, "InvalidDigest", "The Content-MD5 you specified did not match what we received."}
	}
	return in, nil
}

func (s *Server) store(r io.Reader) (in received, err error) {
	in.file = filepath.Join(s.Dir, random(16))
	f, err := os.Create(in.file)
	if err != nil {
		return in, err
	}
	sum, crc := md5.New(), crc64.New(ecma)
	in.size, err = io.Copy(io.MultiWriter(f, sum, crc), r)
	in.md5, in.crc = sum.Sum(nil), crc.Sum64()
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(in.file)
	}
	return in, err
}

func (c *call) putObject() *fault {
	in, wrong := c.receive()
	if wrong != nil {
		return wrong
	}
	o := &object{pieces: []piece{in.piece}, size: in.size, etag: tag(in.md5, c.r.Header), crc: in.crc, kind: "Normal", kept: keptOf(c.r.Header)}
	if wrong := c.place(o); wrong != nil {
		_ = os.Remove(in.file)
		return wrong
	}
	c.w.Header().Set("Content-MD5", base64.StdEncoding.EncodeToString(in.md5))
	c.described(o.etag, o.crc, o.kept)
	return nil
}

// tag is an ETag: the MD5, except under KMS.
func tag(sum []byte, h http.Header) string {
	if h.Get("x-oss-server-side-encryption") == "KMS" {
		return random(16)
	}
	return strings.ToUpper(hex.EncodeToString(sum))
}

// described says what was stored, in the headers of the answer.
func (c *call) described(etag string, crc uint64, kept http.Header) {
	h := c.w.Header()
	h.Set("ETag", `"`+etag+`"`)
	h.Set("x-oss-hash-crc64ecma", strconv.FormatUint(crc, 10))
	for name, values := range kept {
		if strings.HasPrefix(name, "X-Oss-Server-Side-") {
			h[name] = values
		}
	}
}

// place gives an object its name.
func (c *call) place(o *object) *fault {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	old := c.b.objects[c.key]
	if old != nil && c.r.Header.Get("x-oss-forbid-overwrite") == "true" {
		return &fault{http.StatusConflict, "FileAlreadyExists", "The object you specified already exists and can not be overwritten."}
	}
	o.modified = time.Now()
	c.b.objects[c.key] = o
	if old == nil {
		c.b.sorted = nil
		return nil
	}
	old.remove()
	return nil
}

func (o *object) remove() {
	for _, p := range o.pieces {
		_ = os.Remove(p.file)
	}
}

func noSuchKey() *fault {
	return &fault{http.StatusNotFound, "NoSuchKey", "The specified key does not exist."}
}

func (c *call) getObject() *fault {
	o, files, wrong := c.open(c.b, c.key)
	if wrong != nil {
		return wrong
	}
	defer closeAll(files)
	h := c.w.Header()
	for name, values := range o.kept {
		h[name] = values
	}
	c.described(o.etag, o.crc, o.kept)
	h.Set("Last-Modified", o.modified.UTC().Format(http.TimeFormat))
	h.Set("Accept-Ranges", "bytes")
	h.Set("x-oss-object-type", o.kind)
	if c.r.Method == http.MethodHead {
		h.Set("Content-Length", strconv.FormatInt(o.size, 10))
		return nil
	}
	if class := h.Get("X-Oss-Storage-Class"); strings.HasSuffix(class, "Archive") {
		return &fault{http.StatusForbidden, "InvalidObjectState", "The operation is not valid for the object's state."}
	}
	from, to, ok := ranged(c.r.Header.Get("Range"), o.size)
	if !ok && c.r.Header.Get("x-oss-range-behavior") == "standard" {
		h.Set("Content-Range", fmt.Sprintf("bytes */%d", o.size))
		return &fault{http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "The requested range cannot be satisfied."}
	}
	if c.packs(o) {
		return c.pack(o, files)
	}
	status := http.StatusOK
	if ok && c.r.Header.Get("Range") != "" {
		status = http.StatusPartialContent
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, o.size))
	}
	h.Set("Content-Length", strconv.FormatInt(to-from, 10))
	c.w.WriteHeader(status)
	_ = o.copyTo(c.w, files, from, to)
	return nil
}

// ranged are the bytes that are asked for; all of them, and false, for a range
// that is not within the object: then the service sends the whole, with 200.
func ranged(text string, size int64) (from, to int64, ok bool) {
	if text == "" {
		return 0, size, true
	}
	first, last, found := strings.Cut(strings.TrimPrefix(text, "bytes="), "-")
	a, errA := strconv.ParseInt(first, 10, 64)
	b, errB := strconv.ParseInt(last, 10, 64)
	switch {
	case !found || !strings.HasPrefix(text, "bytes="):
	case first == "" && errB == nil && b > 0 && b <= size:
		return size - b, size, true
	case errA == nil && last == "" && a < size:
		return a, size, true
	case errA == nil && errB == nil && a <= b && b < size:
		return a, b + 1, true
	}
	return 0, size, false
}

// open finds an object and opens its files, which stay readable when the
// object is gone.
func (c *call) open(b *bucket, key string) (*object, []*os.File, *fault) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	o := b.objects[key]
	if o == nil {
		return nil, nil, noSuchKey()
	}
	var files []*os.File
	for _, p := range o.pieces {
		f, err := os.Open(p.file)
		if err != nil {
			closeAll(files)
			return nil, nil, &fault{http.StatusInternalServerError, "InternalError", "We encountered an internal error. Please try again."}
		}
		files = append(files, f)
	}
	return o, files, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// copyTo writes the bytes from the first one to that before the last.
func (o *object) copyTo(w io.Writer, files []*os.File, from, to int64) error {
	var start int64
	for i, p := range o.pieces {
		a, b := max(from-start, 0), min(to-start, p.size)
		if a < b {
			if _, err := io.Copy(w, io.NewSectionReader(files[i], a, b-a)); err != nil {
				return err
			}
		}
		start += p.size
	}
	return nil
}

// source opens what is to be copied.
func (c *call) source() (*object, []*os.File, *fault) {
	path, err := url.PathUnescape(c.r.Header.Get("x-oss-copy-source"))
	if err != nil {
		return nil, nil, invalid("Copy Source must mention the source bucket and key: /sourcebucket/sourcekey.")
	}
	name, key, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	c.s.mu.Lock()
	b := c.s.buckets[name]
	c.s.mu.Unlock()
	if b == nil {
		return nil, nil, &fault{http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist."}
	}
	return c.open(b, key)
}

// stored copies bytes of an object to a file of their own.
func (c *call) stored(o *object, files []*os.File, from, to int64) (received, *fault) {
	r, w := io.Pipe()
	go func() { w.CloseWithError(o.copyTo(w, files, from, to)) }()
	in, err := c.s.store(r)
	if err != nil {
		return in, &fault{http.StatusInternalServerError, "InternalError", "We encountered an internal error. Please try again."}
	}
	return in, nil
}

type copied struct {
	XMLName      xml.Name
	ETag         string
	LastModified string
}

func (c *call) copyObject() *fault {
	src, files, wrong := c.source()
	if wrong != nil {
		return wrong
	}
	defer closeAll(files)
	in, wrong := c.stored(src, files, 0, src.size)
	if wrong != nil {
		return wrong
	}
	// Encryption and class are those of the request, not of the source.
	k := keptOf(c.r.Header)
	if c.r.Header.Get("x-oss-metadata-directive") != "REPLACE" {
		for name, values := range src.kept {
			if !strings.HasPrefix(name, "X-Oss-S") {
				k[name] = values
			}
		}
	}
	o := &object{pieces: []piece{in.piece}, size: in.size, etag: tag(in.md5, c.r.Header), crc: in.crc, kind: "Normal", kept: k}
	if wrong := c.place(o); wrong != nil {
		_ = os.Remove(in.file)
		return wrong
	}
	c.described(o.etag, o.crc, o.kept)
	return c.answer(copied{XMLName: xml.Name{Local: "CopyObjectResult"}, ETag: `"` + o.etag + `"`, LastModified: stamp(o.modified)})
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// drop removes an object, and says whether it was there.
func (c *call) drop(key string) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if o := c.b.objects[key]; o != nil {
		o.remove()
		delete(c.b.objects, key)
		c.b.sorted = nil
	}
}

func (c *call) deleteObject() *fault {
	c.drop(c.key)
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

func (c *call) deleteObjects() *fault {
	body, err := io.ReadAll(io.LimitReader(c.r.Body, 2<<20))
	sum := md5.Sum(body)
	var in struct {
		Quiet  bool
		Object []struct{ Key string }
	}
	switch {
	case c.r.Header.Get("Content-MD5") == "":
		return &fault{http.StatusBadRequest, "MissingArgument", "Missing Some Required Arguments."}
	case c.r.Header.Get("Content-MD5") != base64.StdEncoding.EncodeToString(sum[:]):
		return &fault{http.StatusBadRequest, "InvalidDigest", "The Content-MD5 you specified did not match what we received."}
	case err != nil || xml.Unmarshal(body, &in) != nil || len(in.Object) == 0 || len(in.Object) > 1000:
		return &fault{http.StatusBadRequest, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema."}
	}
	out := struct {
		XMLName xml.Name `xml:"DeleteResult"`
		Deleted []struct{ Key string }
	}{}
	for _, o := range in.Object {
		c.drop(o.Key)
		if !in.Quiet {
			out.Deleted = append(out.Deleted, struct{ Key string }{o.Key})
		}
	}
	return c.answer(out)
}
