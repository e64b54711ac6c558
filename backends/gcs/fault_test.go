package gcs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest/fakegcs"
	"github.com/regferry/regferry/backends/gcs"
)

const key = "docker/registry/v2/blobs/sha256/aa/aa/data"

// TestChunkFaults: whatever meets one chunk, the first, a middle or the last
// one, the object is whole, and no byte is sent to the wrong place.
func TestChunkFaults(t *testing.T) {
	content := some(3*partSize + 1234)
	for name, fault := range map[string]func(*fakegcs.Server) http.HandlerFunc{
		"503":    func(*fakegcs.Server) http.HandlerFunc { return says(503, "backendError") },
		"500":    func(*fakegcs.Server) http.HandlerFunc { return says(500, "internalError") },
		"408":    func(*fakegcs.Server) http.HandlerFunc { return says(408, "uploadBrokenConnection") },
		"429":    func(*fakegcs.Server) http.HandlerFunc { return says(429, "rateLimitExceeded") },
		"403":    func(*fakegcs.Server) http.HandlerFunc { return says(403, "userRateLimitExceeded") },
		"broken": func(*fakegcs.Server) http.HandlerFunc { return drops },
		"cut":    func(*fakegcs.Server) http.HandlerFunc { return dropsHalf },
		"cut, and some persisted": func(s *fakegcs.Server) http.HandlerFunc {
			return func(_ http.ResponseWriter, r *http.Request) {
				r.Body = io.NopCloser(io.MultiReader(io.LimitReader(r.Body, 300<<10), failing{}))
				s.Answer(httptest.NewRecorder(), r)
				panic(http.ErrAbortHandler)
			}
		},
		"answer lost": func(s *fakegcs.Server) http.HandlerFunc {
			return func(_ http.ResponseWriter, r *http.Request) {
				s.Answer(httptest.NewRecorder(), r)
				panic(http.ErrAbortHandler)
			}
		},
	} {
		for _, n := range []int{1, 2, 4} {
			t.Run(fmt.Sprint(name, " at ", n), func(t *testing.T) {
				t.Parallel()
				server, s, _ := onFake(t)
				struck := strike(server, "chunk", n, 2, fault(server))
				if _, err := s.Put(t.Context(), key, contentOf(content)); err != nil {
					t.Fatal(err)
				}
				if struck() == 0 {
					t.Error("nothing was struck")
				}
				if seen := server.Counted(); seen["status"] == 0 || seen["begin"] != 1 {
					t.Errorf("asked %v", seen)
				}
				holds(t, s, key, content)
				if left := server.Sessions(); len(left) > 0 {
					t.Errorf("left: %v", left)
				}
			})
		}
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// TestKeepsLess: the service persists less of each chunk than it is sent.
func TestKeepsLess(t *testing.T) {
	server, s, _ := onFake(t)
	server.Keep(300 << 10)
	content := some(3*partSize + 1)
	if _, err := s.Put(t.Context(), key, contentOf(content)); err != nil {
		t.Fatal(err)
	}
	if seen := server.Counted(); seen["chunk"] != 7 {
		t.Errorf("asked %v, want 7 chunks", seen)
	}
	holds(t, s, key, content)
}

// TestPutFails: an error leaves the old object, no session, and no secret.
func TestPutFails(t *testing.T) {
	old, content := some(100), some(2*partSize+5)
	for _, c := range []struct {
		name, kind string
		n          int
		fault      http.HandlerFunc
		want       backends.Class
	}{
		{"begin denied", "begin", 1, says(403, "forbidden"), backends.Denied},
		{"begin without a session", "begin", 1, func(w http.ResponseWriter, _ *http.Request) {}, backends.Unsupported},
		{"begin elsewhere", "begin", 1, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://evil.example/upload?upload_id=SECRET&name=other")
		}, backends.Unsupported},
		{"chunk denied", "chunk", 2, says(403, "forbidden"), backends.Denied},
		{"session gone", "chunk", 2, says(410, "gone"), backends.Transient},
		{"session forgotten", "chunk", 3, says(404, "notFound"), backends.Transient},
		{"checksum refused", "chunk", 3, says(400, "invalid"), backends.Corrupt},
		{"quota", "chunk", 1, says(403, "quotaExceeded"), backends.Full},
		{"precondition", "chunk", 3, says(412, "conditionNotMet"), backends.Changed},
		{"no such range", "chunk", 2, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Range", "bytes=0-99999999")
			w.WriteHeader(308)
		}, backends.Changed},
		{"range lost", "chunk", 2, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(308)
		}, backends.Changed},
		{"redirected", "chunk", 2, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://evil.example/", http.StatusTemporaryRedirect)
		}, backends.Denied},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server, s, said := onFake(t)
			if _, err := s.Put(t.Context(), key, contentOf(old)); err != nil {
				t.Fatal(err)
			}
			struck := strike(server, c.kind, c.n, 1000, c.fault)
			_, err := s.Put(t.Context(), key, contentOf(content))
			if backends.ClassOf(err) != c.want || struck() == 0 {
				t.Errorf("%v, want %v", err, c.want)
			}
			if text := fmt.Sprint(err, said); strings.Contains(text, "SECRET") || strings.Contains(text, "upload_id") {
				t.Errorf("the session's secret shows: %s", text)
			}
			server.Meet(nil)
			holds(t, s, key, old)
			if left := server.Sessions(); len(left) > 0 && c.want != backends.Transient {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// interrupted puts content up to its second chunk, and returns what was saved.
func interrupted(t *testing.T, s *gcs.Store, b []byte) []backends.Upload {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var saved []backends.Upload
	c := contentOf(b)
	c.Saved = func(u backends.Upload) error {
		u.Hash = slices.Clone(u.Hash)
		if saved = append(saved, u); len(saved) == 2 {
			cancel()
		}
		return nil
	}
	if _, err := s.Put(ctx, key, c); !errors.Is(err, context.Canceled) || len(saved) < 2 {
		t.Fatalf("%v, %d saved", err, len(saved))
	}
	return saved
}

// TestResume goes on, or begins anew, as the service has more or less.
func TestResume(t *testing.T) {
	content := some(4*partSize + 77)
	for _, c := range []struct {
		name  string
		at    int // of what was saved
		do    func(*fakegcs.Server)
		opens int64
		begin int
		bytes int64 // that chunks have; 0 for any
	}{
		{"where it stopped", 1, nil, 2 * partSize, 0, 2*partSize + 77},
		{"the service has more", 0, nil, partSize, 0, 2*partSize + 77},
		{"the service has lost some", 1, func(s *fakegcs.Server) { s.Lose(partSize) }, 0, 1, 0},
		{"the service has all but some of a part", 0, func(s *fakegcs.Server) { s.Lose(256 << 10) }, partSize, 0, 2*partSize + 256<<10 + 77},
		{"404", 1, func(s *fakegcs.Server) { s.Forget(404) }, 0, 1, 0},
		{"410", 1, func(s *fakegcs.Server) { s.Forget(410) }, 0, 1, 0},
		{"499", 1, func(s *fakegcs.Server) { s.Forget(499) }, 0, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			server, s, _ := onFake(t)
			saved := interrupted(t, s, content)
			holds(t, s, key, nil)
			if c.do != nil {
				c.do(server)
			}
			// Another process, with parts of another size.
			other := open(t, gcs.Options{Bucket: "b", Prefix: "pre", Endpoint: server.URL, Anonymous: true, PartSize: 2 * partSize})
			defer other.Close()
			server.Counted()
			var sent int64
			server.Meet(func(_ http.ResponseWriter, r *http.Request) bool {
				if fakegcs.Kind(r) == "chunk" {
					sent += r.ContentLength
				}
				return false
			})
			opens := int64(-1)
			again := contentOf(content)
			from := again.Open
			again.From = saved[c.at]
			again.Open = func(ctx context.Context, off int64) (io.ReadCloser, error) { opens = off; return from(ctx, off) }
			if _, err := other.Put(t.Context(), key, again); err != nil {
				t.Fatal(err)
			}
			if seen := server.Counted(); opens != c.opens || seen["begin"] != c.begin || c.bytes != 0 && sent != c.bytes {
				t.Errorf("opened at %d, %d bytes sent, asked %v", opens, sent, seen)
			}
			holds(t, other, key, content)
		})
	}
}

