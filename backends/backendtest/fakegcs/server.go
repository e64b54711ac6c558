package fakegcs

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Server is the service. Its buckets are made by naming them to New.
type Server struct {
	URL string

	http     *httptest.Server
	mu       sync.Mutex
	buckets  map[string]map[string]*object
	sessions map[string]*session
	last     int64 // generation, and name of a session
	keep     int64
	deaf     bool
	meet     func(http.ResponseWriter, *http.Request) bool
	seen     map[string]int
}

type object struct {
	content       []byte
	contentType   string
	encoding      string
	generation    int64
	updated       time.Time
	bucket, named string
	crc, md5      string // of the content, as the service writes them
}

// New starts a server with these buckets and ends it with the test.
func New(t testing.TB, buckets ...string) *Server {
	t.Helper()
	s := &Server{buckets: map[string]map[string]*object{}, sessions: map[string]*session{}, seen: map[string]int{}}
	for _, name := range buckets {
		s.buckets[name] = map[string]*object{}
	}
	s.http = httptest.NewServer(http.HandlerFunc(s.serve))
	s.URL = s.http.URL
	t.Cleanup(s.http.Close)
	return s
}

// Meet has each request met by f from now on: true says that it was answered.
func (s *Server) Meet(f func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.meet = f
}

// Keep has the service persist at most n bytes of each chunk that is not the
// last, rounded down to 256 KiB but for one unit; 0 means all.
func (s *Server) Keep(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep = n
}

// IgnoreChecksums has the service store what it gets, whatever is said of it.
func (s *Server) IgnoreChecksums() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deaf = true
}

// Remove removes a bucket and all in it.
func (s *Server) Remove(bucket string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.buckets, bucket)
}

// Store puts an object there as another program would.
func (s *Server) Store(bucket, name, contentType, encoding string, content []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(&object{bucket: bucket, named: name, contentType: contentType, encoding: encoding, content: content})
}

// Age makes an object older.
func (s *Server) Age(bucket, name string, by time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.buckets[bucket][name]
	o.updated = o.updated.Add(-by)
}

// Counted returns how often each [Kind] was asked since the last call.
func (s *Server) Counted() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := maps.Clone(s.seen)
	clear(s.seen)
	return seen
}

// Kind names a request.
func Kind(r *http.Request) string {
	q := r.URL.Query()
	switch {
	case q.Has("upload_id") && r.Method == http.MethodDelete:
		return "cancel"
	case q.Has("upload_id") && strings.HasPrefix(r.Header.Get("Content-Range"), "bytes */"):
		return "status"
	case q.Has("upload_id"):
		return "chunk"
	case q.Get("uploadType") == "resumable":
		return "begin"
	case r.Method == http.MethodPost:
		return "insert"
	case r.Method == http.MethodDelete:
		return "delete"
	case q.Get("alt") == "media":
		return "read"
	case strings.HasSuffix(r.URL.Path, "/o"):
		return "list"
	}
	return "stat"
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.seen[Kind(r)]++
	meet := s.meet
	s.mu.Unlock()
	if meet != nil && meet(w, r) {
		return
	}
	s.Answer(w, r)
}

// Answer is for who meets a request and wants it answered, or done.
func (s *Server) Answer(w http.ResponseWriter, r *http.Request) {
	rest, ok := strings.CutPrefix(strings.TrimPrefix(r.URL.Path, "/upload"), "/storage/v1/b/")
	bucket, name, named := strings.Cut(rest, "/o/")
	bucket = strings.TrimSuffix(bucket, "/o")
	s.mu.Lock()
	_, there := s.buckets[bucket]
	s.mu.Unlock()
	if !ok || !there {
		Refuse(w, http.StatusNotFound, "notFound", "The specified bucket does not exist.")
		return
	}
	switch Kind(r) {
	case "begin":
		s.begin(w, r, bucket)
	case "chunk", "status":
		s.resume(w, r)
	case "cancel":
		s.cancel(w, r)
	case "insert":
		s.insert(w, r, bucket)
	case "list":
		s.list(w, r, bucket)
	default:
		if !named {
			Refuse(w, http.StatusNotImplemented, "notImplemented", "not in this fake")
			return
		}
		s.object(w, r, bucket, name)
	}
}

// Refuse answers as the service does.
func Refuse(w http.ResponseWriter, status int, reason, message string) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{
		"code": status, "message": message,
		"errors": []map[string]string{{"domain": "global", "reason": reason, "message": message}},
	}})
}

func answer(w http.ResponseWriter, what any) {
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	_ = json.NewEncoder(w).Encode(what)
}

// put is called with the lock held.
func (s *Server) put(o *object) {
	s.last++
	o.generation, o.updated = s.last, time.Now()
	if o.crc == "" {
		o.sum()
	}
	s.buckets[o.bucket][o.named] = o
}

func (s *Server) list(w http.ResponseWriter, r *http.Request, bucket string) {
	q := r.URL.Query()
	most := 1000
	_, _ = fmt.Sscan(q.Get("maxResults"), &most)
	s.mu.Lock()
	defer s.mu.Unlock()
	var page struct {
		Items []resource `json:"items,omitempty"`
		Next  string     `json:"nextPageToken,omitempty"`
	}
	for _, name := range slices.Sorted(maps.Keys(s.buckets[bucket])) {
		if !strings.HasPrefix(name, q.Get("prefix")) || name < q.Get("startOffset") || name <= q.Get("pageToken") && q.Has("pageToken") && q.Get("pageToken") != "" {
			continue
		}
		if len(page.Items) == most {
			page.Next = page.Items[most-1].Name
			break
		}
		page.Items = append(page.Items, s.buckets[bucket][name].resource())
	}
	answer(w, page)
}
