package fakegcs

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const unit = 256 << 10

// session is an upload that is not over, or is.
type session struct {
	object
	size int64 // that was announced, -1 for none
	done bool
	gone int // the status it answers with, 0 while it lives
}

// Sessions returns the names of the objects whose uploads are not over.
func (s *Server) Sessions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, u := range s.sessions {
		if !u.done && u.gone == 0 {
			names = append(names, u.named)
		}
	}
	slices.Sort(names)
	return names
}

// Forget ends all sessions, which answer with a status from now on: the
// service's are 404 and 410.
func (s *Server) Forget(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.sessions {
		u.gone = status
	}
}

// Lose takes the last n bytes back that sessions had.
func (s *Server) Lose(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.sessions {
		u.content = u.content[:max(0, len(u.content)-n)]
	}
}

// Damage changes a byte that sessions have.
func (s *Server) Damage(at int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.sessions {
		if at < len(u.content) {
			u.content[at] ^= 1
		}
	}
}

func (s *Server) begin(w http.ResponseWriter, r *http.Request, bucket string) {
	var said resource
	if err := json.NewDecoder(r.Body).Decode(&said); err != nil && err != io.EOF {
		Refuse(w, http.StatusBadRequest, "invalid", err.Error())
		return
	}
	u := &session{object: object{bucket: bucket, named: said.Name, contentType: said.ContentType}, size: -1}
	if name := r.URL.Query().Get("name"); name != "" {
		u.named = name
	}
	if n, err := strconv.ParseInt(r.Header.Get("X-Upload-Content-Length"), 10, 64); err == nil {
		u.size = n
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	id := fmt.Sprintf("SECRET-%d", s.last)
	s.sessions[id] = u
	q := r.URL.Query()
	q.Set("upload_id", id)
	at := url.URL{Scheme: "http", Host: r.Host, Path: r.URL.Path, RawQuery: q.Encode()}
	w.Header().Set("Location", at.String())
	w.WriteHeader(http.StatusOK)
}

// resume is a chunk, or the question how far the upload is. A chunk is read to
// its end before anything of it counts, unless it breaks off.
func (s *Server) resume(w http.ResponseWriter, r *http.Request) {
	body, cut := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.sessions[r.URL.Query().Get("upload_id")]
	switch {
	case u == nil:
		Refuse(w, http.StatusNotFound, "notFound", "no such upload: "+r.URL.Query().Get("upload_id"))
		return
	case u.gone != 0:
		Refuse(w, u.gone, "invalid", "the upload is gone: "+r.URL.Query().Get("upload_id"))
		return
	case u.done:
		answer(w, u.resource())
		return
	}
	from, size, err := parseRange(r.Header.Get("Content-Range"), int64(len(body)), cut != nil)
	have := int64(len(u.content))
	switch {
	case err != nil || u.size >= 0 && size >= 0 && size != u.size:
		Refuse(w, http.StatusBadRequest, "invalid", "the range is wrong")
		return
	case from > have:
		Refuse(w, http.StatusServiceUnavailable, "backendError", "there is a gap before the chunk")
		return
	}
	last := from >= 0 && cut == nil && size >= 0 && from+int64(len(body)) == size || from < 0 && have == size
	if from >= 0 && !last && cut == nil && len(body)%unit != 0 {
		Refuse(w, http.StatusBadRequest, "invalid", "a chunk is a multiple of 256 KiB")
		return
	}
	if from >= 0 {
		s.take(u, body, have-from, last)
	}
	if last {
		s.finish(w, r, u)
		return
	}
	if len(u.content) > 0 {
		w.Header().Set("Range", fmt.Sprintf("bytes=0-%d", len(u.content)-1))
	}
	if r.Header.Get("X-GUploader-No-308") == "yes" { // Google's clients, for whom 308 is a redirect
		w.Header().Set("X-Http-Status-Code-Override", "308")
		return
	}
	w.WriteHeader(http.StatusPermanentRedirect)
}

// take persists what is new of a chunk.
func (s *Server) take(u *session, body []byte, known int64, last bool) {
	if known >= int64(len(body)) {
		return
	}
	body = body[known:]
	if !last {
		n := int64(len(body))
		if s.keep > 0 {
			n = min(n, max(s.keep, unit))
		}
		body = body[:n/unit*unit]
	}
	u.content = append(u.content, body...)
}

func (s *Server) finish(w http.ResponseWriter, r *http.Request, u *session) {
	sum, said := strings.CutPrefix(r.Header.Get("X-Goog-Hash"), "crc32c=")
	if said && !s.deaf && sum != crcOf(u.content) {
		u.gone = http.StatusNotFound
		Refuse(w, http.StatusBadRequest, "invalid", "Provided CRC32C does not match the calculated CRC32C.")
		return
	}
	u.done = true
	o := u.object
	s.put(&o)
	u.object = o
	answer(w, o.resource())
}

func (s *Server) cancel(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.sessions[r.URL.Query().Get("upload_id")]; u != nil && !u.done {
		u.gone, u.content = 499, nil
		w.WriteHeader(499)
		return
	}
	w.WriteHeader(http.StatusNotFound)
}

// parseRange reads "bytes FROM-TO/SIZE" and "bytes */SIZE", for which from is
// -1; the size may be "*", which is -1.
func parseRange(text string, length int64, cut bool) (from, size int64, err error) {
	at, of, ok := strings.Cut(strings.TrimPrefix(text, "bytes "), "/")
	if !ok {
		return 0, 0, fmt.Errorf("the range %q", text)
	}
	size = -1
	if of != "*" {
		if size, err = strconv.ParseInt(of, 10, 64); err != nil {
			return 0, 0, err
		}
	}
	if at == "*" {
		return -1, size, nil
	}
	var to int64
	if _, err := fmt.Sscanf(at, "%d-%d", &from, &to); err != nil {
		return 0, 0, err
	}
	if to-from+1 != length && !cut {
		return 0, 0, fmt.Errorf("%d bytes as the range %q", length, text)
	}
	return from, size, nil
}
