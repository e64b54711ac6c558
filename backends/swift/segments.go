package swift

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/regferry/regferry/backends"
)

// The two directories that the registry has below its prefix.
const (
	filesDir    = "files/"
	segmentsDir = "segments/"
)

// mark is in the name of each directory of segments that is ours, between 16
// random bytes and the key of the object. A registry of version 2.8 has the
// path at that place, which begins with docker/registry/v2/.
const mark = "regferry1"

// newSegments is a name for the segments of one Put of key, of the form the
// registry uses, below segments/: hex digits, the first three a directory.
func newSegments(key string) string {
	name := make([]byte, 16, 16+len(mark)+len(key))
	_, _ = rand.Read(name)
	digits := hex.EncodeToString(append(append(name, mark...), key...))
	return digits[:3] + "/" + digits[3:]
}

// segmentsKey is the key whose segments have such a name; ok is false for
// those that are not ours.
func segmentsKey(name string) (key string, ok bool) {
	if len(name) < 4 || name[3] != '/' {
		return "", false
	}
	digits := name[:3] + name[4:]
	raw, err := hex.DecodeString(digits)
	if err != nil || digits != hex.EncodeToString(raw) || len(raw) <= 16+len(mark) || string(raw[16:16+len(mark)]) != mark {
		return "", false
	}
	key = string(raw[16+len(mark):])
	return key, backends.CheckKey(key, maxKey) == nil
}

// segmentsRoot is the directory beside files/.
func (b *bucket) segmentsRoot() string { return strings.TrimSuffix(b.root, filesDir) + segmentsDir }

// segmentsOf is where the segments of an upload are, a slash at the end.
func (b *bucket) segmentsOf(upload string) string { return b.segmentsRoot() + upload + "/" }

func (b *bucket) segment(upload string, n int) string {
	return fmt.Sprintf("%s%016d", b.segmentsOf(upload), n+1)
}

// manifest is what an object is made of.
type manifest struct {
	header http.Header // of the object; nil: there is none
	mine   []string    // uploads: segments that were made here, for this key
	others bool        // it has segments that were not
}

func (m manifest) has(upload string) bool { return slices.Contains(m.mine, upload) }

// only says whether the object is made of one upload and nothing else.
func (m manifest) only(upload string) bool {
	return !m.others && len(m.mine) == 1 && m.mine[0] == upload
}

// manifest looks at an object, which need not be there.
func (b *bucket) manifest(ctx context.Context, key string) (manifest, error) {
	h, err := b.head(ctx, b.root+key)
	if statusOf(err) == http.StatusNotFound {
		return manifest{}, nil
	}
	if err != nil {
		return manifest{}, err
	}
	m := manifest{header: h}
	switch {
	case h.Get("X-Object-Manifest") != "":
		prefix, err := url.PathUnescape(h.Get("X-Object-Manifest"))
		b.note(&m, key, prefix, err == nil && strings.HasSuffix(prefix, "/"))
	case isLarge(h):
		names, err := b.sloSegments(ctx, b.root+key)
		if err != nil {
			return manifest{}, err
		}
		for _, name := range names {
			b.note(&m, key, name, true)
		}
	}
	return m, nil
}

// note sorts a segment, or a prefix of some, container/name.
func (b *bucket) note(m *manifest, key, name string, whole bool) {
	rest, ok := strings.CutPrefix(strings.TrimPrefix(name, "/"), b.container+"/"+b.segmentsRoot())
	end := strings.LastIndexByte(rest, '/')
	if !ok || !whole || end < 0 {
		m.others = true
		return
	}
	upload := rest[:end]
	switch of, ours := segmentsKey(upload); {
	case !ours || of != key:
		m.others = true
	case len(m.mine) == 0 || m.mine[len(m.mine)-1] != upload:
		m.mine = append(m.mine, upload)
	}
}

// sloSegments are container/name of each segment of an SLO.
func (s *service) sloSegments(ctx context.Context, name string) ([]string, error) {
	resp, err := s.do(ctx, request{method: http.MethodGet, object: name, query: url.Values{"multipart-manifest": {"get"}}, header: newest})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var all []struct {
		Name string `json:"name"`
		Path string `json:"path"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxManifest+1)).Decode(&all); err != nil {
		return nil, fmt.Errorf("%w: %w", backends.Refuse(backends.Transient, "the manifest of the object in place cannot be read"), err)
	}
	names := make([]string, len(all))
	for i, one := range all {
		names[i] = first(one.Name, one.Path)
	}
	return names, nil
}

// listSegments lists those of an upload, which are at most what an SLO or a
// DLO may have.
func (b *bucket) listSegments(ctx context.Context, upload string) ([]entry, error) {
	var all []entry
	for marker := ""; len(all) <= maxDLO; {
		some, err := b.full(ctx, b.segmentsOf(upload), marker, "", 1000)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
		if len(some) < 1000 {
			break
		}
		marker = some[len(some)-1].Name
	}
	return all, nil
}

// removeSegments removes all segments of uploads that are listed.
func (b *bucket) removeSegments(ctx context.Context, uploads []string) error {
	var failed error
	for _, upload := range uploads {
		all, err := b.listSegments(ctx, upload)
		names := make([]string, len(all))
		for i, e := range all {
			names[i] = e.Name
		}
		failed = errors.Join(failed, err, b.removeAll(ctx, names))
	}
	return failed
}

// removeAll takes what is gone for removed.
func (s *service) removeAll(ctx context.Context, names []string) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for _, name := range names {
		g.Go(func() error {
			_, err := s.done(ctx, request{method: http.MethodDelete, object: name})
			if statusOf(err) == http.StatusNotFound {
				return nil
			}
			return err
		})
	}
	return g.Wait()
}
