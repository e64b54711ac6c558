package swift

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/backends/parts"
)

// maxDLO is how many segments a DLO may have: those that one page of a listing
// names, since beyond that Swift does not say how long it is.
const maxDLO = 10_000

func (s *Store) mostSegments() int64 {
	if s.dlo {
		return maxDLO - 1
	}
	return int64(s.files.limits.segments)
}

// partSize makes the segments suffice.
func (s *Store) partSize(size int64) int64 {
	const mib = 1 << 20
	least := (size + s.mostSegments() - 1) / s.mostSegments()
	return max(s.o.PartSize, (least+mib-1)/mib*mib)
}

// segment is a line of an SLO's manifest.
type segment struct {
	Path string `json:"path"` // /container/name
	Etag string `json:"etag"`
	Size int64  `json:"size_bytes"`
}

// upload is an object that is sent in segments.
type upload struct {
	*parts.Sender
	s        *Store
	key      string
	segments []segment
	begun    []bool // segments of which a request was made
	whole    bool   // all were durable in an earlier try, so a manifest may name them
	placed   bool   // the object is made of them already
}

func (s *Store) newUpload(key string, c backends.Content, part int64) *upload {
	n := parts.Parts(c.Size, part)
	u := &upload{s: s, key: key, segments: make([]segment, n), begun: make([]bool, n)}
	u.Sender = &parts.Sender{
		Content: c, Part: part, Parallel: s.o.Parallel, Buffers: s.buffers,
		Begin: u.begin, Send: u.send,
	}
	return u
}

func (s *Store) putLarge(ctx context.Context, key string, c backends.Content) error {
	u, err := s.resume(ctx, key, c)
	if err != nil {
		return err
	}
	if u == nil {
		u = s.newUpload(key, c, s.partSize(c.Size))
	}
	defer func() { s.held.Release(u.Token) }()
	err = u.Run(ctx)
	if err == nil && !u.placed {
		err = u.complete(ctx)
	}
	if err != nil && u.Token != "" && !u.whole && !u.inDoubt(err) && !u.Keep(err, classOf(err)) {
		u.abort(ctx)
	}
	return err
}

// begin needs no request: a directory of segments is there with the first.
func (u *upload) begin(context.Context) (string, error) {
	upload := newSegments(u.key)
	u.s.held.Hold(upload)
	return upload, nil
}

func (u *upload) send(ctx context.Context, n int, b []byte) error {
	name := u.s.files.segment(u.Token, n)
	u.begun[n] = true
	header := map[string]string{"Content-Type": contentType}
	if err := u.s.files.put(ctx, name, b, header); err != nil {
		return u.s.missing(err)
	}
	u.segments[n] = segment{Path: "/" + u.s.o.Container + "/" + name, Etag: header["Etag"], Size: int64(len(b))}
	return nil
}

// doubt is a manifest of which nobody knows whether it was stored.
type doubt struct{ err error }

func (d *doubt) Error() string { return d.err.Error() }
func (d *doubt) Unwrap() error { return d.err }

// inDoubt: then the segments stay, since an object may have them; if none has,
// Clean removes them.
func (u *upload) inDoubt(err error) bool {
	d, ok := err.(*doubt)
	return ok && d != nil
}

