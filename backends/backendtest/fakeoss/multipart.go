package fakeoss

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"hash/crc64"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	maxParts = 10_000
	minPart  = 100 << 10
)

type upload struct {
	key   string
	begun time.Time
	kept  http.Header
	parts map[int]part
}

type part struct {
	received
	modified time.Time
}

func (p part) etag() string { return `"` + strings.ToUpper(hex.EncodeToString(p.md5)) + `"` }

func noSuchUpload() *fault {
	return &fault{http.StatusNotFound, "NoSuchUpload", "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."}
}

func (c *call) initiate() *fault {
	id := random(16)
	c.s.mu.Lock()
	c.b.uploads[id] = &upload{key: c.key, begun: time.Now(), kept: keptOf(c.r.Header), parts: map[int]part{}}
	c.s.mu.Unlock()
	return c.answer(struct {
		XMLName               xml.Name `xml:"InitiateMultipartUploadResult"`
		Bucket, Key, UploadId string
	}{Bucket: c.name, Key: c.encode(c.key), UploadId: id})
}

// upload is the one that is asked for; the lock is held.
func (c *call) upload() *upload {
	u := c.b.uploads[c.r.URL.Query().Get("uploadId")]
	if u == nil || u.key != c.key {
		return nil
	}
	return u
}

func (c *call) uploadPart() *fault {
	n, wrong := c.partNumber()
	if wrong != nil {
		return wrong
	}
	in, wrong := c.receive()
	if wrong != nil {
		return wrong
	}
	if wrong := c.keepPart(n, in); wrong != nil {
		return wrong
	}
	c.w.Header().Set("Content-MD5", base64.StdEncoding.EncodeToString(in.md5))
	c.described(strings.Trim(part{received: in}.etag(), `"`), in.crc, nil)
	return nil
}

