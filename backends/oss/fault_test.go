package oss_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/backendtest/fakeoss"
	"github.com/regferry/regferry/backends/backendtest/servers"
	"github.com/regferry/regferry/backends/oss"
)

// faulty is a store on a fresh server.
func faulty(t *testing.T, change func(*oss.Options)) (*fakeoss.Server, *oss.Store, *notices) {
	t.Helper()
	server := servers.OSS(t)
	server.Bucket(t, "faults")
	o, n := optionsOf(server, "faults"), &notices{}
	o.PartSize, o.Notice = partSize, n.add
	if change != nil {
		change(&o)
	}
	s := open(t, o)
	t.Cleanup(func() { s.Close() })
	server.Fake.Counted()
	return server.Fake, s, n
}

// meet has the n-th request of an operation, and those after it up to a number
// of times, met by a fault. It returns how often that was.
func meet(f *fakeoss.Server, operation string, n, times int64, fault func(http.ResponseWriter, *http.Request, http.Handler)) *atomic.Int64 {
	seen, struck := new(atomic.Int64), new(atomic.Int64)
	f.Meet(func(w http.ResponseWriter, r *http.Request, op string, forward http.Handler) bool {
		if op != operation {
			return false
		}
		if i := seen.Add(1); i < n || i >= n+times {
			return false
		}
		struck.Add(1)
		fault(w, r, forward)
		return true
	})
	return struck
}

func says(status int, code string) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		fakeoss.Refuse(w, r, status, code, "The message.")
	}
}

func drops(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }

// late serves a request and drops the answer.
func late(w http.ResponseWriter, r *http.Request, forward http.Handler) {
	forward.ServeHTTP(silent{http.Header{}}, r)
	panic(http.ErrAbortHandler)
}

type silent struct{ h http.Header }

func (s silent) Header() http.Header         { return s.h }
func (s silent) Write(p []byte) (int, error) { return len(p), nil }
func (s silent) WriteHeader(int)             {}

// tells answers with this CRC64 instead of what is right.
func tells(crc string) func(http.ResponseWriter, *http.Request, http.Handler) {
	return func(w http.ResponseWriter, r *http.Request, forward http.Handler) {
		forward.ServeHTTP(&liar{w, crc}, r)
		w.Header().Set("x-oss-hash-crc64ecma", crc) // where there was no body
	}
}

type liar struct {
	http.ResponseWriter
	crc string
}

func (l *liar) Write(p []byte) (int, error) {
	l.Header().Set("x-oss-hash-crc64ecma", l.crc)
	return l.ResponseWriter.Write(p)
}

// spoils has a byte of the body changed on its way.
func spoils(w http.ResponseWriter, r *http.Request, forward http.Handler) {
	r.Body = &spoiled{ReadCloser: r.Body}
	forward.ServeHTTP(w, r)
}

type spoiled struct {
	io.ReadCloser
	done bool
}

func (s *spoiled) Read(p []byte) (int, error) {
	n, err := s.ReadCloser.Read(p)
	if n > 0 && !s.done {
		p[0] ^= 1
		s.done = true
	}
	return n, err
}

func TestRequests(t *testing.T) {
	f, s, _ := faulty(t, nil)
	want := func(what string, n map[string]int) {
		t.Helper()
		if got := f.Counted(); !maps.Equal(got, n) {
			t.Errorf("%s: %v, want %v", what, got, n)
		}
	}
	for _, c := range []struct {
		size int
		n    map[string]int
	}{
		{0, map[string]int{"PutObject": 1}},
		{2000, map[string]int{"PutObject": 1}},
		{partSize, map[string]int{"PutObject": 1}},
		{2*partSize + 1, map[string]int{"InitiateMultipartUpload": 1, "ListMultipartUploads": 1, "UploadPart": 3, "CompleteMultipartUpload": 1}},
	} {
		b := newBlob(byte(c.size), c.size)
		if _, err := s.Put(t.Context(), b.key, b.Content); err != nil {
			t.Fatal(err)
		}
		want("writing", c.n)
		holds(t, s, b)
		want("reading", map[string]int{"GetObject": 1})
	}
	for o, err := range s.List(t.Context(), "", "") {
		if err != nil || (o.MD5 == nil) != (o.Size > partSize) {
			t.Errorf("%+v, %v", o, err)
		}
	}
	want("listing", map[string]int{"ListObjectsV2": 1})
}