// TestResumeOutage: a service that is away, or a key that is refused, does not
// cost what is durable.
func TestResumeOutage(t *testing.T) {
	content := some(4*partSize + 77)
	for name, c := range map[string]struct {
		fault http.HandlerFunc
		want  backends.Class
	}{
		"denied": {says(403, "forbidden"), backends.Denied}, "no token": {says(401, "authError"), backends.Denied},
	} {
		t.Run(name, func(t *testing.T) {
			server, s, _ := onFake(t)
			saved := interrupted(t, s, content)
			strike(server, "status", 1, 1000, c.fault)
			again := contentOf(content)
			again.From = saved[1]
			if _, err := s.Put(t.Context(), key, again); backends.ClassOf(err) != c.want {
				t.Errorf("%v, want %v", err, c.want)
			}
			server.Meet(nil)
			server.Counted()
			if _, err := s.Put(t.Context(), key, again); err != nil || server.Counted()["begin"] != 0 {
				t.Errorf("the session is not gone on with: %v", err)
			}
		})
	}
}

// TestDamage: what the service has before a resume is not what the source has
// now. The old object stays, or, where the service compares nothing, the wrong
// one goes.
func TestDamage(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		t.Run(fmt.Sprint("deaf ", deaf), func(t *testing.T) {
			server, s, _ := onFake(t)
			old, content := some(100), some(4*partSize+77)
			saved := interrupted(t, s, content)
			if _, err := s.Put(t.Context(), key, contentOf(old)); err != nil {
				t.Fatal(err)
			}
			server.Damage(5)
			want := old
			if deaf {
				server.IgnoreChecksums()
				want = nil
			}
			again := contentOf(content)
			again.From = saved[1]
			_, err := s.Put(t.Context(), key, again)
			if backends.ClassOf(err) != backends.Corrupt {
				t.Errorf("%v, want %v", err, backends.Corrupt)
			}
			holds(t, s, key, want)
			if left := server.Sessions(); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// TestWholeDamaged changes a byte on the way, and tries faults of one request.
func TestWholeDamaged(t *testing.T) {
	old, content := some(100), some(5000)
	flip := func(s *fakegcs.Server) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			at := bytes.Index(body, content[:1000])
			body[at+500] ^= 4
			r.Body = io.NopCloser(bytes.NewReader(body))
			s.Answer(w, r)
		}
	}
	for _, c := range []struct {
		name  string
		fault func(*fakegcs.Server) http.HandlerFunc
		times int
		deaf  bool
		want  backends.Class
		holds []byte
	}{
		{"flipped", flip, 99, false, backends.Corrupt, old},
		{"flipped, not refused", flip, 99, true, backends.Corrupt, nil},
		{"503 twice", func(*fakegcs.Server) http.HandlerFunc { return says(503, "backendError") }, 2, false, backends.Unknown, content},
		{"429 twice", func(*fakegcs.Server) http.HandlerFunc { return says(429, "rateLimitExceeded") }, 2, false, backends.Unknown, content},
		{"broken twice", func(*fakegcs.Server) http.HandlerFunc { return drops }, 2, false, backends.Unknown, content},
		{"denied", func(*fakegcs.Server) http.HandlerFunc { return says(403, "forbidden") }, 99, false, backends.Denied, old},
		{"no bucket", func(*fakegcs.Server) http.HandlerFunc { return says(404, "notFound") }, 99, false, backends.Denied, old},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server, s, _ := onFake(t)
			if _, err := s.Put(t.Context(), key, contentOf(old)); err != nil {
				t.Fatal(err)
			}
			if c.deaf {
				server.IgnoreChecksums()
			}
			struck := strike(server, "insert", 1, c.times, c.fault(server))
			_, err := s.Put(t.Context(), key, contentOf(content))
			if backends.ClassOf(err) != c.want || (err == nil) != (c.want == backends.Unknown) || struck() == 0 {
				t.Errorf("%v, want %v", err, c.want)
			}
			server.Meet(nil)
			holds(t, s, key, c.holds)
		})
	}
}