func (c *call) partNumber() (int, *fault) {
	n, err := strconv.Atoi(c.r.URL.Query().Get("partNumber"))
	if err != nil || n < 1 || n > maxParts {
		return 0, invalid("Part number must be an integer between 1 and 10000, inclusive.")
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.upload() == nil {
		return 0, noSuchUpload()
	}
	return n, nil
}

func (c *call) keepPart(n int, in received) *fault {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	u := c.upload()
	if u == nil {
		_ = os.Remove(in.file)
		return noSuchUpload()
	}
	if old, ok := u.parts[n]; ok {
		_ = os.Remove(old.file)
	}
	u.parts[n] = part{in, time.Now()}
	return nil
}

func (c *call) uploadPartCopy() *fault {
	n, wrong := c.partNumber()
	if wrong != nil {
		return wrong
	}
	src, files, wrong := c.source()
	if wrong != nil {
		return wrong
	}
	defer closeAll(files)
	from, to, ok := ranged(c.r.Header.Get("x-oss-copy-source-range"), src.size)
	if !ok {
		return invalid("The specified copy range is invalid.")
	}
	in, wrong := c.stored(src, files, from, to)
	if wrong != nil {
		return wrong
	}
	if wrong := c.keepPart(n, in); wrong != nil {
		return wrong
	}
	c.w.Header().Set("x-oss-hash-crc64ecma", strconv.FormatUint(in.crc, 10))
	return c.answer(copied{XMLName: xml.Name{Local: "CopyPartResult"}, ETag: part{received: in}.etag(), LastModified: stamp(time.Now())})
}

func (c *call) complete() *fault {
	var in struct {
		Part []struct {
			PartNumber int
			ETag       string
		}
	}
	body, err := io.ReadAll(io.LimitReader(c.r.Body, 4<<20))
	if err != nil || xml.Unmarshal(body, &in) != nil || len(in.Part) == 0 {
		return &fault{http.StatusBadRequest, "MalformedXML", "The XML you provided was not well-formed or did not validate against our published schema."}
	}
	c.s.mu.Lock()
	u := c.upload()
	if u == nil {
		c.s.mu.Unlock()
		return noSuchUpload()
	}
	o := &object{kind: "Multipart", kept: u.kept}
	tags, last := md5.New(), 0
	for i, claimed := range in.Part {
		p, ok := u.parts[claimed.PartNumber]
		var f *fault
		switch {
		case claimed.PartNumber <= last:
			f = &fault{http.StatusBadRequest, "InvalidPartOrder", "The list of parts was not in ascending order. Parts list must specified in order by part number."}
		case !ok || strings.Trim(claimed.ETag, `"`) != strings.Trim(p.etag(), `"`):
			f = &fault{http.StatusBadRequest, "InvalidPart", "One or more of the specified parts could not be found or the specified entity tag might not have matched the part's entity tag."}
		case p.size < minPart && i < len(in.Part)-1:
			f = &fault{http.StatusBadRequest, "EntityTooSmall", "Your proposed upload smaller than the minimum allowed size."}
		}
		if f != nil {
			c.s.mu.Unlock()
			return f
		}
		last = claimed.PartNumber
		o.pieces = append(o.pieces, p.piece)
		o.size += p.size
		tags.Write(p.md5)
	}
	delete(c.b.uploads, c.r.URL.Query().Get("uploadId")) // once, whoever else asks for it
	c.s.mu.Unlock()
	o.etag = fmt.Sprintf("%X-%d", tags.Sum(nil), len(in.Part))
	if o.crc, err = sumOf(o.pieces); err != nil {
		return &fault{http.StatusInternalServerError, "InternalError", "We encountered an internal error. Please try again."}
	}
	if f := c.place(o); f != nil {
		c.s.mu.Lock()
		defer c.s.mu.Unlock()
		c.b.uploads[c.r.URL.Query().Get("uploadId")] = u
		return f
	}
	u.remove(o.pieces)
	c.described(o.etag, o.crc, o.kept)
	return c.answer(struct {
		XMLName                     xml.Name `xml:"CompleteMultipartUploadResult"`
		Location, Bucket, Key, ETag string
	}{Location: "http://" + c.r.Host + c.r.URL.EscapedPath(), Bucket: c.name, Key: c.encode(c.key), ETag: `"` + o.etag + `"`})
}

// sumOf reads the whole again, so that it is right whatever a client combines.
func sumOf(pieces []piece) (uint64, error) {
	sum := crc64.New(ecma)
	for _, p := range pieces {
		f, err := os.Open(p.file)
		if err != nil {
			return 0, err
		}
		_, err = io.Copy(sum, f)
		f.Close()
		if err != nil {
			return 0, err
		}
	}
	return sum.Sum64(), nil
}

// remove removes the parts that no object has.
func (u *upload) remove(used []piece) {
	for _, p := range u.parts {
		if !slices.Contains(used, p.piece) {
			_ = os.Remove(p.file)
		}
	}
}

func (c *call) abort() *fault {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	u := c.upload()
	if u == nil {
		return noSuchUpload()
	}
	u.remove(nil)
	delete(c.b.uploads, c.r.URL.Query().Get("uploadId"))
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

type listedPart struct {
	PartNumber                        int
	LastModified, ETag, HashCrc64ecma string
	Size                              int64
}

func (c *call) listParts() *fault {
	q := c.r.URL.Query()
	n, ok := most(q.Get("max-parts"), 1000)
	if !ok {
		return invalid("Argument max-parts must be an integer between 1 and 1000.")
	}
	after, _ := strconv.Atoi(q.Get("part-number-marker"))
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	u := c.upload()
	if u == nil {
		return noSuchUpload()
	}
	out := struct {
		XMLName                                          xml.Name `xml:"ListPartsResult"`
		Bucket, Key, UploadId                            string
		PartNumberMarker, NextPartNumberMarker, MaxParts int
		IsTruncated                                      bool
		Part                                             []listedPart
	}{Bucket: c.name, Key: c.encode(c.key), UploadId: q.Get("uploadId"), PartNumberMarker: after, MaxParts: n}
	for _, number := range slices.Sorted(maps.Keys(u.parts)) {
		if number <= after {
			continue
		}
		if len(out.Part) == n {
			out.IsTruncated = true
			break
		}
		p := u.parts[number]
		out.Part = append(out.Part, listedPart{number, stamp(p.modified), p.etag(), strconv.FormatUint(p.crc, 10), p.size})
		out.NextPartNumberMarker = number
	}
	return c.answer(out)
}

type listedUpload struct{ Key, UploadId, StorageClass, Initiated string }

func (c *call) listUploads() *fault {
	q := c.r.URL.Query()
	n, ok := most(q.Get("max-uploads"), 1000)
	if !ok {
		return invalid("Argument max-uploads must be an integer between 1 and 1000.")
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	ids := slices.SortedFunc(maps.Keys(c.b.uploads), func(a, b string) int {
		return strings.Compare(c.b.uploads[a].key+"\x00"+a, c.b.uploads[b].key+"\x00"+b)
	})
	out := struct {
		XMLName                           xml.Name `xml:"ListMultipartUploadsResult"`
		Bucket, KeyMarker, UploadIdMarker string
		NextKeyMarker, NextUploadIdMarker string
		Prefix                            string
		EncodingType                      string `xml:",omitempty"`
		MaxUploads                        int
		IsTruncated                       bool
		Upload                            []listedUpload
	}{Bucket: c.name, KeyMarker: c.encode(q.Get("key-marker")), UploadIdMarker: q.Get("upload-id-marker"), Prefix: c.encode(q.Get("prefix")), EncodingType: q.Get("encoding-type"), MaxUploads: n}
	for _, id := range ids {
		u := c.b.uploads[id]
		if !strings.HasPrefix(u.key, q.Get("prefix")) || !follows(u.key, id, q.Get("key-marker"), q.Get("upload-id-marker")) {
			continue
		}
		if len(out.Upload) == n {
			out.IsTruncated = true
			break
		}
		out.Upload = append(out.Upload, listedUpload{c.encode(u.key), id, u.kept.Get("X-Oss-Storage-Class"), stamp(u.begun)})
		out.NextKeyMarker, out.NextUploadIdMarker = c.encode(u.key), id
	}
	return c.answer(out)
}

// follows says whether an upload comes after the markers; without that of an
// identifier, all uploads of the key are before it.
func follows(key, id, keyMarker, idMarker string) bool {
	if key == keyMarker && idMarker != "" {
		return id > idMarker
	}
	return key > keyMarker
}
