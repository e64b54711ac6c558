package swift

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// limits are what a service tells of itself by /info. One that does not has
// Swift's defaults, and what listings of it say is believed less.
type limits struct {
	maxFile  int64 // bytes of a request
	segments int   // of an SLO
	slo      bool

	// exact: it is Swift of 2.18 or later. Others list an SLO with the size and
	// the hash of its manifest (Ceph RGW, measured with 16.2.15), or without
	// slo_etag, by which it would be known.
	exact bool
}

// ask takes no answer for no knowledge: an operator may have switched it off.
func (s *service) ask(ctx context.Context) limits {
	l := limits{maxFile: maxFile, segments: maxSegments}
	storage, err := s.conn.GetStorageUrl(ctx)
	if err != nil || infoURL(storage) == "" {
		return l
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, infoURL(storage), nil)
	if err != nil {
		return l
	}
	resp, err := (&http.Client{Transport: s.transport}).Do(req)
	if err != nil {
		return l
	}
	defer resp.Body.Close()
	var info struct {
		Swift struct {
			Version string `json:"version"`
			MaxFile int64  `json:"max_file_size"`
		} `json:"swift"`
		SLO *struct {
			Segments int `json:"max_manifest_segments"`
		} `json:"slo"`
	}
	if resp.StatusCode != http.StatusOK || json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&info) != nil {
		return l
	}
	l.maxFile = cmp.Or(info.Swift.MaxFile, l.maxFile)
	if info.SLO != nil {
		l.slo, l.segments = true, cmp.Or(info.SLO.Segments, l.segments)
	}
	var major, minor int
	_, err = fmt.Sscanf(info.Swift.Version, "%d.%d", &major, &minor) // Ceph has its own, such as 16.2.15
	l.exact = err == nil && major == 2 && minor >= 18
	return l
}