// complete stores the manifest. That is not cancelled half way: nobody would
// know whether the segments belong to an object.
func (u *upload) complete(ctx context.Context) error {
	if u.s.dlo {
		if err := u.listed(ctx); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return u.s.swap(ctx, u.key, u.Token, func(ctx context.Context) error {
		ctx, cancel := backends.DetachedFor(ctx, u.s.manifestMost)
		defer cancel()
		put := u.putSLO
		if u.s.dlo {
			put = u.putDLO
		}
		err := put(ctx)
		if err == nil || refused(err) {
			return err
		}
		return u.settle(ctx, err)
	})
}

// settle looks whether the manifest is in place after a failure that does not
// tell. The time of the request may be over, so it has some of its own. A manifest
// of ours that is not what was sent does not stay.
func (u *upload) settle(ctx context.Context, err error) error {
	ctx, cancel := backends.Detached(ctx)
	defer cancel()
	m, e := u.s.files.manifest(ctx, u.key)
	switch {
	case e != nil || !m.only(u.Token):
		return &doubt{err}
	case classOf(err) != backends.Corrupt && u.isIn(m):
		return nil
	}
	if e := u.s.files.removeAll(ctx, []string{u.s.files.root + u.key}); e != nil {
		return &doubt{errors.Join(err, e)}
	}
	return err
}

// putSLO has the service look at each segment. Its answer to what is wrong with
// one is 400.
func (u *upload) putSLO(ctx context.Context) error {
	body, err := json.Marshal(u.segments)
	if err != nil {
		return err
	}
	h, err := u.s.files.stored(ctx, request{
		method: http.MethodPut, object: u.s.files.root + u.key, query: url.Values{"multipart-manifest": {"put"}},
		header: map[string]string{"Content-Type": contentType}, body: body,
	})
	if statusOf(err) == http.StatusBadRequest {
		return fmt.Errorf("%w: %w", backends.Refuse(u.judge(ctx), "the service does not take the segments for what was sent"), err)
	}
	if err != nil {
		return u.s.missing(err)
	}
	if want, got := u.etag(), strings.Trim(h.Get("Etag"), `"`); hash(got) != nil && got != want && u.s.files.limits.exact {
		return backends.Refuse(backends.Corrupt, "the service put together other segments than were sent")
	}
	return nil
}

// judge asks for each segment: one that is another is Corrupt, one that cannot
// be seen yet is not.
func (u *upload) judge(ctx context.Context) backends.Class {
	for _, seg := range u.segments {
		h, err := u.s.files.head(ctx, strings.TrimPrefix(seg.Path, "/"+u.s.o.Container+"/"))
		if err == nil && (strings.Trim(h.Get("Etag"), `"`) != seg.Etag || h.Get("Content-Length") != strconv.FormatInt(seg.Size, 10)) {
			return backends.Corrupt
		}
	}
	return backends.Transient
}

// etag is that of the SLO, the MD5 of those of its segments.
func (u *upload) etag() string {
	all := md5.New()
	for _, seg := range u.segments {
		all.Write([]byte(seg.Etag))
	}
	return hex.EncodeToString(all.Sum(nil))
}

// patience is how long a listing may take to show what was written.
const patience = 30 * time.Second

// listed waits until the container lists all segments, since a DLO is what is
// listed at the moment it is read.
func (u *upload) listed(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, backends.Refuse(backends.Transient, "the container does not list the segments that were written"))
	defer cancel()
	for try := 1; ; try++ {
		all, err := u.s.files.listSegments(ctx, u.Token)
		if err != nil && ctx.Err() == nil {
			return err
		}
		if err == nil && u.same(all) {
			return nil
		}
		if pause(ctx, try) != nil {
			return context.Cause(ctx)
		}
	}
}

func (u *upload) same(all []entry) bool {
	if len(all) != len(u.segments) {
		return false
	}
	for i, seg := range u.segments {
		if "/"+u.s.o.Container+"/"+all[i].Name != seg.Path || all[i].Bytes != seg.Size || !strings.EqualFold(all[i].Hash, seg.Etag) {
			return false
		}
	}
	return true
}

// putDLO stores a manifest without content, and waits until the object has its
// size. Then it is removed again if it has not: what was there before is gone.
func (u *upload) putDLO(ctx context.Context) error {
	name := u.s.files.root + u.key
	at := (&url.URL{Path: u.s.o.Container + "/" + u.s.files.segmentsOf(u.Token)}).EscapedPath()
	err := u.s.files.put(ctx, name, nil, map[string]string{"Content-Type": contentType, "X-Object-Manifest": at})
	if err != nil {
		return u.s.missing(err)
	}
	for try, until := 1, time.Now().Add(patience); ; try++ {
		h, err := u.s.files.head(ctx, name)
		if err == nil && h.Get("Content-Length") == strconv.FormatInt(u.Content.Size, 10) {
			return nil
		}
		if time.Now().After(until) {
			break
		}
		if err := pause(ctx, try); err != nil {
			return err
		}
	}
	if err := u.s.files.removeAll(ctx, []string{name}); err != nil {
		return &doubt{err}
	}
	return backends.Refuse(backends.Transient, "the object does not have the size of its segments; it was removed")
}

// abort removes each segment that may be there, listed or not.
func (u *upload) abort(ctx context.Context) {
	ctx, cancel := backends.Detached(ctx)
	defer cancel()
	var names []string
	for n, begun := range u.begun {
		if begun {
			names = append(names, u.s.files.segment(u.Token, n))
		}
	}
	if err := u.s.files.removeAll(ctx, names); err != nil {
		u.s.notice("segments of a Put that failed could not be removed, clean will do that later: " + err.Error())
	}
}