// TestFaultsThatPass are such that Put has to succeed.
func TestFaultsThatPass(t *testing.T) {
	f, s, _ := faulty(t, nil)
	for i, c := range []struct {
		name, operation string
		n, times        int64
		size            int
		fault           func(http.ResponseWriter, *http.Request, http.Handler)
	}{
		{"too many requests", "PutObject", 1, 2, 1000, says(503, "QpsLimitExceeded")},
		{"429", "PutObject", 1, 1, 1000, says(429, "Throttling")},
		{"a 500", "PutObject", 1, 1, 1000, says(500, "InternalError")},
		{"a dropped connection", "PutObject", 1, 1, 100_000, drops},
		{"a lost answer", "PutObject", 1, 1, 100_000, late},
		{"a part: 503", "UploadPart", 2, 2, 3*partSize + 5, says(503, "ServiceBusy")},
		{"a part: dropped", "UploadPart", 3, 1, 3*partSize + 5, drops},
		{"initiating", "InitiateMultipartUpload", 1, 1, 3 * partSize, says(500, "InternalError")},
		{"completing", "CompleteMultipartUpload", 1, 1, 3 * partSize, says(503, "QpsLimitExceeded")},
		{"completing: the answer is lost", "CompleteMultipartUpload", 1, 1, 3 * partSize, late},
		{"looking for dead uploads is denied", "ListMultipartUploads", 1, 9, 3 * partSize, says(403, "AccessDenied")},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBlob(byte(i), c.size)
			struck := meet(f, c.operation, c.n, c.times, c.fault)
			if _, err := s.Put(t.Context(), b.key, b.Content); err != nil {
				t.Fatal(err)
			}
			if struck.Load() == 0 {
				t.Error("the fault never fired")
			}
			f.Meet(nil)
			holds(t, s, b)
			if left := f.Uploads("faults"); left != nil {
				t.Errorf("left: %q", left)
			}
		})
	}
}

// TestFaultsThatStay are such that nothing may be stored, or left.
func TestFaultsThatStay(t *testing.T) {
	f, s, _ := faulty(t, nil)
	for i, c := range []struct {
		name, operation string
		n, times        int64
		size            int
		fault           func(http.ResponseWriter, *http.Request, http.Handler)
		class           backends.Class
	}{
		{"a byte is changed on the way", "PutObject", 1, 99, 1000, spoils, backends.Corrupt},
		{"a part is changed on the way", "UploadPart", 2, 99, 3 * partSize, spoils, backends.Corrupt},
		{"something else is stored", "PutObject", 1, 99, 1000, tells("4711"), backends.Corrupt},
		{"another part is stored", "UploadPart", 2, 99, 3 * partSize, tells("4711"), backends.Corrupt},
		{"another whole is stored", "CompleteMultipartUpload", 1, 99, 3 * partSize, tells("4711"), backends.Corrupt},
		{"denied", "PutObject", 1, 99, 1000, says(403, "AccessDenied"), backends.Denied},
		{"parts are denied", "UploadPart", 2, 99, 3 * partSize, says(403, "AccessDenied"), backends.Denied},
		{"initiating is denied", "InitiateMultipartUpload", 1, 99, 3 * partSize, says(403, "AccessDenied"), backends.Denied},
		{"completing is denied", "CompleteMultipartUpload", 1, 99, 3 * partSize, says(403, "AccessDenied"), backends.Denied},
		{"the token expires", "UploadPart", 2, 99, 3 * partSize, says(403, "SecurityTokenExpired"), backends.Denied},
		{"the upload is gone", "UploadPart", 2, 99, 3 * partSize, says(404, "NoSuchUpload"), backends.Transient},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBlob(byte(i), c.size)
			struck := meet(f, c.operation, c.n, c.times, c.fault)
			_, err := s.Put(t.Context(), b.key, b.Content)
			if backends.ClassOf(err) != c.class {
				t.Errorf("%v, of class %v, want %v", err, backends.ClassOf(err), c.class)
			}
			if n := struck.Load(); n == 0 || n > 4 {
				t.Errorf("the fault fired %d times", n)
			}
			f.Meet(nil)
			lacks(t, s, b.key)
			if left := f.Uploads("faults"); left != nil {
				t.Errorf("left: %q", left)
			}
		})
	}
}

