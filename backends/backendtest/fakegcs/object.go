package fakegcs

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strconv"
	"time"
)

// resource is what the service says of an object.
type resource struct {
	Name        string    `json:"name"`
	Bucket      string    `json:"bucket"`
	Size        string    `json:"size"`
	CRC32C      string    `json:"crc32c"`
	MD5         string    `json:"md5Hash"`
	ContentType string    `json:"contentType"`
	Encoding    string    `json:"contentEncoding,omitempty"`
	Generation  string    `json:"generation"`
	Updated     time.Time `json:"updated"`
}

func (o *object) resource() resource {
	return resource{
		Name: o.named, Bucket: o.bucket, Size: strconv.Itoa(len(o.content)),
		CRC32C: o.crc, MD5: o.md5,
		ContentType: o.contentType, Encoding: o.encoding, Generation: strconv.FormatInt(o.generation, 10), Updated: o.updated,
	}
}

// sum is called once the content is whole.
func (o *object) sum() {
	sum := md5.Sum(o.content)
	o.crc, o.md5 = crcOf(o.content), base64.StdEncoding.EncodeToString(sum[:])
}

func crcOf(b []byte) string {
	sum := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum))
}

// insert is an object in one request, of two parts: what it is, and its bytes.
func (s *Server) insert(w http.ResponseWriter, r *http.Request, bucket string) {
	_, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		Refuse(w, http.StatusBadRequest, "invalid", err.Error())
		return
	}
	var said resource
	parts := multipart.NewReader(r.Body, params["boundary"])
	first, err := parts.NextPart()
	if err == nil {
		err = json.NewDecoder(first).Decode(&said)
	}
	var content []byte
	if err == nil {
		if first, err = parts.NextPart(); err == nil {
			content, err = io.ReadAll(first)
		}
	}
	if _, end := parts.NextPart(); err != nil || end != io.EOF { // cut off
		Refuse(w, http.StatusBadRequest, "invalid", "not two parts")
		return
	}
	o := &object{bucket: bucket, named: said.Name, contentType: said.ContentType, content: content}
	o.sum()
	if name := r.URL.Query().Get("name"); name != "" {
		o.named = name
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	is := o.resource()
	if !s.deaf && (said.CRC32C != "" && said.CRC32C != is.CRC32C || said.MD5 != "" && said.MD5 != is.MD5) {
		Refuse(w, http.StatusBadRequest, "invalid", "Provided hash does not match the calculated hash.")
		return
	}
	if on := r.URL.Query().Get("ifGenerationMatch"); on != "" && on != strconv.FormatInt(s.generation(o), 10) {
		Refuse(w, http.StatusPreconditionFailed, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")
		return
	}
	s.put(o)
	answer(w, o.resource())
}

// generation is that of the object in the place of o, 0 for none. The lock is
// held.
func (s *Server) generation(o *object) int64 {
	if old := s.buckets[o.bucket][o.named]; old != nil {
		return old.generation
	}
	return 0
}

// object is one that is asked for, read or removed.
func (s *Server) object(w http.ResponseWriter, r *http.Request, bucket, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.buckets[bucket][name]
	if g := r.URL.Query().Get("generation"); o == nil || g != "" && g != strconv.FormatInt(o.generation, 10) {
		Refuse(w, http.StatusNotFound, "notFound", "No such object: "+name)
		return
	}
	switch Kind(r) {
	case "delete":
		delete(s.buckets[bucket], name)
		w.WriteHeader(http.StatusNoContent)
	case "stat":
		answer(w, o.resource())
	case "read":
		h := w.Header()
		h.Set("Content-Type", o.contentType)
		h.Set("X-Goog-Generation", strconv.FormatInt(o.generation, 10))
		h.Set("X-Goog-Hash", "crc32c="+o.crc)
		if o.encoding != "" {
			h.Set("Content-Encoding", o.encoding)
			h.Set("X-Goog-Stored-Content-Encoding", o.encoding)
		}
		http.ServeContent(w, r, "", o.updated, bytes.NewReader(o.content))
	default:
		Refuse(w, http.StatusNotImplemented, "notImplemented", "not in this fake")
	}
}
