package gcs

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"google.golang.org/api/googleapi"
	raw "google.golang.org/api/storage/v1"

	"github.com/regferry/regferry/backends"
)

// The protocol of a resumable upload, which the SDK speaks but does not let go
// on with in another process:
// docs.cloud.google.com/storage/docs/performing-resumable-uploads
//
// The address of a session is all that is needed to write its object, so it is
// a secret, and is taken out of each error.

// progress is how far a session is.
type progress struct {
	persisted int64   // bytes that the service has, from the start
	done      *stored // once it is an object
}

// begin is the request that makes a session.
func (s *Store) begin(ctx context.Context, key string, size int64) (uri string, err error) {
	q := url.Values{"uploadType": {"resumable"}, "name": {s.name(key)}}
	for name, value := range map[string]string{"predefinedAcl": s.o.ACL, "kmsKeyName": s.o.KMSKey, "userProject": s.o.UserProject} {
		if value != "" {
			q.Set(name, value)
		}
	}
	at := s.o.endpoint() + "/upload/storage/v1/b/" + url.PathEscape(s.o.Bucket) + "/o?" + q.Encode()
	meta, err := json.Marshal(&raw.Object{Name: s.name(key), ContentType: contentType, StorageClass: s.o.StorageClass})
	if err != nil {
		return "", err
	}
	err = retry(ctx, func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, at, bytes.NewReader(meta))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json; charset=UTF-8")
		req.Header.Set("X-Upload-Content-Type", contentType)
		req.Header.Set("X-Upload-Content-Length", strconv.FormatInt(size, 10))
		resp, err := s.http.Do(req)
		if err != nil {
			return err
		}
		defer drain(resp)
		if err := googleapi.CheckResponse(resp); err != nil {
			return bucketMissing(err)
		}
		uri, err = s.o.sessionAt(resp.Header.Get("Location"), s.name(key))
		return err
	})
	return uri, err
}

// sessionAt checks the address of a session, which comes from the service or
// from a checkpoint: it is sent a token, so it has to be where the service is,
// and for this object.
func (o *Options) sessionAt(uri, name string) (string, error) {
	u, err := url.Parse(uri)
	if err != nil || u.User != nil || u.Fragment != "" || u.Query().Get("upload_id") == "" {
		return "", errNoSession
	}
	if n := u.Query().Get("name"); n != "" && n != name {
		return "", errNoSession
	}
	if o.Endpoint == "" {
		if u.Scheme != "https" || !strings.HasSuffix(u.Hostname(), ".googleapis.com") || u.Port() != "" {
			return "", errNoSession
		}
		return u.String(), nil
	}
	// A service behind a proxy may call itself by another name.
	at, err := url.Parse(o.Endpoint)
	if err != nil {
		return "", errNoSession
	}
	u.Scheme, u.Host = at.Scheme, at.Host
	return u.String(), nil
}

var errNoSession = backends.Refuse(backends.Unsupported, "the service gives no address to upload to, or a foreign one")

// chunk is a piece of the content. The last one makes the object.
type chunk struct {
	b    []byte
	off  int64
	size int64   // of the whole
	crc  *uint32 // of the whole, with the last one
}

// chunk sends one, once.
func (s *Store) chunk(ctx context.Context, uri string, c chunk) (progress, error) {
	at := fmt.Sprintf("bytes %d-%d/%d", c.off, c.off+int64(len(c.b))-1, c.size)
	if len(c.b) == 0 {
		at = fmt.Sprintf("bytes */%d", c.size)
	}
	p, err := s.session(ctx, http.MethodPut, uri, at, c)
	if c.crc != nil {
		err = refused(err)
	}
	return p, err
}

// status asks how far a session is.
func (s *Store) status(ctx context.Context, uri string, size int64) (progress, error) {
	return s.session(ctx, http.MethodPut, uri, fmt.Sprintf("bytes */%d", size), chunk{})
}

// cancel ends a session that nobody goes on with. What fails passes by itself,
// in a week.
func (s *Store) cancel(ctx context.Context, uri string) {
	ctx, stop := backends.Detached(ctx)
	defer stop()
	_, _ = s.session(ctx, http.MethodDelete, uri, "", chunk{}) // answered with 499
}

func (s *Store) session(ctx context.Context, method, uri, at string, c chunk) (progress, error) {
	req, err := http.NewRequestWithContext(ctx, method, uri, bytes.NewReader(c.b))
	if err != nil {
		return progress{}, errNoSession // err has the address in it
	}
	if len(c.b) == 0 {
		req.Body, req.GetBody = http.NoBody, nil
	}
	if at != "" {
		req.Header.Set("Content-Range", at)
	}
	if c.crc != nil {
		req.Header.Set("X-Goog-Hash", "crc32c="+encodedCRC(*c.crc))
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return progress{}, unaddressed(err)
	}
	defer drain(resp)
	switch resp.StatusCode {
	case http.StatusPermanentRedirect:
		return unfinished(resp.Header.Get("Range"))
	case http.StatusOK, http.StatusCreated:
		return s.finished(resp.Body, uri)
	}
	return progress{}, withoutID(googleapi.CheckResponse(resp), uri)
}

// unfinished reads "bytes=0-N"; none means that nothing is there.
func unfinished(at string) (progress, error) {
	if at == "" {
		return progress{}, nil
	}
	rest, ok := strings.CutPrefix(at, "bytes=0-")
	last, err := strconv.ParseInt(rest, 10, 64)
	if !ok || err != nil || last < 0 {
		return progress{}, backends.Refuse(backends.Transient, fmt.Sprintf("the service says that it has the range %.40q", at))
	}
	return progress{persisted: last + 1}, nil
}

func (s *Store) finished(body io.Reader, uri string) (progress, error) {
	var o raw.Object
	if err := json.NewDecoder(body).Decode(&o); err != nil {
		return progress{}, fmt.Errorf("the answer to the end of an upload: %w", errors.Join(io.ErrUnexpectedEOF, err))
	}
	sum, err := base64.StdEncoding.DecodeString(o.Crc32c)
	if err != nil || len(sum) != 4 {
		return progress{}, backends.Refuse(backends.Transient, "the answer to the end of an upload has no CRC32C")
	}
	u, _ := url.Parse(uri)
	if n := u.Query().Get("name"); n != "" && o.Name != n || o.Bucket != s.o.Bucket {
		return progress{}, backends.Refuse(backends.Corrupt, "the upload ended as another object than it was begun for")
	}
	return progress{int64(o.Size), &stored{int64(o.Size), binary.BigEndian.Uint32(sum), o.Generation}}, nil
}

func encodedCRC(crc uint32) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc))
}

// unaddressed takes the address out of what package net/http says.
func unaddressed(err error) error {
	var sent *url.Error
	if errors.As(err, &sent) {
		return &url.Error{Op: sent.Op, URL: "(upload)", Err: sent.Err}
	}
	return err
}

// withoutID leaves of an answer what does not repeat the session's secret.
func withoutID(err error, uri string) error {
	var api *googleapi.Error
	u, e := url.Parse(uri)
	if e != nil || !errors.As(err, &api) {
		return err
	}
	for _, id := range []string{u.Query().Get("upload_id"), url.QueryEscape(u.Query().Get("upload_id"))} {
		api.Message = strings.ReplaceAll(api.Message, id, "(upload)")
	}
	api.Body, api.Header = "", nil
	return err
}

// drain lets the connection be used again.
func drain(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	resp.Body.Close()
}
