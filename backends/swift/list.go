package swift

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/regferry/regferry/backends"
)

// entry is one line of a container's listing.
type entry struct {
	Name     string `json:"name"`
	Bytes    int64  `json:"bytes"`
	Hash     string `json:"hash"`
	SLO      string `json:"slo_etag"`
	Modified string `json:"last_modified"`
	Dir      string `json:"subdir"` // instead of all others, where a delimiter was given
}

func (e *entry) marker() string { return first(e.Name, e.Dir) }

// maxManifest is the most bytes that a manifest of an SLO has, in any service.
const maxManifest = 8 << 20

// size is -1 where the listing cannot know: a DLO and a symbolic link have 0
// bytes there, like what is empty; an SLO has those of its manifest, but in
// Swift itself.
func (e *entry) size(l limits) int64 {
	if e.Bytes == 0 || !l.exact && e.Bytes <= maxManifest {
		return -1
	}
	return e.Bytes
}

// md5 is the hash of a plain object. An SLO has that of its manifest, and is
// known by its slo_etag, which only Swift itself lists.
func (e *entry) md5(l limits) []byte {
	if !l.exact || e.Bytes == 0 || e.SLO != "" {
		return nil
	}
	return hash(e.Hash)
}

func hash(text string) []byte {
	sum, err := hex.DecodeString(text)
	if err != nil || len(sum) != 16 {
		return nil
	}
	return sum
}

func (e *entry) modified() time.Time {
	t, err := time.Parse("2006-01-02T15:04:05.999999", e.Modified)
	if err != nil {
		t, err = time.Parse(time.RFC3339Nano, e.Modified)
	}
	if err != nil {
		return time.Time{}
	}
	return t
}

// page lists at most limit names that begin with prefix and come after marker.
func (s *service) page(ctx context.Context, prefix, marker, delimiter string, limit int) ([]entry, error) {
	q := url.Values{"format": {"json"}, "limit": {strconv.Itoa(limit)}}
	for name, value := range map[string]string{"prefix": prefix, "marker": marker, "delimiter": delimiter} {
		if value != "" {
			q.Set(name, value)
		}
	}
	for try := 1; ; try++ {
		all, err := s.pageOnce(ctx, q)
		if statusOf(err) == http.StatusNotFound {
			// Nothing was found to be absent: a run must end here.
			return nil, fmt.Errorf("%w: %w", backends.Refuse(backends.Denied, "there is no container of the name "+backends.Printable(s.container)), err)
		}
		if err == nil || try >= attempts || errors.As(err, new(*answer)) || !again(err) {
			return all, err
		}
		if err := pause(ctx, try); err != nil {
			return nil, err
		}
	}
}

// pageOnce takes an answer that was cut for no answer. So far do repeats
// requests, and pageOnce what was lost after the first byte of one.
func (s *service) pageOnce(ctx context.Context, q url.Values) ([]entry, error) {
	resp, err := s.do(ctx, request{method: http.MethodGet, query: q})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent {
		return nil, nil
	}
	var all []entry
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<20)).Decode(&all); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%w: %w", backends.Refuse(backends.Transient, "the listing cannot be read"), err)
	}
	if all == nil {
		return nil, backends.Refuse(backends.Transient, "the answer is empty, which is not an empty listing")
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return all, err
}

// full is a page that has less than limit names only at the end. A container in
// shards, and services that are not Swift, answer with less at any time; what
// ends a listing is nothing.
func (s *service) full(ctx context.Context, prefix, marker, delimiter string, limit int) ([]entry, error) {
	var all []entry
	for len(all) < limit {
		some, err := s.page(ctx, prefix, marker, delimiter, limit-len(all))
		if err != nil {
			return nil, err
		}
		if len(some) == 0 {
			return all, nil
		}
		last := some[len(some)-1].marker()
		if last <= marker {
			return nil, backends.Refuse(backends.Unsupported, "the listing goes backwards, from "+backends.Printable(marker)+" to "+backends.Printable(last))
		}
		all, marker = append(all, some...), last
	}
	return all, nil
}