func TestBadSources(t *testing.T) {
	f, s, _ := faulty(t, nil)
	for _, size := range []int{1000, 3 * partSize} {
		b := newBlob(1, size)
		wrong := errors.New("wrong")
		b.Open = func(_ context.Context, off int64) (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader(string(b.b[off:])), failing{wrong})), nil
		}
		if _, err := s.Put(t.Context(), b.key, b.Content); !errors.Is(err, wrong) {
			t.Errorf("%v", err)
		}
		lacks(t, s, b.key)
	}
	b := newBlob(2, 1000)
	b.Digest = digest.FromString("another")
	if _, err := s.Put(t.Context(), b.key, b.Content); backends.ClassOf(err) != backends.Corrupt {
		t.Errorf("another digest: %v", err)
	}
	lacks(t, s, b.key)
	if left := f.Uploads("faults"); left != nil {
		t.Errorf("left: %q", left)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// TestDeniedTidying: a policy that lets put but not abort, or not list.
func TestDeniedTidying(t *testing.T) {
	f, s, n := faulty(t, nil)
	f.Deny("AbortMultipartUpload", "ListMultipartUploads", "ListParts")
	b := newBlob(1, 3*partSize)
	if _, err := s.Put(t.Context(), b.key, b.Content); err != nil {
		t.Fatal(err)
	}
	bad := b.Content
	bad.Open = func(context.Context, int64) (io.ReadCloser, error) {
		return io.NopCloser(io.MultiReader(strings.NewReader(string(b.b[:2*partSize])), failing{io.ErrClosedPipe})), nil
	}
	if _, err := s.Put(t.Context(), b.key, bad); err == nil {
		t.Error("stored")
	}
	again := b.Content
	again.From = backends.Upload{Token: "0123", Offset: partSize, Hash: []byte("x")}
	if _, err := s.Put(t.Context(), b.key, again); err != nil {
		t.Error(err)
	}
	if _, err := s.Clean(t.Context(), nil); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"oss:AbortMultipartUpload is denied", "oss:ListMultipartUploads is denied", "oss:ListParts is denied"} {
		if !n.has(want) {
			t.Errorf("not told: %s", want)
		}
	}
	if len(n.all) != 3 {
		t.Errorf("%q", n.all)
	}
}

// TestClean: only what is old, of a blob, and nobody's.
func TestClean(t *testing.T) {
	f, s, _ := faulty(t, nil)
	stop := errors.New("stop")
	leave := func(key string, seed byte) string {
		b := newBlob(seed, 3*partSize)
		var token string
		b.Saved = func(u backends.Upload) error { token = u.Token; return nil }
		read := 0
		b.Open = func(context.Context, int64) (io.ReadCloser, error) {
			read++
			return io.NopCloser(io.MultiReader(strings.NewReader(string(b.b[:2*partSize])), failing{stop})), nil
		}
		if key == "" {
			key = b.key
		}
		if _, err := s.Put(t.Context(), key, b.Content); !errors.Is(err, stop) || token == "" {
			t.Fatalf("%v, token %q", err, token)
		}
		return token
	}
	leave("", 1)
	kept := leave("", 2)
	leave("docker/registry/v2/repositories/a/_uploads/1/data", 3)
	if n, err := s.Clean(t.Context(), map[string]bool{kept: true}); n != 0 || err != nil {
		t.Errorf("young ones: %d, %v", n, err)
	}
	f.Age("faults", 25*time.Hour)
	if n, err := s.Clean(t.Context(), map[string]bool{kept: true}); n != 1 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if left := f.Uploads("faults"); len(left) != 2 {
		t.Errorf("%q", left)
	}
}