// TestStoredThenCancelled: of a write that the service has answered it is known
// what it stored, whatever became of the context meanwhile.
func TestStoredThenCancelled(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		server, s, _ := onFake(t)
		content := some(5000)
		if deaf { // and a byte is changed on the way
			server.IgnoreChecksums()
			server.Meet(func(w http.ResponseWriter, r *http.Request) bool {
				if fakegcs.Kind(r) != "insert" {
					return false
				}
				body, _ := io.ReadAll(r.Body)
				body[bytes.Index(body, content[:1000])+500] ^= 4
				r.Body = io.NopCloser(bytes.NewReader(body))
				server.Answer(w, r)
				return true
			})
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		err := s.Around(t.Context(), func(next http.RoundTripper) http.RoundTripper {
			return roundTrips(func(r *http.Request) (*http.Response, error) {
				resp, err := next.RoundTrip(r)
				if err != nil || fakegcs.Kind(r) != "insert" {
					return resp, err
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				resp.Body = io.NopCloser(bytes.NewReader(body))
				cancel()
				return resp, err
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Put(ctx, key, contentOf(content))
		if ctx.Err() == nil {
			t.Error("nothing was cancelled")
		}
		if deaf {
			if backends.ClassOf(err) != backends.Corrupt {
				t.Errorf("something else was stored: %v", err)
			}
			holds(t, s, key, nil)
			continue
		}
		if err != nil {
			t.Errorf("it was stored: %v", err)
		}
		holds(t, s, key, content)
	}
}

type roundTrips func(*http.Request) (*http.Response, error)

func (f roundTrips) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestDeafService: what a service does not compare is said, and compared here.
func TestDeafService(t *testing.T) {
	server, said := fakegcs.New(t, "b"), &notices{}
	server.IgnoreChecksums()
	s := open(t, gcs.Options{Bucket: "b", Endpoint: server.URL, Anonymous: true, Notice: said.add})
	defer s.Close()
	if s.Proof() == "CRC32C, MD5" || said.String() == "" {
		t.Errorf("proof %q, notices %q", s.Proof(), said)
	}
	_, good, _ := onFake(t)
	if got := backends.PowersOf(good).String(); got != "clean scratch, delete, replace on condition, checks CRC32C, MD5" {
		t.Errorf("powers: %s", got)
	}
}

// TestRetention: where nothing is overwritten or deleted a store opens, knows
// what is proved, and cleans with a notice.
func TestRetention(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		server, said := fakegcs.New(t, "b"), &notices{}
		if deaf {
			server.IgnoreChecksums()
		}
		retain(server)
		o := gcs.Options{Bucket: "b", Endpoint: server.URL, Anonymous: true, Notice: said.add}
		s := open(t, o)
		if got := s.Proof() == "CRC32C, MD5"; got == deaf {
			t.Errorf("deaf %v: proof %q", deaf, s.Proof())
		}
		for _, name := range []string{".regferry/probe-old", ".regferry/probe-older"} {
			server.Store("b", name, "", "", []byte("x"))
			server.Age("b", name, 25*time.Hour)
		}
		if n, err := s.Clean(t.Context(), nil); n != 0 || err != nil {
			t.Errorf("removed %d, %v", n, err)
		}
		if got := strings.Count(said.String(), "forbid"); got != 1 {
			t.Errorf("told %d times: %s", got, said)
		}
		s.Close()
	}
}

// retain has a service forbid to overwrite and to delete.
func retain(server *fakegcs.Server) {
	probe := regexp.MustCompile(`\.regferry/probe-[a-z0-9]+`)
	var mu sync.Mutex
	there := map[string]bool{}
	server.Meet(func(w http.ResponseWriter, r *http.Request) bool {
		kind := fakegcs.Kind(r)
		name := probe.FindString(r.URL.Query().Get("name"))
		if kind == "insert" {
			body, _ := io.ReadAll(r.Body)
			r.Body, name = io.NopCloser(bytes.NewReader(body)), probe.FindString(string(body))
		}
		mu.Lock()
		defer mu.Unlock()
		if kind == "delete" || there[name] && (kind == "insert" || kind == "begin") {
			fakegcs.Refuse(w, 403, "retentionPolicyNotMet", "Object "+r.URL.Path+" is subject to bucket's retention policy")
			return true
		}
		there[name] = there[name] || kind == "insert"
		return false
	})
}

// TestProbeIsRepeated: a service that is busy for a moment is asked again, also
// for what ends a session.
func TestProbeIsRepeated(t *testing.T) {
	for _, kind := range []string{"insert", "begin", "chunk"} {
		server := fakegcs.New(t, "b")
		struck := strike(server, kind, 1, 2, says(503, "backendError"))
		s := open(t, gcs.Options{Bucket: "b", Endpoint: server.URL, Anonymous: true})
		if s.Proof() != "CRC32C, MD5" || struck() != 2 {
			t.Errorf("%s: struck %d times, proof %q", kind, struck(), s.Proof())
		}
		s.Close()
	}
}

// TestSessionObjects: a registry's unfinished upload is no object.
func TestSessionObjects(t *testing.T) {
	server, s, _ := onFake(t)
	server.Store("b", "pre/docker/a", "application/octet-stream", "", []byte("content"))
	server.Store("b", "pre/docker/b", "application/x-docker-upload-session", "", []byte{})
	server.Store("b", "pre/docker/c", "text/plain", "gzip", []byte("\x1f\x8b not decoded"))
	var keys []string
	for o, err := range s.List(t.Context(), "docker/", "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, o.Key)
	}
	if !slices.Equal(keys, []string{"docker/a", "docker/c"}) {
		t.Errorf("listed %q", keys)
	}
	if _, err := s.Stat(t.Context(), "docker/b"); backends.ClassOf(err) != backends.NotFound {
		t.Errorf("Stat: %v", err)
	}
	holds(t, s, "docker/b", nil)
	holds(t, s, "docker/c", []byte("\x1f\x8b not decoded"))
}

// TestBucketGone: of a bucket that was removed no object is called absent.
func TestBucketGone(t *testing.T) {
	server, s, _ := onFake(t)
	server.Remove("b")
	s.Forget()
	_, stat := s.Stat(t.Context(), key)
	_, opened := s.Open(t.Context(), key, 0)
	_, put := s.Put(t.Context(), key, contentOf(some(10)))
	_, large := s.Put(t.Context(), key, contentOf(some(2*partSize)))
	var list error
	for _, list = range s.List(t.Context(), "", "") {
	}
	for name, err := range map[string]error{"Stat": stat, "Open": opened, "Put": put, "Put of parts": large, "List": list} {
		if backends.ClassOf(err) != backends.Denied || !strings.Contains(err.Error(), "no bucket of the name b") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBodyBreaks: the SDK goes on where a body broke off, in the same object.
func TestBodyBreaks(t *testing.T) {
	server, s, _ := onFake(t)
	content := some(500_000)
	if _, err := s.Put(t.Context(), key, contentOf(content)); err != nil {
		t.Fatal(err)
	}
	struck := strike(server, "read", 1, 2, func(w http.ResponseWriter, r *http.Request) {
		server.Answer(&short{ResponseWriter: w, left: 100_000}, r)
		panic(http.ErrAbortHandler)
	})
	holds(t, s, key, content)
	if struck() != 2 {
		t.Errorf("struck %d times", struck())
	}
}

type short struct {
	http.ResponseWriter
	left int
}

func (s *short) Write(p []byte) (int, error) {
	n := min(len(p), s.left)
	s.left -= n
	if _, err := s.ResponseWriter.Write(p[:n]); err != nil || n < len(p) {
		s.ResponseWriter.(http.Flusher).Flush()
		return n, io.ErrShortWrite
	}
	return n, nil
}

func TestClean(t *testing.T) {
	server, s, _ := onFake(t)
	for _, name := range []string{"pre/.regferry/probe-old", "pre/.regferry/probe-new", "pre/.regferry/lease", "pre/docker/x", "other/.regferry/probe-old"} {
		server.Store("b", name, "", "", []byte("x"))
		if !strings.HasSuffix(name, "new") {
			server.Age("b", name, 25*time.Hour)
		}
	}
	if n, err := s.Clean(t.Context(), nil); n != 1 || err != nil {
		t.Errorf("removed %d, %v", n, err)
	}
	holds(t, s, ".regferry/probe-old", nil)
	for _, key := range []string{".regferry/probe-new", ".regferry/lease", "docker/x"} {
		holds(t, s, key, []byte("x"))
	}
}
