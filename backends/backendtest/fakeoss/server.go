package fakeoss

import (
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// Key is an access key that the service knows.
type Key struct {
	Secret  string
	Token   string    // of a temporary key (STS), which has to come with it
	Expires time.Time // zero for never
}

// Server is the service, for one region. It is an http.Handler, and safe for
// concurrent use.
type Server struct {
	Region string         // such as cn-hangzhou
	Dir    string         // where contents are
	Keys   map[string]Key // by identifier, to begin with; see Know

	mu      sync.Mutex // guards what is below, not the bytes in Dir
	buckets map[string]*bucket
	denied  map[string]bool
	meet    Meeting
	seen    map[string]int
}

// Meeting is what a request meets: true says that it was answered. Operation is
// the name that the service's manual has for the request; forward serves it.
type Meeting func(w http.ResponseWriter, r *http.Request, operation string, forward http.Handler) bool

type bucket struct {
	objects map[string]*object
	sorted  []string // keys in order; nil where that has to be made
	uploads map[string]*upload
}

// Bucket makes a bucket, unless it is there.
func (s *Server) Bucket(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buckets == nil {
		s.buckets = map[string]*bucket{}
	}
	if s.buckets[name] == nil {
		s.buckets[name] = &bucket{objects: map[string]*object{}, uploads: map[string]*upload{}}
	}
}

// Know adds an access key, or replaces it, while the service runs.
func (s *Server) Know(id string, k Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Keys == nil {
		s.Keys = map[string]Key{}
	}
	s.Keys[id] = k
}

// Forget takes an access key away.
func (s *Server) Forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.Keys, id)
}

// Deny answers AccessDenied to these operations, and to no others, from now on.
func (s *Server) Deny(operations ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.denied = map[string]bool{}
	for _, o := range operations {
		s.denied[o] = true
	}
}

// Meet has each request that is signed well met by m, nil for none.
func (s *Server) Meet(m Meeting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.meet = m
}

// Counted returns how often each operation was asked for since the last call.
func (s *Server) Counted() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := s.seen
	s.seen = nil
	return seen
}

// Uploads names the unfinished uploads of a bucket: key and identifier.
func (s *Server) Uploads(name string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for id, u := range s.buckets[name].uploads {
		all = append(all, u.key+" "+id)
	}
	slices.Sort(all)
	return all
}

// Age makes all unfinished uploads of a bucket older.
func (s *Server) Age(name string, by time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.buckets[name].uploads {
		u.begun = u.begun.Add(-by)
	}
}

// Cut cuts the first piece of an object's content to size bytes, as a failing
// disk would; the service goes on to say that it has all.
func (s *Server) Cut(name, key string, size int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return os.Truncate(s.buckets[name].objects[key].pieces[0].file, size)
}

// ServeHTTP finds the bucket in the path, where the host is an address, or as
// the first name of the host.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	path := strings.TrimPrefix(r.URL.Path, "/")
	if net.ParseIP(host) != nil {
		name, key, _ := strings.Cut(path, "/")
		s.serve(w, r, name, key)
		return
	}
	name, _, _ := strings.Cut(host, ".")
	if strings.HasPrefix(host, "oss-"+s.Region) {
		name = ""
	}
	s.serve(w, r, name, path)
}

// Domain is the service under a domain of one's own, bound to a bucket (CNAME):
// it is in neither path nor host.
func (s *Server) Domain(bucket string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.serve(w, r, bucket, strings.TrimPrefix(r.URL.Path, "/"))
	})
}

// call is one request under way.
type call struct {
	s         *Server
	w         http.ResponseWriter
	r         *http.Request
	operation string
	name, key string // of the bucket and the object
	b         *bucket
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, name, key string) {
	c := &call{s: s, w: w, r: r, name: name, key: key, operation: operationOf(r, key)}
	w.Header().Set("x-oss-request-id", requestID())
	w.Header().Set("Server", "AliyunOSS")
	if wrong := s.signed(r, name, key); wrong != nil {
		c.refuse(wrong)
		return
	}
	s.mu.Lock()
	if s.seen == nil {
		s.seen = map[string]int{}
	}
	s.seen[c.operation]++
	c.b = s.buckets[name]
	meet, denied := s.meet, s.denied[c.operation]
	s.mu.Unlock()
	serve, known := operations[c.operation]
	switch {
	case meet != nil && c.b != nil && known && meet(w, r, c.operation, c.forward(serve)):
	case denied:
		c.refuse(&fault{http.StatusForbidden, "AccessDenied", "You have no right to access this object because of bucket acl."})
	case c.b == nil:
		c.refuse(&fault{http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist."})
	case !known:
		c.refuse(&fault{http.StatusNotImplemented, "NotImplemented", "A header you provided implies functionality that is not implemented."})
	case key != "" && (len(key) > 1023 || key[0] == '\\' || key[0] == '/'):
		c.refuse(&fault{http.StatusBadRequest, "InvalidObjectName", "The specified object is not valid."})
	default:
		c.run(serve)
	}
}

func (c *call) run(serve func(*call) *fault) {
	if wrong := serve(c); wrong != nil {
		c.refuse(wrong)
	}
}

// forward serves the call with what a Meeting made of writer and request.
func (c *call) forward(serve func(*call) *fault) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		changed := *c
		changed.w, changed.r = w, r
		changed.run(serve)
	})
}

// operations answer by themselves, unless they return what is wrong.
var operations = map[string]func(*call) *fault{
	"PutObject": (*call).putObject, "CopyObject": (*call).copyObject,
	"GetObject": (*call).getObject, "HeadObject": (*call).getObject, "GetObjectMeta": (*call).getObject,
	"DeleteObject": (*call).deleteObject, "DeleteMultipleObjects": (*call).deleteObjects,
	"ListObjects": (*call).listObjects, "ListObjectsV2": (*call).listObjectsV2,
	"InitiateMultipartUpload": (*call).initiate, "UploadPart": (*call).uploadPart, "UploadPartCopy": (*call).uploadPartCopy,
	"CompleteMultipartUpload": (*call).complete, "AbortMultipartUpload": (*call).abort,
	"ListParts": (*call).listParts, "ListMultipartUploads": (*call).listUploads,
}

func operationOf(r *http.Request, key string) string {
	q, copies := r.URL.Query(), r.Header.Get("x-oss-copy-source") != ""
	switch {
	case key == "" && q.Has("uploads"):
		return "ListMultipartUploads"
	case key == "" && q.Has("delete"):
		return "DeleteMultipleObjects"
	case key == "" && r.Method == http.MethodGet && q.Get("list-type") == "2":
		return "ListObjectsV2"
	case key == "" && r.Method == http.MethodGet:
		return "ListObjects"
	case key == "":
		return r.Method + " bucket"
	case q.Has("uploads"):
		return "InitiateMultipartUpload"
	case q.Has("uploadId") && copies:
		return "UploadPartCopy"
	case q.Has("uploadId"):
		return map[string]string{"GET": "ListParts", "PUT": "UploadPart", "POST": "CompleteMultipartUpload", "DELETE": "AbortMultipartUpload"}[r.Method]
	case copies:
		return "CopyObject"
	}
	return map[string]string{"GET": "GetObject", "PUT": "PutObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}[r.Method]
}