// TestWhatIsAskedFor: the options of writing are in each request that makes an
// object; with KMS no ETag is taken for an MD5.
func TestWhatIsAskedFor(t *testing.T) {
	for _, c := range []struct {
		o    oss.Options
		want map[string]string
	}{
		{oss.Options{}, map[string]string{"X-Oss-Server-Side-Encryption": "", "X-Oss-Object-Acl": "", "X-Oss-Storage-Class": ""}},
		{oss.Options{Encrypt: true}, map[string]string{"X-Oss-Server-Side-Encryption": "AES256"}},
		{oss.Options{Encrypt: true, EncryptionKeyID: "key-1"}, map[string]string{"X-Oss-Server-Side-Encryption": "KMS", "X-Oss-Server-Side-Encryption-Key-Id": "key-1"}},
		{oss.Options{ACL: "private", StorageClass: "IA"}, map[string]string{"X-Oss-Object-Acl": "private", "X-Oss-Storage-Class": "IA"}},
	} {
		f, s, _ := faulty(t, func(o *oss.Options) {
			o.Encrypt, o.EncryptionKeyID, o.ACL, o.StorageClass = c.o.Encrypt, c.o.EncryptionKeyID, c.o.ACL, c.o.StorageClass
		})
		var mu sync.Mutex
		seen := map[string]http.Header{}
		f.Meet(func(_ http.ResponseWriter, r *http.Request, op string, _ http.Handler) bool {
			mu.Lock()
			defer mu.Unlock()
			seen[op] = r.Header.Clone()
			return false
		})
		for _, size := range []int{1000, partSize + 1} {
			b := newBlob(1, size)
			if _, err := s.Put(t.Context(), b.key, b.Content); err != nil {
				t.Fatal(err)
			}
		}
		f.Meet(nil)
		for name, want := range c.want {
			of := []string{"PutObject", "InitiateMultipartUpload"}
			if name == "X-Oss-Object-Acl" {
				of[1] = "CompleteMultipartUpload"
			}
			for _, op := range of {
				if got := seen[op].Get(name); seen[op] == nil || got != want {
					t.Errorf("%s: %s: %q, want %q", op, name, got, want)
				}
			}
		}
		for o, err := range s.List(t.Context(), "", "") {
			if err != nil || (o.MD5 != nil) != (o.Size == 1000 && c.o.EncryptionKeyID == "") {
				t.Errorf("%+v, %v", o, err)
			}
		}
	}
}

// TestRetention: where nothing is overwritten or deleted a store opens, and
// cleans with a notice.
func TestRetention(t *testing.T) {
	server := servers.OSS(t)
	server.Bucket(t, "retained")
	o, n := optionsOf(server, "retained"), &notices{}
	o.DeadAfter, o.Notice = time.Nanosecond, n.add
	var mu sync.Mutex
	there := map[string]bool{}
	server.Fake.Meet(func(w http.ResponseWriter, r *http.Request, op string, _ http.Handler) bool {
		mu.Lock()
		defer mu.Unlock()
		if op == "DeleteObject" || op == "PutObject" && there[r.URL.Path] {
			fakeoss.Refuse(w, r, 409, "FileImmutable", "The object you specified is immutable: "+r.URL.Path)
			return true
		}
		there[r.URL.Path] = op == "PutObject"
		return false
	})
	open(t, o).Close()
	s := open(t, o)
	defer s.Close()
	time.Sleep(1100 * time.Millisecond) // the service's times are whole seconds
	if removed, err := s.Clean(t.Context(), nil); removed != 0 || err != nil {
		t.Errorf("%d removed: %v", removed, err)
	}
	if len(n.all) != 2 || !n.has("forbid") { // one a store
		t.Errorf("%q", n.all)
	}
}

// TestAbortedAgain: a part that the service was taking when the run was
// interrupted may come after the abortion.
func TestAbortedAgain(t *testing.T) {
	f, s, n := faulty(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	meet(f, "UploadPart", 2, 1, func(http.ResponseWriter, *http.Request, http.Handler) {
		cancel()
		panic(http.ErrAbortHandler)
	})
	b := newBlob(1, 3*partSize)
	if _, err := s.Put(ctx, b.key, b.Content); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if seen := f.Counted(); seen["AbortMultipartUpload"] != 2 {
		t.Errorf("aborted %d times", seen["AbortMultipartUpload"])
	}
	if left := f.Uploads("faults"); left != nil || len(n.all) > 0 {
		t.Errorf("left: %q, told: %q", left, n.all)
	}
}

// TestArchived: what cannot be read says what to do.
func TestArchived(t *testing.T) {
	f, s, _ := faulty(t, nil)
	f.Meet(func(w http.ResponseWriter, r *http.Request, op string, forward http.Handler) bool {
		if op != "PutObject" {
			return false
		}
		r.Header.Set("X-Oss-Storage-Class", "Archive")
		forward.ServeHTTP(w, r)
		return true
	})
	b := newBlob(1, 1000)
	if _, err := s.Put(t.Context(), b.key, b.Content); err != nil {
		t.Fatal(err)
	}
	_, err := s.Open(t.Context(), b.key, 0)
	if backends.ClassOf(err) != backends.Unsupported || !strings.Contains(err.Error(), "restore it first") {
		t.Errorf("%v", err)
	}
}

// TestTexts: the service packs what is text for who accepts that, and then says
// no length.
func TestTexts(t *testing.T) {
	f, s, _ := faulty(t, nil)
	f.Meet(func(w http.ResponseWriter, r *http.Request, op string, forward http.Handler) bool {
		if op != "PutObject" {
			return false
		}
		r.Header.Set("Content-Type", "application/json")
		forward.ServeHTTP(w, r)
		return true
	})
	b := newBlob(1, 5000)
	if _, err := s.Put(t.Context(), b.key, b.Content); err != nil {
		t.Fatal(err)
	}
	holds(t, s, b)
	body, err := s.Open(t.Context(), b.key, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if body.Object.Size != 5000 {
		t.Errorf("it has %d bytes", body.Object.Size)
	}
}

// TestListingThatLies: a failed listing is no empty one.
func TestListingThatLies(t *testing.T) {
	f, s, _ := faulty(t, nil)
	for _, c := range []struct {
		name  string
		fault func(http.ResponseWriter, *http.Request, http.Handler)
		class backends.Class
	}{
		{"empty", func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(200) }, backends.Transient},
		{"cut", func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			_, _ = w.Write([]byte("<ListBucketResult><Name>faults</Name><Cont"))
		}, backends.Transient},
		{"a page of a proxy", func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Del("x-oss-request-id")
			http.Error(w, "<html>not here", 404)
		}, backends.Denied},
		{"no way on", func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			_, _ = w.Write([]byte("<ListBucketResult><Name>faults</Name><IsTruncated>true</IsTruncated></ListBucketResult>"))
		}, backends.Unsupported},
	} {
		meet(f, "ListObjectsV2", 1, 99, c.fault)
		n, failed := 0, error(nil)
		for _, err := range s.List(t.Context(), "docker/", "") {
			n, failed = n+1, err
		}
		if n != 1 || backends.ClassOf(failed) != c.class {
			t.Errorf("%s: %d pairs, %v, of class %v", c.name, n, failed, backends.ClassOf(failed))
		}
	}
}

// TestListingGoesOn: a page whose answer ends early is asked for again.
func TestListingGoesOn(t *testing.T) {
	f, s, _ := faulty(t, nil)
	b := newBlob(1, 1000)
	if _, err := s.Put(t.Context(), b.key, b.Content); err != nil {
		t.Fatal(err)
	}
	for name, fault := range map[string]func(http.ResponseWriter, *http.Request, http.Handler){
		"no XML": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			_, _ = w.Write([]byte("<ListBucketResult><Name>faults</Name><Cont"))
		},
		"shorter than said": func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte("<ListBucketResult>"))
		},
	} {
		struck := meet(f, "ListObjectsV2", 1, 1, fault)
		n := 0
		for o, err := range s.List(t.Context(), "docker/", "") {
			if n++; err != nil || o.Key != b.key {
				t.Errorf("%s: %v, %v", name, o, err)
			}
		}
		if n != 1 || struck.Load() != 1 {
			t.Errorf("%s: %d objects, the fault fired %d times", name, n, struck.Load())
		}
	}
}

// TestShortBody: rule R3. The suite's own case cuts the object when the service
// may have sent it all.
func TestShortBody(t *testing.T) {
	f, s, _ := faulty(t, nil)
	b := newBlob(1, 1<<20)
	if _, err := s.Put(t.Context(), b.key, b.Content); err != nil {
		t.Fatal(err)
	}
	if err := f.Cut("faults", b.key, 1<<19); err != nil {
		t.Fatal(err)
	}
	for _, offset := range []int64{0, 1000} {
		body, err := s.Open(t.Context(), b.key, offset)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, body)
		if n > 1<<19 || backends.ClassOf(err) != backends.Transient || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes, then %v", n, err)
		}
		body.Close()
	}
}
